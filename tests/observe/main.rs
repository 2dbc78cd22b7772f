//! The whole of it, with the real Prometheus: a comparison is run and scraped, and then everything
//! that a dashboard, a rule or an annotation would ask is asked.

#![cfg(all(feature = "lab", target_os = "linux"))]

mod client;
mod comparison;
mod dashboards;
mod observer;
mod queries;
mod report;
mod rules;
mod script;
mod variables;
