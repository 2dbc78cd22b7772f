//! What the dashboards, the alerts and their documentation promise each other and the code.
//!
//! | file | its subject |
//! |---|---|
//! | `rules` | what every dashboard has to keep, rule by rule |
//! | `mutations` | that each rule notices when it is broken |
//! | `families` | the metrics: those of the code and those that are asked for |
//! | `promtool` | what Prometheus itself says to every expression, and the alerts' cases |
//! | `alerts` | alerts, their cases and their runbook |
//! | `mixin` | the alerts and rules in other forms |
//! | `documents` | what the documentation and the provisioning say |

#![cfg(feature = "lab")]

mod alerts;
mod board;
mod documents;
mod families;
mod mixin;
mod mutations;
mod promql;
mod promtool;
mod rules;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a directory whose names end like this, as paths in the repository; sorted.
fn files(directory: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository(directory)).expect("the directory is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().unwrap());
    let mut paths: Vec<_> = names
        .filter(|name| name.ends_with(ending))
        .map(|name| format!("{directory}/{name}"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{directory} has no {ending}");
    paths
}
