use std::time::{Duration, Instant};

use crate::common::{
    raw::{Client, End},
    server::Server,
};

/// A connection that has carried a request.
fn used(server: &Server) -> Client {
    let mut client = Client::to(server.app);
    let response = client.get("/");
    assert_eq!((response.status, response.says_close()), (201, false));
    // The client may have it before the server has counted it as sent.
    server.until("it is over", |status| status["in_flight"]["requests"] == 0);
    client
}

#[test]
fn the_lame_duck_says_close_on_every_response_and_leaves_idle_connections_alone() {
    let server = Server::start(&["--delay.min", "1s"]);
    let (mut asks, mut idle) = (used(&server), used(&server));
    server.sigterm().phase("lame_duck");
    let answered = asks.get("/");
    assert_eq!((answered.status, answered.says_close()), (201, true));
    asks.ends();
    for path in ["/", "/stream/1", "/nothing", "/sleep/x", "/liveness", "/readiness"] {
        let mut new = Client::to(server.app);
        assert!(new.get(path).says_close(), "{path}");
        new.ends();
    }
    assert!(!idle.has_something(), "closed before the lame duck was over");
    idle.ends();
    server.wait().clean();
}

#[test]
fn idle_connections_are_closed_with_a_fin_over_the_spread() {
    let server = Server::start(&["--close.spread", "1s"]);
    let mut idle: Vec<_> = (0..50).map(|_| used(&server)).collect();
    server.sigterm().phase("draining");
    let start = Instant::now();
    let ends: Vec<_> = std::thread::scope(|scope| {
        let ends: Vec<_> = idle
            .iter_mut()
            .map(|client| scope.spawn(move || (client.end(), start.elapsed())))
            .collect();
        ends.into_iter().map(|end| end.join().expect("an end")).collect()
    });
    assert!(ends.iter().all(|(end, _)| *end == (Vec::new(), End::Fin)));
    let early = ends.iter().filter(|(_, after)| *after < Duration::from_millis(500)).count();
    // Two workers, each of which spreads its own.
    assert!((15..=35).contains(&early), "{early} of 50 in the first half");
    server.wait().clean();
}

#[test]
fn requests_that_the_kernel_holds_at_the_close_are_answered() {
    // No lame duck: the idle connections are closed at once.
    let server = Server::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    let mut clients: Vec<_> = (0..100).map(|_| used(&server)).collect();
    server.freeze();
    for client in &mut clients {
        client.ask("/");
    }
    server.sigterm().thaw();
    for client in &mut clients {
        // It may say close or not: that depends on whether the signal or the request was first.
        assert_eq!(client.response().status, 201);
        client.ends();
    }
    server.wait().clean();
}

#[test]
fn requests_that_the_kernel_holds_when_their_connection_is_due_are_answered() {
    let server =
        Server::start(&["--delay.min", "0s", "--delay.quiet", "0s", "--close.spread", "1s"]);
    let mut clients: Vec<_> = (0..100).map(|_| used(&server)).collect();
    server.sigterm().phase("draining").freeze();
    // Once it goes on, the time of all of them has come.
    std::thread::sleep(Duration::from_secs(1));
    clients.retain(|client| !client.has_something());
    for client in &mut clients {
        client.ask("/");
    }
    server.thaw();
    assert!(clients.len() > 50, "{} left to ask", clients.len());
    for client in &mut clients {
        let response = client.response();
        assert_eq!((response.status, response.says_close()), (201, true));
        client.ends();
    }
    let ended = server.wait().clean();
    assert_eq!(ended.late(), clients.len() as u64, "{:#}", ended.report);
}

#[test]
fn a_head_that_has_begun_may_be_finished_while_draining() {
    let server = Server::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    let mut second = used(&server);
    second.send("GET / HTTP/1.1\r\nho");
    let mut first = Client::to(server.app);
    first.send("GET / HT");
    server.until("both are accepted", |status| status["connections"] == 2);
    server.sigterm().phase("draining");
    for client in [&mut first, &mut second] {
        assert!(!client.has_something());
    }
    first.send("TP/1.1\r\nhost: x\r\n\r\n");
    second.send("st: x\r\n\r\n");
    for client in [&mut first, &mut second] {
        assert_eq!(client.response().status, 201);
        client.ends();
    }
    server.wait().clean();
}

#[test]
fn a_head_that_is_never_finished_is_bounded() {
    let server = Server::start(&["--limits.header_timeout", "500ms"]);
    let mut second = used(&server);
    second.send("GET / HTTP/1.1\r\nho");
    second.ends();
    let mut first = Client::to(server.app);
    first.send("GET / HT");
    assert_eq!(first.response().status, 408);
    server.until_counts(0, 0);

    let mut drained = used(&server);
    drained.send("GET / HTTP/1.1\r\nho");
    server.sigterm().phase("draining");
    drained.ends();
    let ended = server.wait().clean();
    assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
}

#[test]
fn pipelined_requests_are_all_answered() {
    let server = Server::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    let mut clients: Vec<_> = (0..10).map(|_| used(&server)).collect();
    server.freeze();
    let requests = "GET /sleep/0.1 HTTP/1.1\r\nhost: x\r\n\r\nGET /stream/1 HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n";
    for client in &mut clients {
        client.send(requests);
    }
    server.sigterm().thaw();
    for client in &mut clients {
        let bodies = [client.response(), client.response(), client.response()].map(|r| r.body);
        assert_eq!(bodies, [b"".as_slice(), b"1 of 1\n", b""]);
        client.ends();
    }
    server.wait().clean();
}

#[test]
fn half_a_request_behind_another_may_be_finished_too() {
    let server = Server::start(&["--delay.min", "500ms"]);
    let mut client = used(&server);
    client.ask("/sleep/0.2");
    server.until_counts(1, 1);
    client.send("GET / HTTP/1.1\r\nho");
    assert!(!client.response().says_close());
    server.sigterm().phase("draining");
    assert!(!client.has_something());
    client.send("st: x\r\n\r\n");
    assert!(client.response().says_close());
    client.ends();
    server.wait().clean();
}

#[test]
fn slow_uploads_run_to_their_end() {
    let server = Server::start(&[]);
    let mut sized = Client::to(server.app);
    sized.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nab");
    let mut chunked = Client::to(server.app);
    chunked.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
    let mut expects = Client::to(server.app);
    expects.send(
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\nexpect: 100-continue\r\n\r\n",
    );
    assert_eq!(expects.head().expect("a head").status, 100);
    server.until_counts(3, 3);
    server.sigterm().phase("draining");
    std::thread::sleep(Duration::from_millis(100));
    sized.send("cd");
    chunked.send("2\r\ncd\r\n");
    expects.send("abcd");
    std::thread::sleep(Duration::from_millis(100));
    sized.send("ef");
    chunked.send("2\r\nef\r\n0\r\n\r\n");
    expects.send("ef");
    for client in [&mut sized, &mut chunked, &mut expects] {
        let response = client.response();
        assert_eq!((response.status, response.says_close()), (201, true));
        assert_eq!(response.body, b"abcdef");
        client.ends();
    }
    server.wait().clean();
}

#[test]
fn a_refused_upload_gets_its_answer_and_no_reset() {
    let server = Server::start(&["--limits.body", "1KiB"]);
    for _ in 0..10 {
        let mut client = Client::to(server.app);
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n";
        client.send(head).send(vec![b'x'; 100_000]);
        let mut writer = client.stream().try_clone().expect("a handle");
        let rest = std::thread::spawn(move || {
            // Refused half-way, which is the point.
            let _ = std::io::Write::write_all(&mut writer, &vec![b'x'; 3_900_000]);
        });
        assert_eq!(client.response().status, 413);
        rest.join().expect("it ends");
        let (_, end) = {
            client.finish();
            client.end()
        };
        assert_eq!(end, End::Fin);
    }
    server.stop().clean();
}

#[test]
fn who_has_not_spoken_yet_has_a_grace() {
    let server = Server::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    // A server to which somebody has just come waits a moment for handshakes that are under way: on a
    // busy machine those of the two may be.
    assert_eq!(Client::to(server.app).get("/").status, 201);
    // The clock of the grace starts when they are accepted.
    server.freeze();
    let (mut speaks, mut silent) = (Client::to(server.app), Client::to(server.app));
    server.sigterm().thaw().phase("draining");
    assert_eq!(speaks.get("/").status, 201);
    speaks.ends();
    silent.ends();
    let ended = server.wait().clean();
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
}

#[test]
fn a_stray_hook_takes_nothing_away_for_good() {
    let server = Server::start(&[
        "--grace_period",
        "2s",
        "--margin",
        "500ms",
        "--delay.min",
        "100ms",
        "--delay.quiet",
        "0s",
        "--delay.max",
        "200ms",
    ]);
    let mut before = used(&server);
    let hook = Client::to(server.admin).get("/prestop");
    assert_eq!(hook.status, 200);
    let mut told = Client::to(server.app);
    assert!(told.get("/").says_close());
    crate::common::eventually("it serves again", || server.times_in_phase("serving") == 2);
    for _ in 0..2 {
        assert!(!before.get("/").says_close());
    }
    let mut new = used(&server);
    let mut busy = used(&server);
    busy.ask("/sleep/0.5");
    server.until_counts(1, 3);
    server.sigterm();
    assert!(busy.response().says_close());
    for client in [&mut before, &mut new, &mut busy] {
        client.ends();
    }
    server.wait().clean();
}

#[test]
fn the_naive_graceful_mode_finishes_what_is_in_flight() {
    let server = Server::start(&["--mode", "graceful"]);
    let (mut idle, mut busy) = (used(&server), used(&server));
    busy.ask("/sleep/0.5");
    server.until_counts(1, 2);
    server.sigterm();
    idle.ends();
    assert_eq!(busy.response().status, 201);
    busy.ends();
    server.wait().clean();
}

#[test]
fn the_ignoring_mode_goes_on() {
    let server = Server::start(&["--mode", "ignore"]);
    let mut client = used(&server);
    server.sigterm().log_line(|line| line["message"] == "signal received and ignored");
    assert!(!client.get("/").says_close());
    assert!(!used(&server).has_something());
}
