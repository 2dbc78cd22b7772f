//! HTTP/1.1 at its edges: upgrades that are none, heads and bodies that share a segment, empty lines.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use crate::common::{
    raw::{Client, End},
    server::Server,
    tls::{Pair, connect},
};

/// The deadline comes 1.5 s after the signal.
const SHORT: &[&str] = &["--grace_period", "2s", "--margin", "500ms", "--delay.max", "500ms"];

/// A connection that has carried a request.
fn used(server: &Server) -> Client {
    let mut client = Client::to(server.app);
    assert_eq!(client.get("/").status, 201);
    client
}

/// Only an answered 101 makes another protocol of a connection.
#[test]
fn asking_for_another_protocol_lifts_no_limit() {
    let server = Server::start(&["--limits.body_timeout", "500ms"]);
    let upgrades = [
        "connection: upgrade\r\nupgrade: websocket",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "upgrade: websocket",
        "connection: upgrade\r\nupgrade: h2c",
        "connection: upgrade\r\nupgrade: anything",
    ];
    for upgrade in upgrades {
        // A header that a server may ignore.
        for path in ["/", "/sleep/0", "/stream/0", "/liveness"] {
            let mut client = Client::to(server.app);
            client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n\r\n"));
            let answer = client.try_response().map(|response| response.status);
            assert!(matches!(answer, Ok(200 | 201)), "{path} {upgrade}: {answer:?}");
        }
        let mut whole = Client::to(server.app);
        whole.send(format!(
            "POST /echo HTTP/1.1\r\nhost: x\r\n{upgrade}\r\ncontent-length: 3\r\n\r\nabcGET"
        ));
        assert_eq!(whole.response().body, b"abc", "{upgrade}");
        for stalled in ["content-length: 9\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\na"]
        {
            let mut client = Client::to(server.app);
            client.send(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n{stalled}"));
            assert_eq!(client.response().status, 408, "{upgrade} {stalled}");
        }
    }
    server.until_counts(0, 0);
    server.stop().clean();
}

#[test]
fn a_websocket_that_says_nothing_stays() {
    let server = Server::start(&["--limits.body_timeout", "300ms"]);
    let mut client = Client::to(server.app);
    client.send(
        "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(client.head().expect("a head").status, 101);
    std::thread::sleep(Duration::from_secs(1));
    server.until_counts(1, 1);
    // A masked ping with nothing in it, and its pong.
    client.send([0x89, 0x80, 0, 0, 0, 0]);
    let mut pong = [0; 2];
    (&mut client.stream()).read_exact(&mut pong).expect("a pong");
    assert_eq!(pong, [0x8A, 0]);
}

#[test]
fn a_head_that_is_still_arriving_at_the_deadline_is_cut_and_named() {
    let server = Server::start(&[SHORT, &["--limits.header_timeout", "60s"]].concat());
    let mut client = Client::to(server.app);
    client.get("/");
    client.send("GET / HTTP/1.1\r\nhost:");
    // Also one that has said nothing else on its connection.
    let mut other = Client::to(server.app);
    other.send("GET / HT");
    server.until_counts(0, 2);
    server.sigterm();
    let ended = server.wait();
    assert_eq!((ended.code, &ended.report["outcome"]), (Some(3), &"cut".into()));
    let expected = "a request whose head was still arriving";
    assert_eq!(ended.cut(), [expected, expected]);
}

/// In one segment: a request with a body, and the beginning of the next one.
const POST_AND_HALF: &[u8] = b"POST /sleep/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody\
                               GET / HTTP/1.1\r\nho";

#[test]
fn half_a_head_behind_a_body_may_be_finished() {
    let server = Server::start(&["--mode", "graceful"]);
    // The naive mode does not say close, so that the second request is the client's right.
    let mut client = Client::to(server.app);
    client.send(POST_AND_HALF);
    assert_eq!(client.response().status, 201);
    client.send("st: x\r\n\r\n");
    assert_eq!(client.response().status, 201);
    drop(client);
    server.stop().clean();
}

#[test]
fn half_a_head_behind_a_body_is_waited_for_at_the_close() {
    let server = Server::start(&["--delay.min", "1s"]);
    let mut client = Client::to(server.app);
    // Answered before the lame duck, so nothing has said close.
    client.send(
        b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbodyGET / HTTP/1.1\r\nho",
    );
    assert!(!client.response().says_close());
    server.sigterm().phase("draining");
    std::thread::sleep(Duration::from_millis(300));
    client.send("st: x\r\n\r\n");
    assert_eq!(client.response().status, 201);
    client.ends();
    server.wait().clean();
}

#[test]
fn half_a_head_behind_a_body_is_waited_for_over_tls_too() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--delay.min", "1s"]));
    let mut client = connect(server.app, &[b"http/1.1"]);
    client
        .write_all(
            b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbodyGET / HTTP/1.1\r\nho",
        )
        .expect("taken");
    let mut answer = Vec::new();
    while !answer.ends_with(b"body") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    server.sigterm().phase("draining");
    std::thread::sleep(Duration::from_millis(300));
    client.write_all(b"st: x\r\n\r\n").expect("taken");
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("close_notify");
    assert!(rest.starts_with("HTTP/1.1 201"), "{rest}");
    server.wait().clean();
}

#[test]
fn requests_that_were_not_begun_are_cut_and_reported() {
    let server = Server::start(SHORT);
    let mut first = Client::to(server.app);
    first.send("GET / HT");
    let mut second = Client::to(server.app);
    assert_eq!(second.get("/").status, 201);
    second.send("GET / HTTP/1.1\r\nhost: x\r\n");
    let mut pipelined = Client::to(server.app);
    pipelined.send("GET /sleep/60 HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\nGET");
    // Nothing of a request.
    let mut idle = Client::to(server.app);
    assert_eq!(idle.get("/").status, 201);
    idle.send("\r\n");
    server.until_counts(1, 4);
    server.sigterm();
    for client in [&mut first, &mut second, &mut pipelined, &mut idle] {
        assert_eq!(client.end(), (Vec::new(), End::Fin));
    }
    let ended = server.wait();
    assert_eq!((ended.code, &ended.report["outcome"]), (Some(3), &"cut".into()));
    let mut cut = ended.cut();
    cut.sort();
    let (half, behind) =
        ("a request whose head was still arriving", "a request that waited behind another");
    assert_eq!(cut, ["/sleep/{seconds}", behind, half, half, half]);
    assert_eq!(ended.report["cut_total"], 5);
}

/// Half a request, in the same segment as the one before it, which may have a body.
#[test]
fn half_a_request_in_the_segment_of_another_may_be_finished_too() {
    let server = Server::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    let firsts = [
        "GET /sleep/2 HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /sleep/2 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody",
        "POST /sleep/2 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nb\r\n\n",
        "POST /sleep/2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "GET /sleep/2 HTTP/1.1\r\nhost: x\r\n\r\nPOST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody",
    ];
    let mut clients = firsts.map(|_| used(&server));
    for (client, first) in clients.iter_mut().zip(firsts) {
        client.send(format!("{first}GET / HTTP/1.1\r\nho"));
    }
    server.until_counts(5, 5);
    server.sigterm().phase("draining");
    for (client, first) in clients.iter_mut().zip(firsts) {
        for _ in 0..first.matches("HTTP/1.1").count() {
            // While half of another one waits, none may say that it is the last.
            assert!(!client.response().says_close(), "{first:?}");
        }
        client.send("st: x\r\n\r\n");
        assert!(client.response().says_close(), "{first:?}");
        client.ends();
    }
    let ended = server.wait().clean();
    assert_eq!(ended.arrived(), 16);
}

#[test]
fn close_is_said_on_the_last_of_pipelined_requests_alone() {
    let server = Server::start(&["--delay.min", "1s"]);
    server.sigterm().phase("lame_duck");
    let pipelined = [
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /liveness HTTP/1.1\r\nhost: x\r\n\r\n",
        "\r\nPOST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n\n\n",
    ];
    let mut client = Client::to(server.app);
    client.send(pipelined.concat());
    let says_close = [client.response(), client.response(), client.response()];
    assert_eq!(says_close.map(|response| response.says_close()), [false, false, true]);
    client.ends();
    server.wait().clean();
}

/// A server that has said close processes no further request (RFC 9112, section 9.6).
#[test]
fn what_comes_behind_a_response_that_says_close_is_not_begun() {
    let server = Server::start(&["--delay.min", "1s"]);
    server.sigterm().phase("lame_duck");
    let mut client = Client::to(server.app);
    let head = client.ask("/stream/2").head().expect("a head");
    assert!(head.says_close());
    client.ask("/").send("GET / HT");
    while !client.chunk().expect("a chunk").is_empty() {}
    client.ends();
    let ended = server.wait().clean();
    assert_eq!(ended.arrived(), 1);
}

/// The body of a request may still be on its way when its response has said close.
#[test]
fn a_body_is_read_behind_a_response_that_says_close() {
    let server = Server::start(&["--delay.min", "1s"]);
    server.sigterm().phase("lame_duck");
    let mut client = Client::to(server.app);
    client.send("POST /stream/2 HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na");
    assert!(client.head().expect("a head").says_close());
    client.send("bc");
    while !client.chunk().expect("a chunk").is_empty() {}
    client.ends();
    server.wait().clean();
}

/// RFC 9112, section 2.2.
#[test]
fn empty_lines_between_requests_close_nothing() {
    let server = Server::start(&["--limits.header_timeout", "300ms", "--keep_alive", "4s"]);
    let mut split = used(&server);
    split.send("\r\n");
    let mut behind = used(&server);
    behind.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n\r\n\r\n");
    assert_eq!(behind.response().status, 201);
    let mut upload = used(&server);
    upload.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na\r\n");
    assert_eq!(upload.response().body, b"a");
    let mut alone = used(&server);
    for byte in "\n\n\r\n".split_inclusive('\n') {
        alone.send(byte);
    }
    let mut clients = [split, behind, upload, alone];
    // Longer than a head that has begun may take: the time limit and a second.
    std::thread::sleep(Duration::from_millis(1600));
    for client in &mut clients {
        assert!(!client.has_something());
        assert_eq!(client.get("/").status, 201);
    }
    // Nor do they keep it for ever.
    for client in &mut clients {
        client.send("\r\n");
    }
    let last = clients.map(|mut client| client.end().1);
    assert_eq!(last, [End::Fin; 4]);
    server.stop().clean();
}

#[test]
fn empty_lines_do_not_hold_the_exit() {
    let server = Server::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    let mut client = used(&server);
    client.send("\r\n");
    let ended = server.stop().clean();
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    client.ends();
}

#[test]
fn the_time_in_which_the_server_was_stopped_is_not_its_clients() {
    let server = Server::start(&["--limits.header_timeout", "2s"]);
    let connect = || Client::to(server.app);
    let mut half: Vec<_> = (0..5).map(|_| connect()).collect();
    for client in &mut half {
        // The limit of a first request is the dispatcher's own; this one is of a later one.
        assert_eq!(client.get("/").status, 201);
        client.send("GET /half HTTP/1.1\r\n");
    }
    let mut silent: Vec<_> = (0..5).map(|_| connect()).collect();
    server.until_counts(0, 10);
    server.freeze();
    for client in &mut half {
        client.send("Host: x\r\n\r\n");
    }
    for client in &mut silent {
        client.ask("/");
    }
    // As for want of a processor, or of a whole machine: all limits pass, a half head's is a second longer.
    std::thread::sleep(Duration::from_millis(3_500));
    server.thaw();
    for client in half.iter_mut().chain(&mut silent) {
        assert_eq!(client.response().status, 201);
    }
    server.stop().clean();
}
