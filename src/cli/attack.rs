//! `websample attack`: the load generator by itself.

use std::process::ExitCode;

use websample::{
    attack::{AttackArgs, attack},
    exit::UNAVAILABLE,
};

use super::{
    Subcommand,
    asynchronous::{parsed, subcommand},
    complain,
};
use clap::ArgMatches;

pub(super) fn command() -> Subcommand {
    subcommand::<AttackArgs>(
        "attack",
        "Send requests at a constant rate, and report what became of each",
        run,
    )
}

fn run(matches: &ArgMatches) -> ExitCode {
    parsed(matches, |args: AttackArgs| async move {
        match attack(args).await {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                complain(&format!("{error:#}"));
                ExitCode::from(UNAVAILABLE)
            }
        }
    })
}
