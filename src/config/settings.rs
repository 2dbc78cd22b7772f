//! The settings, typed.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use tracing::level_filters::LevelFilter;
use websample_actix::{OnDrain, Token};
use websample_lifecycle::{Delay, Mode, Policy};

use super::choices::{Framework, LogFormat, Switch};

/// Everything the server is told, checked: by themselves and against each other.
///
/// Its `Default` is that of [`KEYS`](super::KEYS), without a look at file, environment or flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The version to answer as.
    pub version: String,
    /// The name of this instance, in answers and logs: ASCII, fit for a header.
    pub instance: String,
    /// What the server is built on.
    pub framework: Framework,
    /// Where the application listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where the admin listener listens, if there is one.
    pub admin_listen: Option<SocketAddr>,
    /// Worker threads.
    pub workers: NonZeroUsize,
    /// What a termination signal does.
    pub mode: Mode,
    /// From the start of the termination to SIGKILL.
    pub grace_period: Duration,
    /// Kept free at the end of the grace period.
    pub margin: Duration,
    /// How long the lame duck lasts.
    pub delay: Delay,
    /// Over how long the closing of idle connections is spread.
    pub close_spread: Duration,
    /// What readiness answers once a termination has begun.
    pub readiness_on_drain: OnDrain,
    /// Who may call the preStop hook, and where.
    pub hook: Hook,
    /// What is started to take over.
    pub handoff: Handoff,
    /// Bound of the wait for the last scrape.
    pub linger: Duration,
    /// Where the termination message goes, if that file exists.
    pub termination_log: PathBuf,
    /// How long an idle connection is kept; zero closes after every answer.
    pub keep_alive: Duration,
    /// Certificate and key; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// Bounds on what clients may ask.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
}

/// Who may call the preStop hook, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What a call has to carry in `X-Prestop-Token`, if anything.
    pub token: Option<Token>,
    /// Whether the hook is served on the application's listener too; see
    /// [`Settings::has_hook_on_app_listener`].
    pub on_app_listener: Switch,
}

/// A restart that closes no port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handoff {
    /// The program that takes over; `None` is this one.
    pub program: Option<PathBuf>,
    /// How long it may take to be ready; not zero.
    pub timeout: Duration,
}

/// Files that could be read when the settings were loaded; they are not parsed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Bounds on what clients may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest N of `/sleep/N` and `/stream/N`.
    pub sleep: Duration,
    /// The largest request body, in bytes.
    pub body: usize,
    /// A request's head has to arrive within this; not zero.
    pub header_timeout: Duration,
    /// A request's body must not stop arriving for this long; not zero.
    pub body_timeout: Duration,
    /// A client has to take something of its response within this; not zero.
    pub write_timeout: Duration,
    /// Connections at a time, for each worker.
    pub connections: NonZeroUsize,
    /// HTTP/2 streams that a connection may have open at a time.
    pub streams: u32,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The shape of a line.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// The line with the requests in flight, once a second: see
    /// [`Settings::logs_connections`].
    pub connections: Switch,
}

impl Settings {
    /// What the lifecycle decides by.
    pub const fn policy(&self) -> Policy {
        Policy {
            mode: self.mode,
            grace_period: self.grace_period,
            margin: self.margin,
            delay: self.delay,
            linger: self.linger,
        }
    }

    /// Whether the hook is served on the application's listener too: whoever reaches that can take the
    /// pod out of rotation, so by itself only where there is no other.
    pub fn has_hook_on_app_listener(&self) -> bool {
        match self.hook.on_app_listener {
            Switch::Auto => self.admin_listen.is_none(),
            Switch::On => true,
            Switch::Off => false,
        }
    }

    /// Whether to log the requests in flight once a second, as the original does.
    pub fn logs_connections(&self) -> bool {
        match self.log.connections {
            Switch::Auto => self.mode == Mode::Ignore,
            Switch::On => true,
            Switch::Off => false,
        }
    }
}
