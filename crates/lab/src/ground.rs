//! Where experiments take place.

use super::{cluster::kubernetes::Session, provided::Provided, through::Installed};

/// Where experiments take place, ready for them.
#[derive(Debug)]
pub enum Ground {
    /// On this machine.
    Local {
        /// The proxy that was asked for.
        proxy: Option<Installed>,
        /// What its pods are given.
        provided: Provided,
    },
    /// On a Kubernetes cluster.
    Kubernetes(Box<Session>),
}
