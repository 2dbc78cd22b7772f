//! The flags that set settings: one for every key.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use websample::config::{ConfigFile, DEFAULT_FILE, KEYS, Key, Sources};

pub(super) const CONFIG: &str = "config";

/// Adds `--config` and a flag for every setting.
pub(super) fn with_flags(command: Command) -> Command {
    let file =
        Arg::new(CONFIG).long(CONFIG).value_name("FILE").value_parser(value_parser!(PathBuf)).help(
            format!("Read settings from this TOML file [default: {DEFAULT_FILE}, if it exists]"),
        );
    command.next_line_help(true).arg(file).args(KEYS.iter().map(flag))
}

fn flag(key: &Key) -> Arg {
    let help = format!(
        "{}\n[default: {}] [env: {}]",
        key.doc,
        key.initial.shown(),
        key.environment_name()
    );
    Arg::new(key.name)
        .long(key.name)
        .value_name(key.placeholder)
        .help_heading(key.group.title())
        .help(help)
}

/// Where to load settings from, given these flags.
pub(super) fn sources(matches: &ArgMatches) -> Sources {
    let mut sources = Sources::process();
    if let Some(path) = matches.get_one::<PathBuf>(CONFIG) {
        sources = sources.file(ConfigFile::Required(path.clone()));
    }
    for key in KEYS {
        if let Some(value) = matches.get_one::<String>(key.name) {
            sources = sources.flag(key.name, value);
        }
    }
    sources
}
