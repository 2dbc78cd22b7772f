//! The lab's commands: `websample rollout` and `websample report`.

use std::process::ExitCode;

use clap::ArgMatches;
use websample_lab::{args::RolloutArgs, comparison, rebuild};

use super::{
    Subcommand,
    asynchronous::{parsed, subcommand},
    complain, print,
};

pub(super) fn subcommands() -> [Subcommand; 2] {
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
    ]
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
