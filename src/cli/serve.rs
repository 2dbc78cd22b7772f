//! `websample serve`: the sample server.

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use websample::{config::Settings, exit::UNAVAILABLE, logs, sample};
use websample_actix::ServerError;

use super::{Early, Run, Subcommand, complain, settings, usage};

/// How it is called.
pub(super) const NAME: &str = "serve";

const EXAMPLES: &str = "\
Examples:
  websample serve
  websample serve --version v2 --delay.min 2s
  websample serve --mode graceful --admin.listen off
  WEBSAMPLE_DELAY__MIN=2s websample serve --config /etc/websample.toml

Later wins: defaults, file, environment, flags. In the file: [delay] min = \"2s\".
Durations are written 500ms, 5s, 2m; sizes 64KiB, 1MiB.";

pub(super) fn subcommand() -> Subcommand {
    let command = Command::new(NAME).about("Run the sample server").after_help(EXAMPLES);
    Subcommand { command: settings::with_flags(command), run: Run::Early(run) }
}

fn run(matches: &ArgMatches, Early { runtime, signals }: Early) -> ExitCode {
    let settings = match Settings::load(&settings::sources(matches)) {
        Ok(settings) => settings,
        Err(error) => {
            complain(&error);
            return usage();
        }
    };
    let _logs = match logs::init(settings.log.format, settings.log.level) {
        Ok(logs) => logs,
        Err(error) => {
            complain(&format!("no thread for the logs could be had: {error}"));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    match runtime.block_on(sample::run(settings, signals)) {
        Ok(report) => report.into(),
        Err(error) => {
            complain(&error);
            match error {
                // The files were readable; what they hold is as much a setting as their names.
                ServerError::Tls(_) => usage(),
                _ => ExitCode::from(UNAVAILABLE),
            }
        }
    }
}
