//! Zero-downtime deployment: the sample server, the check of its settings, and the rollout lab.

mod cli;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    match cli::parse(env::args_os()) {
        Ok(invocation) => invocation.run(),
        Err(exit) => exit,
    }
}
