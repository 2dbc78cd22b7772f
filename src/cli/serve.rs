//! `websample serve`: the sample server.

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use websample::config::Settings;

use super::{Subcommand, complain, settings, usage};

const EXAMPLES: &str = "\
Examples:
  websample serve
  websample serve --version v2 --delay.min 2s
  websample serve --mode graceful --admin.listen off
  WEBSAMPLE_DELAY__MIN=2s websample serve --config /etc/websample.toml

Later wins: defaults, file, environment, flags. In the file: [delay] min = \"2s\".
Durations are written 500ms, 5s, 2m; sizes 64KiB, 1MiB.";

pub(super) fn subcommand() -> Subcommand {
    let command = Command::new("serve").about("Run the sample server").after_help(EXAMPLES);
    Subcommand { command: settings::with_flags(command), run }
}

fn run(matches: &ArgMatches) -> ExitCode {
    match Settings::load(&settings::sources(matches)) {
        Ok(settings) => serve(&settings),
        Err(error) => {
            complain(&error);
            usage()
        }
    }
}

/// Not the server: `sample::run(settings)` takes this place when the two are merged.
fn serve(_settings: &Settings) -> ExitCode {
    // sysexits' EX_UNAVAILABLE.
    const UNAVAILABLE: u8 = 69;
    complain(&"the settings are good, but this build has no server");
    ExitCode::from(UNAVAILABLE)
}
