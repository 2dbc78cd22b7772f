//! `websample serve`, as a process, with real signals.

mod harness;
mod hook;
mod in_flight;
mod metrics;
mod modes;
mod report;
mod routes;
