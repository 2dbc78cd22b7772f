//! Zero-downtime deployment: the sample server, the check of its settings, and the rollout lab.

mod cli;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    // Before the command line is even understood: what comes earlier, the kernel discards for PID 1.
    let early = match cli::Early::begin(env::args_os()) {
        Ok(early) => early,
        Err(exit) => return exit,
    };
    match cli::parse(env::args_os()) {
        Ok(invocation) => invocation.run(early),
        Err(exit) => exit,
    }
}
