//! HTTP/1.1 at its edges: upgrades that are none, heads and bodies that share a segment, empty lines.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use crate::common::{
    raw::Client,
    server::Server,
    tls::{Pair, connect},
};

/// The deadline comes 1.5 s after the signal.
const SHORT: &[&str] = &["--grace_period", "2s", "--margin", "500ms", "--delay.max", "500ms"];

#[test]
fn asking_for_another_protocol_lifts_no_limit() {
    let server = Server::start(&["--limits.body_timeout", "500ms"]);
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         content-length: 10\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\
         content-length: 10\r\n\r\nabc",
        "POST /sleep/0 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: foo\r\n\
         transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut client = Client::to(server.app);
        let status = client.send(request).response().status;
        assert_eq!(status, 408, "{request}");
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
fn half_a_head_behind_a_body_may_be_finished_while_draining() {
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

/// RFC 9112, section 9.6: what follows a response that says close is not for this connection.
#[test]
fn half_a_request_behind_a_response_that_says_close_is_not_waited_for() {
    let server = Server::start(&["--limits.header_timeout", "60s"]);
    let mut client = Client::to(server.app);
    client.send(POST_AND_HALF);
    server.until_counts(1, 1);
    server.sigterm();
    assert!(client.response().says_close());
    client.end();
    let ended = server.wait().clean();
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
fn empty_lines_between_requests_close_nothing() {
    let server = Server::start(&["--limits.header_timeout", "200ms"]);
    let mut client = Client::to(server.app);
    client.get("/");
    client.send("\r\n");
    // Longer than a head may take, and what is added to that.
    std::thread::sleep(Duration::from_millis(1_800));
    assert!(!client.has_something(), "neither an answer nor an end");
    assert_eq!(client.get("/").status, 201);
    let mut posts = Client::to(server.app);
    posts.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody\r\n");
    assert_eq!(posts.response().body, b"body");
    std::thread::sleep(Duration::from_millis(1_800));
    assert!(!posts.has_something(), "neither an answer nor an end");
    assert_eq!(posts.get("/").status, 201);
    server.sigterm().phase("draining");
    client.ends();
    posts.ends();
    server.wait().clean();
}
