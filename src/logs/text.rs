//! An event as a line for people, with colours on a terminal.

use std::fmt::{self, Debug, Write as _};

use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// Writes an event's line: time, level, where it comes from, what it says, its fields.
pub(super) fn write(out: &mut Vec<u8>, time: &[u8], event: &Event<'_>, colours: bool) {
    let metadata = event.metadata();
    let level = metadata.level();
    let mut line = Line { out, colours };
    line.styled(DIM, |line| line.out.extend_from_slice(time));
    line.out.push(b' ');
    line.styled(colour(*level), |line| line.print(format_args!("{:>5}", level.as_str())));
    line.out.push(b' ');
    line.styled(DIM, |line| line.print(format_args!("{}", metadata.target())));
    line.styled(DIM, |line| line.out.push(b':'));
    event.record(&mut line);
    line.out.push(b'\n');
}

const DIM: &[u8] = b"\x1b[2m";
const ITALIC: &[u8] = b"\x1b[3m";
const RESET: &[u8] = b"\x1b[0m";

fn colour(level: Level) -> &'static [u8] {
    match level {
        Level::ERROR => b"\x1b[31m",
        Level::WARN => b"\x1b[33m",
        Level::INFO => b"\x1b[32m",
        Level::DEBUG => b"\x1b[34m",
        Level::TRACE => b"\x1b[35m",
    }
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    colours: bool,
}

impl Line<'_> {
    fn styled(&mut self, style: &[u8], write: impl FnOnce(&mut Self)) {
        if self.colours {
            self.out.extend_from_slice(style);
        }
        write(self);
        if self.colours {
            self.out.extend_from_slice(RESET);
        }
    }

    fn print(&mut self, what: fmt::Arguments<'_>) {
        // An error could only be of somebody's `Debug`; the rest of the line is worth having.
        let _ = Printable(self.out).write_fmt(what);
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.out.push(b' ');
        let name = field.name();
        if name != "message" {
            self.styled(ITALIC, |line| {
                line.print(format_args!("{}", name.strip_prefix("r#").unwrap_or(name)));
            });
            self.styled(DIM, |line| line.out.push(b'='));
        }
        self.print(format_args!("{value:?}"));
    }
}

/// What others have said, without what a terminal would obey; also a line that ends early is none.
struct Printable<'a>(&'a mut Vec<u8>);

impl fmt::Write for Printable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(char::is_control) {
            self.0.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for char in text.chars() {
            if char.is_control() {
                self.0.extend(char.escape_default().map(|escaped| escaped as u8));
            } else {
                self.0.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(())
    }
}
