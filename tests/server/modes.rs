//! What a termination signal does in each mode, and what the probes say meanwhile.

use std::{net::TcpStream, process::Command};

use nix::sys::signal::Signal::{SIGINT, SIGTERM};

use crate::harness::{Server, connect, response, send};

const QUICK: [&str; 6] = ["--delay.min", "300ms", "--delay.quiet", "50ms", "--delay.max", "2s"];

fn flags<'a>(more: &[&'a str]) -> Vec<&'a str> {
    QUICK.iter().chain(more).copied().collect()
}

#[test]
fn ignore_logs_every_signal_and_goes_on_serving_ready() {
    let mut server = Server::start(&["--mode", "ignore"]);
    for signal in [SIGTERM, SIGINT] {
        server.signal(signal);
        server.logged(|line| {
            line["message"] == "signal received and ignored" && line["signal"] == signal.as_str()
        });
        assert_eq!(server.get("/").status, 201);
        assert_eq!(server.get("/readiness").status, 200);
    }
    // The original's line, once a second.
    server.logged(|line| line["message"] == "connection" && line["in_flight"] == 0);
    assert!(server.is_running());
}

#[test]
fn ignore_does_so_as_pid_1_too() {
    let program = env!("CARGO_BIN_EXE_websample");
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc", "true"]);
    if !unshare.status().is_ok_and(|status| status.success()) {
        println!("skipped: unshare may not make a PID namespace here");
        return;
    }
    let mut unshare = Command::new("unshare");
    // The shell is PID 1 until it is replaced; signals come from inside the namespace, where a
    // PID 1 without a handler would not get them.
    let script =
        format!("(sleep 0.5; kill -TERM 1; sleep 0.2; kill -INT 1) & exec {program} \"$@\"");
    unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script]);
    unshare.args(["sh", "serve", "--mode", "ignore"]);
    let mut server = Server::spawn(unshare, &[]);
    for signal in ["SIGTERM", "SIGINT"] {
        server.logged(|line| {
            line["message"] == "signal received and ignored" && line["signal"] == signal
        });
    }
    assert_eq!(server.get("/").status, 201);
    assert!(server.is_running());
}

#[test]
fn immediate_exits_at_once_with_the_signals_code() {
    for (signal, code) in [(SIGTERM, 143), (SIGINT, 130)] {
        let mut server = Server::start(&["--mode", "immediate"]);
        let mut slow = connect(server.app);
        send(&mut slow, "GET", "/sleep/30", &[], b"");
        server.status_becomes("a request in flight", |s| s["in_flight"]["requests"] == 1);
        server.signal(signal);
        assert_eq!(server.exit(), code);
    }
}

#[test]
fn graceful_closes_at_once_and_finishes_what_is_in_flight() {
    let mut server = Server::start(&["--mode", "graceful"]);
    let mut slow = connect(server.app);
    send(&mut slow, "GET", "/sleep/1", &[], b"");
    server.status_becomes("a request in flight", |s| s["in_flight"]["requests"] == 1);
    server.sigterm();
    server.reaches("draining");
    server.status_becomes("a closed listener", |_| TcpStream::connect(server.app).is_err());
    let answer = response(&mut slow);
    assert_eq!((answer.status, answer.header("connection")), (201, Some("close")));
    assert_eq!(server.exit(), 0);
    let phases = server.report()["phases"].clone();
    let names: Vec<_> = phases.as_array().expect("a list").iter().map(|p| &p["phase"]).collect();
    assert_eq!(names, ["starting", "serving", "draining", "drained"]);
}

#[test]
fn drain_is_not_ready_at_once_but_serves_until_traffic_has_moved_away() {
    let mut server = Server::start(&flags(&["--mode", "drain"]));
    let mut slow = connect(server.app);
    send(&mut slow, "GET", "/sleep/1", &[], b"");
    server.status_becomes("a request in flight", |s| s["in_flight"]["requests"] == 1);
    server.sigterm();
    server.reaches("lame_duck");
    let readiness = server.get("/readiness");
    assert_eq!((readiness.status, readiness.body.as_str()), (503, r#"{"phase":"lame_duck"}"#));
    let late = server.get("/late");
    assert_eq!((late.status, late.header("connection")), (201, Some("close")));
    assert_eq!(late.header("x-websample-phase"), Some("lame_duck"));
    server.reaches("draining");
    server.status_becomes("a closed listener", |_| TcpStream::connect(server.app).is_err());
    assert_eq!(response(&mut slow).status, 201);
    assert_eq!(server.exit(), 0);
    let report = server.report();
    assert_eq!(report["outcome"], "clean");
    assert_eq!(report["requests"]["lame_duck"], 1, "{report:#}");
    assert_eq!(report["signal"], "SIGTERM");
}

#[test]
fn liveness_is_200_in_every_phase() {
    let mut server = Server::start(&flags(&["--linger", "20s"]));
    let alive = |server: &Server| {
        assert_eq!(server.admin("/liveness").status, 200);
    };
    // Somebody scrapes: the admin listener waits for the last one.
    assert_eq!(server.admin("/metrics").status, 200);
    let mut slow = connect(server.app);
    send(&mut slow, "GET", "/sleep/1", &[], b"");
    server.status_becomes("a request in flight", |s| s["in_flight"]["requests"] == 1);
    alive(&server);
    assert_eq!(server.get("/liveness").status, 200);
    server.sigterm();
    server.reaches("lame_duck");
    alive(&server);
    assert_eq!(server.get("/liveness").status, 200);
    server.reaches("draining");
    alive(&server);
    assert_eq!(response(&mut slow).status, 201);
    server.reaches("drained");
    alive(&server);
    assert_eq!(server.admin("/readiness").status, 503);
    // The last scrape ends it.
    assert!(server.admin("/metrics").body.contains("phase=\"drained\"} 1"));
    assert_eq!(server.exit(), 0);
}

#[test]
fn readiness_can_stay_on_in_the_lame_duck() {
    let mut server = Server::start(&flags(&["--readiness.on_drain", "keep"]));
    server.sigterm();
    server.reaches("lame_duck");
    assert_eq!(server.get("/readiness").status, 200);
    assert_eq!(server.exit(), 0);
}

/// What `/readiness` answers to whoever calls himself this.
fn readiness(server: &Server, agent: &str) -> u16 {
    let mut client = connect(server.admin);
    send(&mut client, "GET", "/readiness", &[("user-agent", agent)], b"");
    response(&mut client).status
}

#[test]
fn readiness_can_hold_for_the_kubelet_while_requests_still_come() {
    let long = ["--grace_period", "2m", "--delay.quiet", "5s", "--delay.max", "90s"];
    let auto = [&["--delay.min", "30s", "--readiness.on_drain", "auto"], &long[..]].concat();
    let mut server = Server::start(&auto);
    let requests = |n| (0..n).for_each(|_| assert_eq!(server.get("/").status, 201));
    let kubelet = || readiness(&server, "kube-probe/1.36");
    // How often it asks is learned from its probes.
    assert_eq!(kubelet(), 200);
    requests(30);
    assert_eq!(kubelet(), 200);
    server.sigterm();
    server.reaches("lame_duck");
    requests(30);
    assert_eq!(kubelet(), 200);
    assert_eq!(readiness(&server, "GoogleHC/1.0"), 503, "a load balancer is told at once");
    assert_eq!(server.get("/readiness").status, 503);
    // Nobody else came: the traffic has moved away.
    assert_eq!(kubelet(), 503);
    requests(30);
    assert_eq!(kubelet(), 200);
    server.signal(SIGINT);
    assert_eq!(server.exit(), 0);
}

#[test]
fn a_second_signal_while_draining_forces_the_exit() {
    let mut server = Server::start(&flags(&[]));
    let mut slow = connect(server.app);
    send(&mut slow, "GET", "/sleep/30", &[], b"");
    server.status_becomes("a request in flight", |s| s["in_flight"]["requests"] == 1);
    server.sigterm();
    server.reaches("draining");
    server.sigterm();
    assert_eq!(server.exit(), 143);
    assert_eq!(server.report()["outcome"], "forced");
}
