//! What a proxy needs to be told, behind one interface for the three of them.

use std::{io, net::SocketAddr, path::Path, process::Command};

use super::{envoy::Envoy, haproxy::Haproxy, nginx::Nginx, options::Program, site::Site};
use crate::cluster::local::Companion;

/// How one program is configured and told of changes.
#[derive(Debug)]
pub(super) enum Driver {
    Nginx(Nginx),
    Haproxy(Haproxy),
    Envoy(Envoy),
}

impl Driver {
    pub(super) fn new(site: Site) -> Self {
        match site.options.program {
            Program::Nginx => Self::Nginx(Nginx::new(site)),
            Program::Haproxy => Self::Haproxy(Haproxy::new(site)),
            Program::Envoy => Self::Envoy(Envoy::new(site)),
        }
    }

    /// Writes the configuration with these endpoints; the command runs in the foreground.
    pub(super) fn prepare(&mut self, program: &Path, pods: &[SocketAddr]) -> io::Result<Command> {
        match self {
            Self::Nginx(nginx) => nginx.prepare(program, pods),
            Self::Haproxy(haproxy) => haproxy.prepare(program, pods),
            Self::Envoy(envoy) => envoy.prepare(program, pods),
        }
    }

    /// Tells the running program that these are the endpoints now.
    pub(super) async fn apply(
        &mut self,
        pods: &[SocketAddr],
        running: &Companion,
    ) -> io::Result<()> {
        match self {
            Self::Nginx(nginx) => nginx.apply(pods, running),
            Self::Haproxy(haproxy) => haproxy.apply(pods).await,
            Self::Envoy(envoy) => envoy.apply(pods),
        }
    }
}
