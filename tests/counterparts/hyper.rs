//! The same as `main`, over the framework on hyper: its modules, of which nothing is written twice.

#[path = "../common/mod.rs"]
mod common;

mod clients;
mod grpc;
mod program;
mod proxies;
mod slow;
