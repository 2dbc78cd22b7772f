//! Zero-downtime deployment for actix-web, without a sidecar.

#[cfg(feature = "lab")]
pub mod rollout;
