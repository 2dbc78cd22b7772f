//! Somebody else's server: the three of `examples/servers`, as `docs/your-own-server.md` runs
//! them.

use std::process::{Command, Stdio};

use crate::harness::rollout;

const MIX: &str = "50/s new GET /, 25/s keep-alive GET /, 25/s keep-alive POST /echo body=64";

fn source(path: &str) -> String {
    format!("{}/examples/servers/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// Whether a program is installed; where it is not, its test says so.
fn installed(program: &str) -> bool {
    let version = if program == "go" { "version" } else { "--version" };
    let mut command = Command::new(program);
    let found = command.arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

/// Rolls a server out and checks that both versions answered, and that it ended well.
fn rolled_out(command: &[&str]) {
    let options = ["--readiness", "http:/readiness", "--pre-stop", "sleep:2s", "--mix", MIX];
    let ran = rollout(&[&options[..], &["--replicas", "2", "--"], command].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    let [run] = report["runs"].as_array().unwrap().as_slice() else { panic!("one run: {ran:?}") };
    let ok = run["outcomes"]["ok"].as_u64().unwrap();
    assert!(ok * 10 > run["requests"].as_u64().unwrap() * 9, "{ran:?}");
    let answered = |version: &str| {
        run["seconds"].as_array().unwrap().iter().any(|second| second["versions"][version].is_u64())
    };
    assert!(answered("v1") && answered("v2"), "{}", run["seconds"]);
    for pod in run["pods"].as_array().unwrap() {
        assert!(pod["version"] != "v1" || pod["exit"] == 0, "{pod}");
    }
}

#[test]
fn python() {
    if installed("python3") {
        rolled_out(&[
            "python3",
            &source("python/server.py"),
            "--host",
            "{host}",
            "--port",
            "{port}",
        ]);
    }
}

#[test]
fn node() {
    if installed("node") {
        rolled_out(&["node", &source("node/server.js"), "--host", "{host}", "--port", "{port}"]);
    }
}

#[test]
fn go() {
    if !installed("go") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = directory.path().join("server");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&server)
        .arg(".")
        .current_dir(source("go"))
        .status()
        .unwrap();
    assert!(built.success());
    rolled_out(&[server.to_str().unwrap(), "-listen", "{host}:{port}"]);
}
