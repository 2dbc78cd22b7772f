//! Zero-downtime deployment for actix-web, without a sidecar.

pub mod config;
pub mod lifecycle;
#[cfg(feature = "lab")]
pub mod rollout;
