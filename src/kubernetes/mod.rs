//! Rules of Kubernetes that are arithmetic, and nothing else: the local cluster acts by them, and
//! the check of manifests judges by them.

pub mod fenceposts;
pub mod termination;

pub use self::fenceposts::{Fenceposts, IntOrPercent, ParseIntOrPercentError};
