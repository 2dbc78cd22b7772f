//! `scripts/observe` by itself.

use std::{
    net::TcpListener,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    client::Window,
    observer::{Observer, installed, listener, repository},
};

fn observe(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(repository("scripts/observe")).args(arguments).output();
    let output = output.expect("the script starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_explains_itself() {
    let (code, out, _) = observe(&["--help"]);
    assert_eq!(code, Some(0));
    for expected in ["--lab ADDRESS", "--prometheus ADDRESS", "-- ARGS", "Exit codes"] {
        assert!(out.contains(expected), "{expected} is not in\n{out}");
    }
    for wrong in [&["--port", "9090"][..], &["--lab"], &["--prometheus", "http://127.0.0.1"]] {
        let (code, _, err) = observe(wrong);
        assert_eq!(code, Some(64), "{wrong:?} {err}");
        assert!(err.contains(wrong[0]), "{err}");
    }
}

#[test]
fn an_address_that_is_taken_is_named_with_its_option() {
    if !installed() {
        return;
    }
    let taken = listener();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = observe(&["--prometheus", &address]);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains(&address) && err.contains("--prometheus"), "{err}");
}

#[test]
fn it_runs_the_rollout_too_and_keeps_what_was_scraped_until_it_is_told_to_end() {
    if !installed() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let small = ["--modes", "immediate", "--replicas", "1", "--mix", "20/s new GET /"];
    let observer = Observer::with_rollout(
        &[&small[..], &["--pre-stop", "none", "--out", out.to_str().unwrap()]].concat(),
    );
    assert!(out.join("report.json").exists());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let window = Window { from: now - 60.0, to: now };
    let total = "max_over_time(websample_lab_requests_due_total{mode=\"immediate\"}[1m])";
    let found = observer.prometheus.query(total, window).unwrap();
    assert!(found.len() == 1 && found[0].last() > 20.0, "{found:?}");
    assert_eq!(observer.end().code(), Some(0));
}

#[test]
fn it_ends_with_a_signal_and_takes_prometheus_along() {
    if !installed() {
        return;
    }
    let observer = Observer::start();
    let prometheus = observer.prometheus.0;
    let graphs = format!("graphs      http://{prometheus}/graph");
    assert!(observer.said().contains(&graphs), "{:?}", observer.said());
    TcpListener::bind(prometheus).expect_err("it listens there");
    assert_eq!(observer.end().code(), Some(0));
    TcpListener::bind(prometheus).expect("nobody listens any more");
}
