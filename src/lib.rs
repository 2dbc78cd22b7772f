//! Zero-downtime deployment for actix-web, without a sidecar.

pub mod config;
pub mod http;
pub mod lifecycle;
#[cfg(feature = "lab")]
pub mod rollout;
pub mod sample;
pub mod telemetry;
