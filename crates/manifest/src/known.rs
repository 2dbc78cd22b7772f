//! A server whose settings can be read in a manifest: the program says which it knows.
//!
//! This crate judges what a pod gives a server; what a server does with its arguments and its
//! environment is known only to whoever wrote it. The program that asks for the check hands that in.

use std::{fmt, time::Duration};

/// What a server does when it is told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTermination {
    /// Nothing: it runs until SIGKILL.
    Ignores,
    /// It exits at once.
    Exits,
    /// It stops accepting, and finishes what is in flight.
    Finishes,
    /// It goes on accepting while traffic moves away, then finishes what is in flight.
    Drains,
}

/// The hook that a server answers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHook {
    /// Its path.
    pub path: &'static str,
    /// Whether the application's port answers it too.
    pub on_app_port: bool,
    /// The header that a call has to carry, where there is a token.
    pub token_header: Option<&'static str>,
}

/// What is known of a server's own termination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// What it does when it is told to go.
    pub on_termination: OnTermination,
    /// How long it believes to have from that moment to SIGKILL.
    pub grace: Duration,
    /// How long it goes on accepting, at least.
    pub shortest_delay: Duration,
    /// The same, at most.
    pub longest_delay: Duration,
    /// How long it may then take to finish what is in flight.
    pub drain: Duration,
    /// Whether its readiness fails from the start of the delay on.
    pub fails_readiness: bool,
    /// The port of the application.
    pub port: u16,
    /// The port of probes, hook and metrics, where there is one.
    pub admin_port: Option<u16>,
    /// The hook it answers.
    pub hook: OwnHook,
}

/// A container, as far as a manifest shows what its server is given.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The name of its image, without registry, tag and digest.
    pub image: &'a str,
    /// Its environment, later ones winning; what comes from elsewhere than a manifest is missing.
    pub variables: &'a [(String, String)],
    /// Its command and its arguments.
    pub words: &'a [String],
}

/// Knows a server by its container.
pub trait Knows {
    /// How this server ends; `None` where it is somebody else's.
    ///
    /// # Errors
    /// What the server refuses, and why, in its own words: it would exit as often as it is started.
    fn termination(&self, given: Given<'_>) -> Option<Result<Termination, String>>;
}

impl fmt::Debug for dyn Knows + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Knows")
    }
}

/// Knows no server at all.
impl Knows for () {
    fn termination(&self, _: Given<'_>) -> Option<Result<Termination, String>> {
        None
    }
}
