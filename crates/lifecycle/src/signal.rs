//! Termination signals of the operating system.

use std::fmt;

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(rename_all = "UPPERCASE"))]
pub enum Signal {
    /// What the kubelet, systemd and `kill` send.
    Sigterm,
    /// Ctrl-C in a terminal.
    Sigint,
}

impl Signal {
    /// Both signals.
    pub const ALL: [Self; 2] = [Self::Sigterm, Self::Sigint];

    /// The signal's name, as in `kill -l`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sigterm => "SIGTERM",
            Self::Sigint => "SIGINT",
        }
    }

    /// The exit code a shell shows for a process that this signal ended: 128 + its number.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Sigterm => 143,
            Self::Sigint => 130,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Catches SIGTERM and SIGINT from the moment it is made.
///
/// Made before anything is served, so that no signal meets the default action; that also makes
/// the signals reach the process when it is PID 1 of a container, where the kernel discards
/// signals without a handler.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    sigterm: tokio::signal::unix::Signal,
    sigint: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            sigterm: signal(SignalKind::terminate())?,
            sigint: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.sigterm.recv() => Signal::Sigterm,
            _ = self.sigint.recv() => Signal::Sigint,
        }
    }
}

/// Catches Ctrl-C, the only termination signal of this platform.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Signals(());

#[cfg(not(unix))]
impl Signals {
    /// Installs the handler.
    ///
    /// # Errors
    /// Never on this platform.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self(()))
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        // An error means that no handler can be had: then no signal will ever come.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Sigint
    }
}
