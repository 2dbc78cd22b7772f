//! `scripts/observe` by itself.

use std::{net::TcpListener, process::Command};

use crate::observer::{Observer, installed, repository, unused};

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
    let taken = TcpListener::bind(unused()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = observe(&["--prometheus", &address]);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains(&address) && err.contains("--prometheus"), "{err}");
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
