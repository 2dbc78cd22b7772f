//! `websample serve`, as a process, with real signals.

mod harness;
mod hook;
mod in_flight;
mod metrics;
mod modes;
#[path = "../common/promtool.rs"]
mod promtool;
mod report;
mod routes;
