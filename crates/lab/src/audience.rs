//! Who looks on while the lab works: what it is told, and how it sees the experiments. The lab itself
//! prints nothing.

use std::{fmt, net::SocketAddr, sync::Arc};

use tokio::time::Instant;

use super::experiment::Experiment;

/// Something worth a line for whoever looks on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Said {
    /// What is going to happen.
    Begins(String),
    /// Where the metrics and the targets are.
    Metrics(SocketAddr),
    /// Where the panels of this run are.
    Panels(String),
    /// So many repeats are done of so many, and what each mode has lost so far.
    Repeat {
        /// Done.
        done: u32,
        /// All of them.
        of: u32,
        /// Mode and lost requests.
        lost: Vec<(String, u64)>,
    },
    /// The last scrape is waited for, so many seconds at most.
    LastScrape(f64),
    /// It is waited for no longer.
    NoLastScrape,
    /// What was kept on a cluster, and how to look at it.
    Kept(String),
    /// Where the times are that were measured.
    Recorded(String),
    /// Something did not work, which the result does not depend on.
    Warning(String),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins(text) | Self::Kept(text) | Self::Recorded(text) => f.write_str(text),
            Self::Metrics(address) => {
                write!(
                    f,
                    "metrics at http://{address}/metrics, targets at http://{address}/targets"
                )
            }
            Self::Panels(link) => write!(f, "panels at {link}"),
            Self::Repeat { done, of, lost } => {
                let lost: Vec<_> =
                    lost.iter().map(|(mode, lost)| format!("{mode} {lost}")).collect();
                write!(f, "{done} of {of} done; lost so far: {}", lost.join(", "))
            }
            Self::LastScrape(seconds) => write!(
                f,
                "waiting for the last scrape of --metrics, {:.0} s at most; Ctrl-C ends the wait",
                seconds.ceil()
            ),
            Self::NoLastScrape => f.write_str("not waiting for the last scrape any longer"),
            Self::Warning(text) => write!(f, "websample: {text}"),
        }
    }
}

/// Whoever looks on.
pub trait Audience {
    /// Something has happened.
    fn tell(&self, said: Said);

    /// Shows how far the experiments are, until it is dropped.
    fn show(&self, experiments: &[Arc<Experiment>], start: Instant) -> impl Future<Output = ()>;
}
