//! What `websample check --manifest` says of these manifests.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::rendered::text;

/// The exit code and what was found, as severity and rule; `None` where there is no kubectl.
fn check(directory: &str) -> Option<(i32, Vec<String>)> {
    let manifest = text(directory)?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_websample"))
        .args(["check", "--manifest", "-", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    child.stdin.take().expect("a pipe").write_all(manifest.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checked = document["checked"].as_array().expect("what was checked");
    assert_eq!(checked.len(), 1, "{directory}: one Deployment");
    let findings = document["findings"].as_array().expect("what was found").iter();
    let word = |finding: &Value, key: &str| finding[key].as_str().expect("a word").to_owned();
    let found = findings.map(|f| format!("{} {}", word(f, "severity"), word(f, "rule")));
    Some((output.status.code().expect("an exit code"), found.collect()))
}

#[test]
fn base_and_the_mode_drain_lose_nothing() {
    for directory in ["base", "modes/drain"] {
        let Some(checked) = check(directory) else { return };
        assert_eq!(checked, (0, Vec::new()), "{directory}");
    }
}

#[test]
fn the_naive_modes_lose_what_they_are_there_to_show() {
    for (directory, code, findings) in [
        ("modes/graceful", 0, &["warning endpoint-race"][..]),
        ("modes/ignore", 0, &["warning sigterm-ignored"]),
        ("modes/immediate", 1, &["error exits-at-once", "warning endpoint-race"]),
        ("original", 0, &["warning no-disruption-budget", "warning sigterm-ignored"]),
    ] {
        let Some((exit, mut found)) = check(directory) else { return };
        found.sort();
        assert_eq!(
            (exit, found.as_slice()),
            (code, &findings.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{directory}"
        );
    }
}
