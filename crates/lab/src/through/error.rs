//! Why there is no proxy, and the remedy.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::options::Program;
use crate::{cluster::local::LogTail, timeline::Exit};

/// Why there is no proxy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProxyError {
    /// The program is not installed.
    #[error(
        "--through {program}: '{program}' was not found on the PATH (searched: {searched}); to \
         get it: {}",
        program.remedy()
    )]
    Missing {
        /// Which.
        program: Program,
        /// Where it was looked for.
        searched: String,
    },
    /// A program of that name exists, and cannot be used.
    #[error("--through {program}: {path} does not say its version: {reason}")]
    Unusable {
        /// Which.
        program: Program,
        /// Where it is.
        path: PathBuf,
        /// What it did instead.
        reason: String,
    },
    /// It could not be configured or started.
    #[error("{program}: {doing}: {source}")]
    Io {
        /// Which.
        program: Program,
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: Arc<io::Error>,
    },
    /// It ended although nobody had asked it to.
    #[error("{program} ended with {exit}{log}")]
    Exited {
        /// Which.
        program: Program,
        /// How it ended.
        exit: Exit,
        /// Its last output.
        log: LogTail,
    },
    /// It does not accept connections.
    #[error(
        "{program} does not accept connections on {address} after {}{log}",
        humantime::format_duration(*after)
    )]
    NotReady {
        /// Which.
        program: Program,
        /// Where it should listen.
        address: SocketAddr,
        /// How long it had.
        after: Duration,
        /// Its last output.
        log: LogTail,
    },
}
