//! The lab's commands: `websample rollout`, `websample report` and `websample attack`.

use std::{future::Future, process::ExitCode};

use clap::{ArgMatches, Args, Command, FromArgMatches};
use websample::rollout::{args::RolloutArgs, comparison, load, rebuild};

use super::{Subcommand, complain, print, usage};

/// Exit code when the command could not do its work.
const FAILED: u8 = 69;

pub(super) fn subcommands() -> [Subcommand; 3] {
    [
        subcommand::<RolloutArgs>(
            "rollout",
            "Run a rolling update under load for each drain mode, and show what each lost",
            run_rollout,
        ),
        subcommand::<rebuild::ReportArgs>(
            "report",
            "Make the page or a summary of saved rollouts, and compare several",
            run_report,
        ),
        subcommand::<load::AttackArgs>(
            "attack",
            "Send requests at a constant rate, and report what became of each",
            run_attack,
        ),
    ]
}

fn subcommand<A: Args>(
    name: &'static str,
    about: &'static str,
    run: fn(&ArgMatches) -> ExitCode,
) -> Subcommand {
    // What it is about comes last: the arguments bring a description of their own.
    let command = A::augment_args(Command::new(name)).about(about).long_about(None::<&str>);
    Subcommand { command, run }
}

fn run_rollout(matches: &ArgMatches) -> ExitCode {
    parsed(matches, |args: RolloutArgs| async move {
        comparison::rollout(&args).await.unwrap_or_else(|error| {
            complain(&error);
            ExitCode::from(error.exit_code())
        })
    })
}

fn run_report(matches: &ArgMatches) -> ExitCode {
    parsed(matches, |args: rebuild::ReportArgs| async move {
        match rebuild::report(&args) {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&error);
                ExitCode::from(error.exit_code())
            }
        }
    })
}

fn run_attack(matches: &ArgMatches) -> ExitCode {
    parsed(matches, |args: load::AttackArgs| async move {
        match load::attack(args).await {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                complain(&format!("{error:#}"));
                ExitCode::from(FAILED)
            }
        }
    })
}

/// Runs a command with its arguments on a runtime.
fn parsed<A: FromArgMatches, F: Future<Output = ExitCode>>(
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
            ExitCode::from(FAILED)
        }
    }
}
