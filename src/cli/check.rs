//! `websample check`: what the settings are, where they come from, and what they imply.

use std::{fmt::Write, process::ExitCode};

use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser};
use serde_json::json;
use websample::{
    config::{ConfigError, Loaded, Settings, timeline},
    lifecycle::Mode,
};

use super::{Subcommand, complain, print, settings, usage};

const OUTPUT: &str = "output";

const EXAMPLES: &str = "\
Examples:
  websample check
  websample check --mode graceful --output json
  WEBSAMPLE_GRACE_PERIOD=60s websample check --delay.max 40s

Takes the flags of `serve` and opens no socket.
Exit codes: 0 the settings work, with or without warnings; 64 they do not.";

pub(super) fn subcommand() -> Subcommand {
    let output = Arg::new(OUTPUT)
        .long(OUTPUT)
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
        .default_value("text")
        .help("How to print");
    let command = Command::new("check")
        .about("Print the effective settings and the termination they imply")
        .after_help(EXAMPLES)
        .arg(output);
    Subcommand { command: settings::with_flags(command), run }
}

fn run(matches: &ArgMatches) -> ExitCode {
    let loaded = Loaded::load(&settings::sources(matches));
    let json = matches.get_one::<String>(OUTPUT).is_some_and(|format| format == "json");
    match (loaded, json) {
        (Ok(loaded), false) => print(&text(&loaded)),
        (Ok(loaded), true) => print(&format!("{:#}\n", document(&loaded))),
        (Err(error), json) => {
            if json {
                print(&format!("{:#}\n", refusal(&error)));
            }
            complain(&error);
            return usage();
        }
    }
    ExitCode::SUCCESS
}

fn text(loaded: &Loaded) -> String {
    let mut text = String::from("Settings\n");
    let rows: Vec<_> = loaded
        .effective
        .iter()
        .map(|row| (row.key, row.value.as_deref().unwrap_or("-"), row.source.as_str()))
        .collect();
    let keys = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let values = rows.iter().map(|row| row.1.chars().count()).max().unwrap_or(0);
    // Writing to a string cannot fail.
    for (key, value, source) in rows {
        let _ = writeln!(text, "  {key:keys$}  {value:values$}  {source}");
    }

    let mode = loaded.settings.mode;
    let _ = writeln!(text, "\nA termination in mode {mode}, in seconds");
    for moment in timeline(&loaded.settings) {
        let _ = writeln!(text, "  {:>6}  {}", moment.at.as_secs_f64(), moment.what);
    }
    if mode == Mode::Drain {
        text.push_str(&drain_notes(&loaded.settings));
    }

    if !loaded.advice.is_empty() {
        text.push_str("\nWarnings\n");
        for advice in &loaded.advice {
            let _ = writeln!(text, "  {advice}");
        }
    }
    text
}

/// What a drain does at no fixed second.
fn drain_notes(settings: &Settings) -> String {
    let mut notes = String::from(
        "  SIGTERM and the preStop hook share this clock; a hook that no SIGTERM follows is undone\n  \
         at the end of the grace period. grace_period has to be the pod's \
         terminationGracePeriodSeconds.\n",
    );
    if settings.admin_listen.is_some() && !settings.linger.is_zero() {
        let linger = humantime::format_duration(settings.linger);
        let _ = writeln!(
            notes,
            "  Once all is finished, a scrape that is due is waited for: at most {linger}, never past \
             the deadline."
        );
    }
    notes
}

fn document(loaded: &Loaded) -> serde_json::Value {
    let policy = loaded.settings.policy();
    let timeline: Vec<_> = timeline(&loaded.settings)
        .into_iter()
        .map(|moment| json!({ "at": moment.at.as_secs_f64(), "what": moment.what }))
        .collect();
    json!({
        "ok": true,
        "settings": loaded.effective,
        "mode": policy.mode,
        "budget_seconds": {
            "grace_period": policy.grace_period.as_secs_f64(),
            "deadline": policy.deadline().as_secs_f64(),
            "longest_delay": policy.longest_delay().as_secs_f64(),
            "drain": policy.drain_budget().as_secs_f64(),
        },
        "timeline": timeline,
        "warnings": loaded.advice,
    })
}

fn refusal(error: &ConfigError) -> serde_json::Value {
    json!({ "ok": false, "errors": error.problems() })
}
