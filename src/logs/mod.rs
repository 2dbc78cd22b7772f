//! Logs on standard output: for people on a terminal, as JSON elsewhere.
//!
//! They never hold the server up:
//!
//! ```text
//! event ── subscriber ── json, text ── queue (a thread's own) ──┐
//!                                      queue (another's)      ──┴─ writer ── standard output
//! ```

mod clock;
mod json;
mod queue;
mod subscriber;
#[cfg(test)]
mod tests;
mod text;
mod writer;

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd as _,
    sync::Arc,
    time::Duration,
};

use tracing::level_filters::LevelFilter;

pub use self::queue::dropped;
use self::{
    queue::Shared,
    subscriber::{Format, Lines},
};
use crate::config::LogFormat;

/// How long the exit waits for lines that are still on their way: at most, and while nobody takes any.
const FLUSH: Duration = Duration::from_millis(1_500);
const STUCK: Duration = Duration::from_millis(500);

/// The logs of this process; the last lines are written when it is dropped.
#[must_use = "the last lines are written when this is dropped"]
#[derive(Debug)]
pub struct Logs {
    shared: Option<Arc<Shared>>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            writer::flush(shared, FLUSH, STUCK);
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
pub fn init(format: LogFormat, level: LevelFilter) -> io::Result<Logs> {
    let terminal = io::stdout().is_terminal();
    // Not through std's buffer, which does not say how much of it was taken.
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let shared = writer::start(out)?;
    let format =
        if format.is_json(terminal) { Format::Json } else { Format::Text { colours: terminal } };
    let lines = Lines { format, level, shared: Arc::clone(&shared) };
    // An error means that somebody else is already listening, whose choice counts.
    if tracing::subscriber::set_global_default(lines).is_err() {
        return Ok(Logs { shared: None });
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(target: "websample::panic", place, what, "panicked");
    }));
    Ok(Logs { shared: Some(shared) })
}
