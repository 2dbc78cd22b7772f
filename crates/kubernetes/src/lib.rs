//! Rules of Kubernetes that are arithmetic, and nothing else: the local cluster acts by them, and
//! the check of manifests judges by them.

pub mod fenceposts;
pub mod propagation;
pub mod termination;

pub use self::fenceposts::{Fenceposts, IntOrPercent, ParseIntOrPercentError};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
