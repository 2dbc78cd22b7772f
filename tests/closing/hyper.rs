//! The same as `main`, over the framework on hyper: its modules, of which nothing is written twice.

#[path = "../common/mod.rs"]
mod common;

mod busy;
mod corners;
mod deadline;
mod faults;
mod handoff;
mod hostile;
mod hostile_http2;
mod http1;
mod http2;
mod idle;
mod logged;
mod outside;
mod queue;
mod service;
mod tls;
mod upgraded;
