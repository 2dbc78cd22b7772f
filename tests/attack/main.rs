//! `websample attack`, against real connections and unkind servers.

mod command;
#[path = "../common/mod.rs"]
mod common;
// One harness for the load generator and for its command.
#[allow(dead_code, reason = "the other half is for the library's own tests")]
#[path = "../../crates/load/tests/load/harness.rs"]
mod harness;
mod https;
mod lines;
#[path = "../common/program.rs"]
mod program;
