//! `websample check`: what the settings are, where they come from, and what they imply; with
//! files, what a rollout of somebody's manifests will lose.

mod effective;
#[cfg(feature = "lab")]
mod files;
#[cfg(feature = "lab")]
mod manifest;
#[cfg(feature = "lab")]
mod mend;

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser};
use websample::config::Loaded;

use super::{Run, Subcommand, complain, print, settings, usage};

const OUTPUT: &str = "output";

const EXAMPLES: &str = "\
Examples:
  websample check
  websample check --mode graceful --output json
  WEBSAMPLE_GRACE_PERIOD=60s websample check --delay.max 40s

Takes the flags of `serve` and opens no socket.
Exit codes: 0 the settings work, with or without warnings; 64 they do not.";

/// How the result can be printed.
fn formats() -> Vec<&'static str> {
    let mut formats = vec!["text", "json"];
    if cfg!(feature = "lab") {
        formats.extend(["github", "sarif", "junit"]);
    }
    formats
}

pub(super) fn subcommand() -> Subcommand {
    let output = Arg::new(OUTPUT)
        .long(OUTPUT)
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(formats()))
        .default_value("text")
        .help("How to print");
    let command = Command::new("check")
        .about("Print the effective settings and the termination they imply")
        .after_help(EXAMPLES)
        .arg(output);
    #[cfg(feature = "lab")]
    let command = manifest::with_flags(command);
    Subcommand { command: settings::with_flags(command), run: Run::Plain(run) }
}

fn run(matches: &ArgMatches) -> ExitCode {
    #[cfg(feature = "lab")]
    if let Some(exit) = manifest::run(matches) {
        return exit;
    }
    let loaded = Loaded::load(&settings::sources(matches));
    let json = format(matches) == "json";
    match (loaded, json) {
        (Ok(loaded), false) => print(&effective::text(&loaded)),
        (Ok(loaded), true) => print(&format!("{:#}\n", effective::document(&loaded))),
        (Err(error), json) => {
            if json {
                print(&format!("{:#}\n", effective::refusal(&error)));
            }
            complain(&error);
            return usage();
        }
    }
    ExitCode::SUCCESS
}

fn format(matches: &ArgMatches) -> &str {
    matches.get_one::<String>(OUTPUT).map_or("text", String::as_str)
}
