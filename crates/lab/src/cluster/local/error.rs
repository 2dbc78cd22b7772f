//! What can go wrong with a local cluster.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use super::hint::Hint;
use crate::timeline::Exit;

/// Why a local cluster cannot do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    /// The specification cannot work.
    #[error("{0}")]
    Spec(String),
    /// No address could be taken for the pods, or for a listener.
    #[error("cannot listen on {address}: {source}; {remedy}")]
    Address {
        /// The address that was tried (last).
        address: SocketAddr,
        /// What helps.
        remedy: &'static str,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The pods' program could not be started.
    #[error("cannot start '{program}': {source}{hint}")]
    Start {
        /// The program.
        program: String,
        /// What helps.
        hint: Hint,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A pod's own directory could not be made.
    #[error("cannot make the pod's directory {path}: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A pod's process ended before the pod was ever Ready.
    #[error("pod {pod} ended with {exit} before it was ready{hint}{log}")]
    Exited {
        /// The pod.
        pod: Arc<str>,
        /// How it ended.
        exit: Exit,
        /// What may have been the reason.
        hint: Hint,
        /// Its last output.
        log: LogTail,
    },
    /// A pod did not become Ready in time.
    #[error(
        "pod {pod} was not ready after {} ({reason}){hint}{log}",
        humantime::format_duration(*after)
    )]
    NotReady {
        /// The pod.
        pod: Arc<str>,
        /// How long it had.
        after: Duration,
        /// What its probes last said.
        reason: String,
        /// What may be the reason of that.
        hint: Hint,
        /// Its last output.
        log: LogTail,
    },
    /// A process that was told to hand over to a successor has not.
    #[error(
        "pod {pod} did not hand over on SIGUSR2: {reason}; `--event handoff` is for servers that start \
         their successor and tell it to NOTIFY_SOCKET (MAINPID=…), as this project's do in the modes \
         graceful and drain"
    )]
    NotHandedOver {
        /// The pod.
        pod: Arc<str>,
        /// What happened instead.
        reason: String,
    },
    /// A directory or file for the pods' output could not be made.
    #[error("cannot write the pods' logs to {path}: {source}")]
    Logs {
        /// Where.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The process that ends the pods should the lab be killed could not be started.
    #[error("cannot start the watchdog (/bin/sh): {0}")]
    Watchdog(Arc<io::Error>),
    /// The cluster has been shut down.
    #[error("the cluster has been shut down")]
    ShutDown,
}

/// The last lines that a pod wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail(pub Vec<String>);

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; it wrote nothing");
        }
        f.write_str("; its last output:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n    | {line}"))
    }
}
