//! Where a rollout happens.

pub mod kubernetes;
pub mod local;
