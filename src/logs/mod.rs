//! Logs on standard output: for people on a terminal, as JSON elsewhere.
//!
//! They never hold the server up: see `writer`.

mod writer;

use std::{io::IsTerminal, time::Duration};

use tracing::level_filters::LevelFilter;

use self::writer::Writer;
pub use self::writer::dropped;
use crate::config::LogFormat;

/// How long the exit waits for lines that are still on their way, at most.
const FLUSH: Duration = Duration::from_millis(500);

/// The logs of this process; the last lines are written when it is dropped.
#[must_use = "the last lines are written when this is dropped"]
#[derive(Debug)]
pub struct Logs {
    writer: Option<Writer>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.flush(FLUSH);
        }
    }
}

/// Sends log events of at least this level to standard output, from now on; panics too, since a
/// handler's may come when nobody reads standard error any more.
///
/// Does nothing when the program has already set up its own logging.
///
/// # Errors
/// When the thread that writes cannot be had.
pub fn init(format: LogFormat, level: LevelFilter) -> std::io::Result<Logs> {
    let terminal = std::io::stdout().is_terminal();
    let writer = Writer::start(std::io::stdout())?;
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(true)
        // What cannot be written is counted; to complain on standard error could block, or panic.
        .log_internal_errors(false)
        .with_writer(writer.clone());
    let set = if format.is_json(terminal) {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(terminal).try_init()
    };
    // An error means that somebody else is already listening, whose choice counts.
    if set.is_err() {
        return Ok(Logs { writer: None });
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(target: "websample::panic", place, what, "panicked");
    }));
    Ok(Logs { writer: Some(writer) })
}
