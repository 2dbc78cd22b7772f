//! An event as a line of JSON.

use std::fmt::{self, Debug, Write as _};

use serde::Serialize;
use tracing::{
    Event,
    field::{Field, Visit},
};

/// Writes an event's line: its time, its level, its fields beside them, and where it comes from.
pub(super) fn write(out: &mut Vec<u8>, time: &[u8], event: &Event<'_>) {
    let metadata = event.metadata();
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(time);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(metadata.level().as_str().as_bytes());
    out.push(b'"');
    event.record(&mut Fields(out));
    out.extend_from_slice(b",\"target\":");
    string(out, metadata.target());
    out.extend_from_slice(b"}\n");
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}

/// Which bytes a string of JSON cannot have as they are.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut control = 0;
    while control < b' ' as usize {
        escaped[control] = true;
        control += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

fn escape(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| ESCAPED[usize::from(byte)]) {
        let start = out.len();
        serialize(out, text);
        // Without the quotes: it may be a part of a value.
        out.remove(start);
        out.pop();
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Whatever `serde_json` knows how to write.
fn serialize(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Nothing of what is written here fails: no keys, no files.
    let _ = serde_json::to_writer(out, value);
}

struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        let name = field.name();
        self.0.push(b',');
        string(self.0, name.strip_prefix("r#").unwrap_or(name));
        self.0.push(b':');
    }

    fn value(&mut self, field: &Field, value: &impl Serialize) {
        self.name(field);
        serialize(self.0, value);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        string(self.0, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        self.0.push(b'"');
        // An error could only be of somebody's `Debug`; the rest of the line is worth having.
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push(b'"');
    }
}
