//! What is measured is built by cargo, and some of it run.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::server::Programs;

/// The project's directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo in a directory, as from a shell.
pub(crate) fn cargo(directory: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo has said of this program is news to build scripts, ring's for one: everything
    // would be built again, each time.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"].iter().any(|p| name.starts_with(p)) {
            cargo.env_remove(&*name);
        }
    }
    cargo.current_dir(directory).stdin(Stdio::null());
    cargo
}

/// What it prints; what it complains of is seen.
pub(crate) fn printed(mut command: Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{command:?} cannot be run"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?} failed: {}\n{text}", output.status);
    Ok(text)
}

fn dist(arguments: &[&str]) -> Result<PathBuf> {
    let mut build = cargo(root());
    build.args(["build", "--profile", "dist", "--quiet"]).args(arguments);
    ensure!(build.status().context("cargo cannot be run")?.success(), "{build:?} failed");
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("dist"))
}

/// Builds both servers, without the lab.
pub(crate) fn servers() -> Result<Programs> {
    let server = ["--package", "websample", "--no-default-features", "--features", "plain"];
    let directory = dist(&[&server[..], &["--bin", "websample", "--bin", "plain"]].concat())?;
    Ok(Programs {
        websample: directory.join("websample"),
        plain: directory.join("plain"),
        axum: PathBuf::new(),
    })
}

/// Builds the axum application.
pub(crate) fn axum() -> Result<Programs> {
    let directory = dist(&["--package", "websample-hyper", "--example", "cost"])?;
    Ok(Programs {
        websample: PathBuf::new(),
        plain: PathBuf::new(),
        axum: directory.join("examples/cost"),
    })
}
