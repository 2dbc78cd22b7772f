//! `websample rollout` as a person or a pipeline meets it: the real binary, its output, its exit
//! codes, and what it leaves behind.

#![cfg(all(feature = "lab", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;
mod comparison;
mod disruptions;
mod errors;
mod harness;
mod interrupts;
mod metrics;
#[path = "../common/promtool.rs"]
mod promtool;
mod replay;
mod report;
mod scraper;
mod servers;
mod tls;
