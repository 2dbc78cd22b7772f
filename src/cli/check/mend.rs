//! `websample check --fix`: what can be mended without knowing the programs, as a patch or in place.

use std::{fs, io, path::Path};

use similar::TextDiff;
use websample_manifest::fix::{Changed, Fixed, Why};

/// Where the mended files go.
#[derive(Debug, Clone, Copy)]
pub(super) enum To<'a> {
    /// A patch, in this file or on standard output.
    Patch(&'a str),
    /// The files themselves.
    Place,
}

/// Writes what was mended.
///
/// # Errors
/// A file that cannot be written, with its name.
pub(super) fn write(fixed: &Fixed, to: To<'_>) -> Result<(), (String, io::Error)> {
    match to {
        To::Patch("-") => {
            super::print(&patch(&fixed.changed));
            Ok(())
        }
        To::Patch(file) => written(file, &patch(&fixed.changed)),
        To::Place => fixed.changed.iter().try_for_each(|file| written(&file.name, &file.after)),
    }
}

fn written(name: &str, text: &str) -> Result<(), (String, io::Error)> {
    fs::write(Path::new(name), text).map_err(|error| (name.to_owned(), error))
}

/// What `git apply` and `patch -p1` read.
fn patch(changed: &[Changed]) -> String {
    let file = |file: &Changed| {
        let name = file.name.trim_start_matches("./");
        let diff = TextDiff::from_lines(&file.before, &file.after);
        let mut patch = diff.unified_diff();
        patch.header(&format!("a/{name}"), &format!("b/{name}")).to_string()
    };
    changed.iter().map(file).collect()
}

/// What was done and what is left, for whoever looks on.
pub(super) fn told(fixed: &Fixed) -> String {
    let mut lines = vec![format!(
        "mended {} in {}",
        counted(fixed.mended.len(), "finding"),
        counted(fixed.changed.len(), "file")
    )];
    for left in &fixed.left {
        let finding = &left.finding;
        let why = match left.why {
            Why::Advice => "takes somebody who knows the program",
            Why::Layout => "could not be mended without losing how the file is laid out",
            Why::Stays => "was changed, and is not mended by that",
        };
        lines.push(format!("  {}:{} {} {why}", finding.file, finding.line, finding.rule));
    }
    lines.join("\n")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
