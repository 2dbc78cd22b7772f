//! Where experiments take place.

use super::{cluster::kubernetes::Session, through::Installed};

/// Where experiments take place, ready for them.
#[derive(Debug)]
pub enum Ground {
    /// On this machine, with the proxy that was asked for.
    Local(Option<Installed>),
    /// On a Kubernetes cluster.
    Kubernetes(Box<Session>),
}
