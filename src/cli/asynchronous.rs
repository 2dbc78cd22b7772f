//! Commands whose arguments are a derived struct and whose work needs a runtime.

use std::{future::Future, process::ExitCode};

use clap::{ArgMatches, Args, Command, FromArgMatches};
use websample::exit::UNAVAILABLE;

use super::{Run, Subcommand, complain, usage};

pub(super) fn subcommand<A: Args>(
    name: &'static str,
    about: &'static str,
    run: fn(&ArgMatches) -> ExitCode,
) -> Subcommand {
    // What it is about comes last: the arguments bring a description of their own.
    let command = A::augment_args(Command::new(name)).about(about).long_about(None::<&str>);
    Subcommand { command, run: Run::Plain(run) }
}

/// Runs a command with its arguments on a runtime.
pub(super) fn parsed<A: FromArgMatches, F: Future<Output = ExitCode>>(
    matches: &ArgMatches,
    run: impl FnOnce(A) -> F,
) -> ExitCode {
    let args = match A::from_arg_matches(matches) {
        Ok(args) => args,
        Err(error) => {
            complain(&error);
            return usage();
        }
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => {
            complain(&format!("no runtime could be had: {error}"));
            ExitCode::from(UNAVAILABLE)
        }
    }
}
