//! What is in `deploy/`: manifests that a cluster takes and that agree with the server's settings,
//! an image that the Dockerfile can make, the compose files, and what there is without Kubernetes.

#![cfg(feature = "lab")]

mod check;
mod compose;
mod custom;
mod elsewhere;
mod image;
mod monitoring;
mod objects;
#[path = "../common/program.rs"]
mod program;
mod rendered;
mod restricted;
mod selectors;
mod settings;

use std::path::{Path, PathBuf};

/// A file or directory of this repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
