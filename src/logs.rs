//! Logs on standard output: for people on a terminal, as JSON elsewhere.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;

use crate::config::LogFormat;

/// Sends log events of at least this level to standard output, from now on.
///
/// Does nothing when the program has already set up its own logging.
pub fn init(format: LogFormat, level: LevelFilter) {
    let terminal = std::io::stdout().is_terminal();
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(true);
    // An error means that somebody else is already listening, whose choice counts.
    let _ = if format.is_json(terminal) {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(terminal).try_init()
    };
}
