//! Where a rollout happens.

pub mod local;
