//! The same as `main`, over the framework on hyper: its modules, of which nothing is written twice.

mod harness;
mod hook;
mod in_flight;
mod metrics;
mod modes;
#[path = "../common/promtool.rs"]
mod promtool;
mod report;
mod routes;
