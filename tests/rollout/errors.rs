//! What cannot be run says why, within its deadline, and leaves nothing behind.

use std::{net::TcpListener, time::Instant};

use crate::harness::{Lab, Ran, rollout};

/// A pod has this long to become Ready.
const READY_DEADLINE: u64 = 30;

fn failed(arguments: &[&str]) -> Ran {
    let ran = rollout(arguments);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.out.is_empty() && !ran.report_file().exists(), "{ran:?}");
    ran
}

#[test]
fn what_is_asked_wrongly_is_64_and_says_what_would_be_right() {
    for (arguments, expected) in [
        (&["--modes", "drian"][..], "drain"),
        (&["--modes", "drain+sleep:5"], "sleep:5s"),
        (&["--modes", "drain,drain"], "twice"),
        (&["--fail-on-loss", "canary"], "it can be ignore, immediate, graceful, drain"),
        (&["--fail-on", "canary:lost>0"], "it can be ignore, immediate, graceful, drain"),
        (&["--fail-on", "misses>0"], "measures are lost,"),
        (&["--propagation", "2s..1s"], "500ms..2s"),
        (&["--readiness", "https:/"], "add --tls"),
        (&["--readiness", "ready"], "use http:/path, https:/path, tcp or none"),
        (&["--rate", "0"], "--rate"),
        (&["--replicas", "0"], "--replicas"),
        (&["--repeat", "0"], "--repeat"),
        (&["--mix", "often GET /"], "--mix"),
        (&["--surge", "1"], "--surge"),
    ] {
        let ran = rollout(arguments);
        assert_eq!(ran.code, Some(64), "{arguments:?} {ran:?}");
        assert!(ran.err.contains(expected), "{expected} {ran:?}");
        assert!(ran.out.is_empty() && !ran.report_file().exists(), "{ran:?}");
    }
}

#[test]
fn a_program_that_does_not_exist() {
    let ran = failed(&["--", "no-such-server", "{port}"]);
    let expected = "websample: no-such-server: cannot start 'no-such-server': No such file";
    assert!(ran.err.contains(expected), "{ran:?}");
    assert!(ran.err.contains("; it is not on the PATH; install it"), "{ran:?}");
    let ran = failed(&["--", "pythn3", "-m", "http.server", "{port}"]);
    assert!(ran.err.contains("; it is not on the PATH; did you mean python3?"), "{ran:?}");
    let ran = failed(&["--", "./no-such-server"]);
    assert!(ran.err.contains("; there is no such file; paths are relative"), "{ran:?}");
}

#[test]
fn a_server_on_a_port_of_its_own_is_told_to_use_the_one_it_is_given() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let server = ["--", "python3", "-m", "http.server", &port, "--bind", "127.0.0.1"];
    let ran = failed(&server);
    assert!(ran.err.contains("ended with exit code 1 before it was ready; another pod"), "{ran:?}");
    let expected = format!("another pod listens on 127.0.0.1:{port}, which every pod would want");
    assert!(ran.err.contains(&expected) && ran.err.contains("use {host} and {port}"), "{ran:?}");
}

#[test]
fn what_a_server_does_not_have_is_told_before_anything_is_measured() {
    let server = ["--", "python3", "-m", "http.server", "{port}", "--bind", "{host}"];
    let mix = ["--replicas", "1", "--mix", "20/s new GET /, 5/s keep-alive POST /echo body=10"];
    let ran = failed(&[&mix[..], &server].concat());
    let said = "keep-alive POST /echo is answered with 501 here";
    assert!(ran.err.contains(said) && ran.err.contains("--mix '20/s new GET /'"), "{ran:?}");
}

#[test]
fn a_program_that_ends_at_once_is_quoted() {
    let script = "echo reading {version}; echo 'no configuration' >&2; exit 3";
    let ran = failed(&["--", "sh", "-c", script]);
    let error = ran.err.split_once("websample: ").unwrap().1;
    assert!(error.starts_with("sh: pod websample-v1-"), "{error}");
    assert!(
        error.contains("ended with exit code 3 before it was ready; its last output:"),
        "{error}"
    );
    assert!(
        error.contains("\n    | reading v1") && error.contains("\n    | no configuration"),
        "{error}"
    );
}

#[test]
fn a_program_that_never_gets_ready_has_a_deadline() {
    let began = Instant::now();
    let lab = Lab::start(&[], &["--", "sh", "-c", "echo waiting for a database; exec sleep 600"]);
    let ran = lab.end();
    assert_eq!(ran.code, Some(69), "{ran:?}");
    let took = began.elapsed().as_secs();
    assert!((READY_DEADLINE..2 * READY_DEADLINE).contains(&took), "{took} s {ran:?}");
    let error = ran.err.split_once("websample: ").unwrap().1;
    assert!(error.contains("was not ready after 30s (readiness probe: connect: "), "{error}");
    assert!(error.ends_with("; its last output:\n    | waiting for a database"), "{error}");
}

#[test]
fn a_port_in_use() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let ran = failed(&["--modes", "drain", "--replicas", "1", "--listen", &address]);
    let expected = format!("websample: drain: cannot listen on {address}: Address already in use");
    assert!(ran.err.contains(&expected) && ran.err.contains("choose another port"), "{ran:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_known_before_anything_is_run() {
    let ran = failed(&["--modes", "drain", "--out", "/proc/websample"]);
    let expected = "websample: --out: cannot write to /proc/websample: No such file or directory";
    assert!(ran.err.starts_with(expected), "nothing else was said: {ran:?}");
}
