//! Metrics as promtool's linter sees them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Fails where promtool has something to say of these metrics; without promtool it says so.
pub(crate) fn finds_nothing_in(metrics: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("skipped: promtool not found (Debian package prometheus)");
        return;
    };
    promtool.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{metrics}");
}
