//! The load generator: open loop, no retries, every failure classified.

pub mod attempt;
pub mod connect;
