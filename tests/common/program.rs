//! Finding programs.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
};

/// A program, if it is installed. If not, the test run says so.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/counterparts/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let places =
        env::split_paths(&path).chain([local, "/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|program| program.is_file());
    if found.is_none() {
        // Not by a macro, whose output the test runner keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {name} not found");
    }
    found
}
