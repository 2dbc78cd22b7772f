//! The drain report: in the log, in the termination message, and as the exit code.

use serde_json::Value;

use crate::harness::{Server, connect, send};

#[test]
fn what_is_cut_at_the_deadline_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("termination-log");
    std::fs::write(&log, "").expect("written");
    let mut server = Server::start(&[
        "--grace_period",
        "2s",
        "--margin",
        "500ms",
        "--delay.min",
        "200ms",
        "--delay.quiet",
        "50ms",
        "--delay.max",
        "1s",
        "--termination_log",
        log.to_str().expect("a path"),
    ]);
    // Known from a request that ended; and one that never did.
    server.get("/sleep/0");
    let mut slow = [connect(server.app), connect(server.app)];
    send(&mut slow[0], "GET", "/sleep/30", &[], b"");
    send(&mut slow[1], "GET", "/stream/30", &[], b"");
    server.status_becomes("two in flight", |s| s["in_flight"]["requests"] == 2);
    server.sigterm();
    assert_eq!(server.exit(), 3);

    let report = server.report();
    assert_eq!((report["outcome"].as_str(), report["cut_total"].as_u64()), (Some("cut"), Some(2)));
    let cut = report["cut"].as_array().expect("a list");
    let mut names: Vec<_> = cut.iter().filter_map(|c| c["what"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["/sleep/{seconds}", "/stream/{seconds}"]);
    assert!(cut.iter().all(|c| c["age_seconds"].as_f64().is_some_and(|age| age >= 1.4)), "{cut:?}");
    let termination = report["termination_seconds"].as_f64().expect("a time");
    assert!((1.5..2.0).contains(&termination), "cut before SIGKILL would have come: {report:#}");

    let message: Value =
        serde_json::from_str(&std::fs::read_to_string(&log).expect("read")).expect("JSON");
    assert_eq!(message, report);
}

#[test]
fn a_late_arrival_says_which_delay_would_have_covered_it() {
    let mut server = Server::start(&["--delay.min", "300ms", "--delay.quiet", "300ms"]);
    server.sigterm();
    server.reaches("lame_duck");
    server.get("/late");
    assert_eq!(server.exit(), 0);
    let report = server.report();
    let last = report["last_arrival_seconds"].as_f64().expect("an arrival");
    let needed = report["delay_needed_seconds"].as_f64().expect("a delay");
    assert!(needed >= last && needed < last + 0.1 + 1e-9, "{report:#}");
    let delay = report["delay_seconds"].as_f64().expect("a delay");
    assert!(delay >= last + 0.3 - 0.002, "quiet for 300 ms after it: {report:#}");
}
