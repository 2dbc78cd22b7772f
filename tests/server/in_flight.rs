//! What is in flight is counted to the last byte, and no longer.

use std::io::{Read as _, Write as _};

use serde_json::Value;

use crate::harness::{Server, connect, response, send};

fn requests(n: u64) -> impl Fn(&Value) -> bool {
    move |status| status["in_flight"]["requests"] == n
}

fn connections(n: u64) -> impl Fn(&Value) -> bool {
    move |status| status["connections"] == n
}

#[test]
fn a_client_that_resets_is_no_longer_counted() {
    let server = Server::start(&[]);
    let mut slow = connect(server.app);
    send(&mut slow, "GET", "/sleep/30", &[], b"");
    server.status_becomes("one in flight", requests(1));
    socket2::SockRef::from(&slow).set_linger(Some(std::time::Duration::ZERO)).expect("set");
    drop(slow);
    server.status_becomes("none in flight", requests(0));
    server.status_becomes("no connection", connections(0));
    let counted =
        "websample_http_requests_total{code=\"499\",phase=\"serving\",route=\"unmatched\"}";
    assert!((server.metric(counted) - 1.0).abs() < 1e-9);
}

#[test]
fn a_streamed_body_counts_to_its_end() {
    let server = Server::start(&[]);
    let mut stream = connect(server.app);
    send(&mut stream, "GET", "/stream/3", &[("connection", "close")], b"");
    let mut first = [0; 1];
    stream.read_exact(&mut first).expect("the head has come");
    server.status_becomes("one in flight", requests(1));
    stream.read_to_string(&mut String::new()).expect("the rest");
    server.status_becomes("none in flight", requests(0));
}

#[test]
fn a_response_that_is_not_read_counts_until_it_is() {
    let server = Server::start(&["--limits.body", "64MiB"]);
    let size = 32 << 20;
    let mut slow = connect(server.app);
    let mut writer = slow.try_clone().expect("cloned");
    let body = std::thread::spawn(move || {
        send(&mut writer, "POST", "/echo", &[], &vec![b'x'; size]);
    });
    body.join().expect("sent");
    server.status_becomes("one in flight", requests(1));
    // The handler has long answered; its bytes wait for the client.
    assert_eq!(server.status()["in_flight"]["requests"], 1);
    let answer = response(&mut slow);
    assert_eq!(answer.body.len(), size);
    server.status_becomes("none in flight", requests(0));
}

#[test]
fn a_websocket_counts_while_it_is_open() {
    let server = Server::start(&[]);
    let mut socket = connect(server.app);
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    send(&mut socket, "GET", "/ws", &headers, b"");
    assert_eq!(response(&mut socket).status, 101);
    server.status_becomes("one in flight", requests(1));
    // A masked text frame comes back unmasked.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).expect("sent");
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).expect("an echo");
    assert_eq!(echo, [0x81, 2, b'h', b'i']);
    // A close frame is answered, and the connection ends.
    socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]).expect("sent");
    let mut close = Vec::new();
    socket.read_to_end(&mut close).expect("the end");
    assert_eq!(close[0], 0x88);
    server.status_becomes("none in flight", requests(0));
    server.status_becomes("no connection", connections(0));
}

#[test]
fn probes_scrapes_and_hooks_are_not_traffic() {
    let server = Server::start(&[]);
    for path in ["/liveness", "/readiness"] {
        server.get(path);
        server.admin(path);
    }
    server.admin("/metrics");
    let text = server.admin("/metrics").body;
    let counted: f64 = text
        .lines()
        .filter(|line| line.starts_with("websample_http_requests_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(counted.abs() < 1e-9, "{text}");
    assert!(text.contains("websample_scrapes_total{phase=\"serving\"} 1"), "{text}");
}

#[test]
fn idle_connections_are_open_but_not_in_flight() {
    let server = Server::start(&[]);
    let mut kept: Vec<_> = (0..5).map(|_| connect(server.app)).collect();
    for connection in &mut kept {
        send(connection, "GET", "/", &[], b"");
        assert_eq!(response(connection).status, 201);
    }
    server.status_becomes("five connections", connections(5));
    server.status_becomes("none in flight", requests(0));
    drop(kept);
    server.status_becomes("no connection", connections(0));
}
