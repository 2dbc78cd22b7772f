//! What Prometheus sees.

use crate::{
    harness::{Server, connect, request, send},
    promtool,
};

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let server = Server::start(&[]);
    server.get("/");
    let text = server.admin("/metrics");
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    promtool::finds_nothing_in(&text.body);
}

#[test]
fn requests_are_counted_by_route_code_and_the_phase_they_came_in() {
    let mut server =
        Server::start(&["--delay.min", "300ms", "--delay.quiet", "50ms", "--linger", "20s"]);
    let series = |route: &str, code: u16, phase: &str| {
        format!(
            "websample_http_requests_total{{code=\"{code}\",phase=\"{phase}\",route=\"{route}\"}}"
        )
    };
    // Somebody scrapes, and is waited for at the end.
    server.admin("/metrics");
    for _ in 0..3 {
        server.get("/a/path");
    }
    server.get("/sleep/x");
    let mut slow = connect(server.app);
    send(&mut slow, "GET", "/sleep/1", &[], b"");
    server.status_becomes("one in flight", |s| s["in_flight"]["requests"] == 1);
    server.sigterm();
    server.reaches("lame_duck");
    server.get("/late");
    server.reaches("drained");
    let text = server.admin("/metrics").body;
    for (series, value) in [
        (series("/{path:.*}", 201, "serving"), 3),
        (series("/sleep/{seconds}", 400, "serving"), 1),
        (series("/sleep/{seconds}", 201, "serving"), 1),
        (series("/{path:.*}", 201, "lame_duck"), 1),
        ("websample_termination_signals_total{signal=\"SIGTERM\"}".to_owned(), 1),
        ("websample_http_request_duration_seconds_count".to_owned(), 6),
        ("websample_http_request_duration_seconds_bucket{le=\"0.5\"}".to_owned(), 5),
        ("websample_http_requests_in_flight".to_owned(), 0),
    ] {
        assert!(text.lines().any(|line| line == format!("{series} {value}")), "{series}\n{text}");
    }
    assert_eq!(server.exit(), 0, "the scrape after the drain was the last");
}

#[test]
fn the_number_of_series_stays_small() {
    let server = Server::start(&[]);
    for path in ["/", "/sleep/0", "/sleep0", "/stream/1", "/a", "/b", "/c/d"] {
        request(server.app, "GET", path, &[("connection", "close")], b"");
    }
    let text = server.admin("/metrics").body;
    let series = text.lines().filter(|line| line.starts_with("websample_")).count();
    assert!(series <= 64, "{series} series\n{text}");
}

#[test]
fn unknown_paths_of_the_admin_listener_say_what_is_there() {
    let server = Server::start(&[]);
    let answer = server.admin("/metric");
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("/metrics"), "{}", answer.body);
}
