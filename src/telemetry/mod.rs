//! What operators see: metrics and logs. Both observe what the lifecycle publishes.

pub mod logs;
pub mod metrics;
