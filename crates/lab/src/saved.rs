//! Reports of runs that are over, read back from their files.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use super::report::{FILE, Report};

/// A report with the name that tells it from others.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Empty where there is no other.
    pub label: String,
    /// The report.
    pub report: Report,
}

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It is not there, or may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no report.
    #[error(
        "{}: not a report of `websample rollout`: {source}", path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        source: serde_json::Error,
    },
    /// A report of nothing.
    #[error("{}: holds no run", .0.display())]
    Empty(PathBuf),
}

/// Reads reports; a directory stands for the `report.json` in it.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Saved>, SavedError> {
    let labels = labels(paths);
    paths
        .iter()
        .zip(labels)
        .map(|(path, label)| Ok(Saved { label, report: read_one(path)? }))
        .collect()
}

fn read_one(path: &Path) -> Result<Report, SavedError> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let bytes = match bounded(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(SavedError::Unreadable { path, source }),
    };
    let report: Report = match serde_json::from_slice(&bytes) {
        Ok(report) => report,
        Err(source) => return Err(SavedError::Malformed { path, source }),
    };
    if report.runs.is_empty() { Err(SavedError::Empty(path)) } else { Ok(report) }
}

/// The largest report that is read, in bytes: 300 runs with every lost request take some MiB.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Reads a file that may be anything, also without an end.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe waits for somebody who writes to it.
    if fs::metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe, not a file"));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, LARGEST + 1), &mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let problem = format!("it is larger than {} MiB", LARGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(bytes)
}

/// The shortest names that tell the files apart: their own, else with their directories; with
/// a number where one file is there twice.
fn labels(paths: &[PathBuf]) -> Vec<String> {
    if paths.len() < 2 {
        return vec![String::new(); paths.len()];
    }
    let parts: Vec<Vec<String>> = paths.iter().map(|path| name_parts(path)).collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or(1);
    let with = |depth: usize| -> Vec<String> {
        parts.iter().map(|p| p[p.len().saturating_sub(depth)..].join("/")).collect()
    };
    let distinct = |labels: &[String]| {
        labels
            .iter()
            .enumerate()
            .all(|(i, label)| !label.is_empty() && !labels[..i].contains(label))
    };
    let found = (1..=longest).map(with).find(|labels| distinct(labels));
    found.unwrap_or_else(|| {
        with(1).iter().enumerate().map(|(i, label)| format!("{label} ({})", i + 1)).collect()
    })
}

/// The names of a path; `report.json` itself says nothing and is left out.
fn name_parts(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    if parts.len() > 1 && parts.last().is_some_and(|name| name == FILE) {
        parts.pop();
    }
    if let Some(last) = parts.last_mut()
        && let Some(stem) = last.strip_suffix(".json")
    {
        *last = stem.to_owned();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(paths: &[&str]) -> Vec<String> {
        labels(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn labels_are_the_shortest_that_differ() {
        assert_eq!(labelled(&["out/report.json"]), [""]);
        assert_eq!(labelled(&["before/report.json", "after"]), ["before", "after"]);
        assert_eq!(labelled(&["a/x.json", "b/x.json"]), ["a/x", "b/x"]);
        assert_eq!(labelled(&["x.json", "x.json"]), ["x (1)", "x (2)"]);
        assert_eq!(labelled(&["report.json", "old/report.json"]), ["report", "old"]);
    }

    #[test]
    fn a_file_that_is_no_report_is_named_with_the_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.json");
        let problem = |text: &str| {
            fs::write(&path, text).expect("written");
            read(std::slice::from_ref(&path)).expect_err(text).to_string()
        };
        assert!(problem("{").contains("x.json"));
        assert!(problem("{\"runs\":[{}]}").contains("missing field `mode`"));
        let none = read(&[directory.path().join("none.json")]).expect_err("nothing is there");
        assert!(none.to_string().contains("none.json"), "{none}");
    }
}
