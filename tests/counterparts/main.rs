//! Closing without loss, with programs that others wrote: proxies, clients and attackers.
//!
//! Each test runs when its program is installed (`scripts/install-counterparts`), and else says
//! that it was skipped.

#[path = "../common/mod.rs"]
mod common;

mod clients;
mod program;
mod proxies;
mod slow;
