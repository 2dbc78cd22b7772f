//! The preStop hook.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use crate::harness::{Server, connect, request, response, send};

const QUICK: [&str; 6] = ["--delay.min", "500ms", "--delay.quiet", "50ms", "--delay.max", "2s"];

fn start(more: &[&str]) -> Server {
    Server::start(&QUICK.iter().chain(more).copied().collect::<Vec<_>>())
}

#[test]
fn blocks_to_the_end_of_the_lame_duck_and_does_not_count_itself() {
    let mut server = start(&[]);
    let mut hook = connect(server.admin);
    let called = Instant::now();
    send(&mut hook, "GET", "/prestop", &[], b"");
    server.reaches("lame_duck");
    assert_eq!(server.status()["in_flight"]["requests"], 0);
    let answer = response(&mut hook);
    assert!(called.elapsed() >= Duration::from_millis(500));
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"phase":"lame_duck"}"#));
    assert_eq!(answer.header("connection"), Some("close"));
    // The SIGTERM that follows goes straight to draining.
    server.sigterm();
    assert_eq!(server.exit(), 0);
    let report = server.report();
    assert_eq!(
        (report["cause"].as_str(), report["last_arrival_seconds"].as_f64()),
        (Some("hook"), None)
    );
    let waited = report["delay_seconds"].as_f64().expect("a delay");
    assert!((0.5..1.5).contains(&waited), "{report:#}");
}

#[test]
fn can_be_on_both_listeners_and_they_share_one_clock() {
    let server = start(&["--hook.on_app_listener", "true"]);
    let mut calls = [server.app, server.admin].map(|address| {
        let mut call = connect(address);
        send(&mut call, "GET", "/prestop", &[], b"");
        call
    });
    for call in &mut calls {
        assert_eq!(response(call).status, 200);
    }
    let entered = || {
        server.metric("websample_lifecycle_phase_entered_timestamp_seconds{phase=\"lame_duck\"}")
    };
    let first = entered();
    assert_eq!(server.admin("/prestop").status, 200);
    assert!((entered() - first).abs() < 1e-9, "the same lame duck");
}

#[test]
fn is_refused_through_a_proxy_and_without_its_token() {
    let server = start(&["--hook.token", "s3cret", "--hook.on_app_listener", "true"]);
    let call =
        |headers: &[(&str, &str)]| request(server.app, "GET", "/prestop", headers, b"").status;
    assert_eq!(call(&[]), 403);
    assert_eq!(call(&[("x-prestop-token", "wrong!")]), 403);
    for header in [("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1"), ("via", "1.1 p")]
    {
        assert_eq!(call(&[("x-prestop-token", "s3cret"), header]), 403);
    }
    assert_eq!(server.get("/readiness").status, 200, "refused calls change nothing");
    assert_eq!(call(&[("x-prestop-token", "s3cret")]), 200);
    assert_eq!(server.get("/readiness").status, 503);
}

/// Whoever reaches the application, through whichever proxy, adds no headers that prove it.
#[test]
fn is_on_the_admin_listener_alone_where_there_is_one() {
    let server = start(&[]);
    for _ in 0..3 {
        let refused = server.get("/prestop");
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("admin listener"), "{}", refused.body);
    }
    assert_eq!(server.get("/readiness").status, 200);
    let origin = server.logged(|line| line["message"] == "refused a call of the preStop hook");
    assert!(origin["peer"].as_str().is_some_and(|peer| peer.contains("127.0.0.1")), "{origin}");
    assert_eq!(server.admin("/prestop").status, 200);
    server.logged(|line| line["message"] == "the preStop hook was called");
}

#[test]
fn a_head_begins_nothing() {
    let server = start(&[]);
    let mut call = connect(server.admin);
    send(&mut call, "HEAD", "/prestop", &[], b"");
    let mut line = [0; 12];
    call.read_exact(&mut line).expect("an answer");
    assert_eq!(&line, b"HTTP/1.1 405");
    assert_eq!(server.get("/readiness").status, 200);
}

#[test]
fn that_no_sigterm_follows_does_not_let_the_next_one_begin() {
    let server = start(&["--grace_period", "3s", "--margin", "500ms"]);
    assert_eq!(server.admin("/prestop").status, 200);
    server.logged(|line| line["from"] == "lame_duck" && line["to"] == "serving");
    assert_eq!(server.admin("/prestop").body, r#"{"phase":"serving"}"#);
    assert_eq!(server.get("/readiness").status, 200);
}

#[test]
fn answers_at_once_and_changes_nothing_in_the_other_modes() {
    for mode in ["ignore", "immediate", "graceful"] {
        let server = start(&["--mode", mode]);
        assert_eq!(server.admin("/prestop").body, r#"{"phase":"serving"}"#, "{mode}");
        assert_eq!(server.get("/readiness").status, 200, "{mode}");
    }
}

#[test]
fn that_no_sigterm_follows_is_undone_after_the_grace_period() {
    let mut server = start(&["--grace_period", "3s", "--margin", "500ms"]);
    assert_eq!(server.admin("/prestop").status, 200);
    assert_eq!(server.get("/readiness").status, 503);
    server.logged(|line| line["from"] == "lame_duck" && line["to"] == "serving");
    assert_eq!(server.get("/readiness").status, 200);
    assert_eq!(server.get("/").header("connection"), None, "clients may stay again");
    server.sigterm();
    assert_eq!(server.exit(), 0);
}

#[test]
fn other_methods_are_refused() {
    let server = start(&[]);
    for (path, allowed) in
        [("/prestop", "GET"), ("/liveness", "GET, HEAD"), ("/readiness", "GET, HEAD")]
    {
        let refused = request(server.app, "POST", path, &[], b"");
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allowed)), "{path}");
    }
}
