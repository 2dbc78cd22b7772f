use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::common::{
    http2::{Client, Frame, LARGEST_STREAM},
    server::{Server, binary},
    tls::{Pair, TlsClient, connect, make, shown_by},
};

const H1: &[&[u8]] = &[b"http/1.1"];
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Reads a response without a body.
fn response(client: &mut TlsClient) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a response");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// The end of the connection, which rustls believes only after a close_notify.
fn ends(mut client: TlsClient) {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("close_notify");
    assert_eq!(rest, b"");
}

fn used(server: &Server) -> TlsClient {
    let mut client = connect(server.app, H1);
    client.write_all(GET).expect("it is taken");
    assert!(!response(&mut client).contains("connection: close"));
    client
}

#[test]
fn http1_over_tls_is_told_and_then_closed_with_close_notify() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&[]));
    let (mut asks, idle, silent) = (used(&server), used(&server), connect(server.app, H1));
    let old = connect(server.app, &[]);
    server.sigterm().phase("lame_duck");
    asks.write_all(GET).expect("it is taken");
    assert!(response(&mut asks).contains("connection: close"));
    for client in [asks, idle, silent, old] {
        ends(client);
    }
    server.wait().clean();
}

#[test]
fn http2_over_tls_gets_both_goaways() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&[]));
    let tls = connect(server.app, &[b"h2", b"http/1.1"]);
    assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Client::new(tls, 1 << 20);
    client.send(&Frame::get(1, "/")).send(&Frame::get(3, "/sleep/0.5"));
    client.response(1);
    server.sigterm();
    client.response(3);
    client.end();
    assert_eq!(client.goaways(), [(LARGEST_STREAM, 0), (3, 0)]);
    drop(client);
    server.wait().clean();
}

#[test]
fn requests_that_the_kernel_holds_are_answered() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--delay.min", "0s", "--delay.quiet", "0s"]));
    let mut clients: Vec<_> = (0..30).map(|_| used(&server)).collect();
    server.freeze();
    for client in &mut clients {
        client.write_all(GET).expect("it is taken");
    }
    server.sigterm().thaw();
    for mut client in clients {
        assert!(response(&mut client).starts_with("HTTP/1.1 201"));
        ends(client);
    }
    server.wait().clean();
}

/// The first part of a record is in rustls' hands, the second still on its way: neither the
/// kernel nor the HTTP parser know of a request.
#[test]
fn a_request_whose_record_has_come_in_part_is_answered() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--delay.min", "0s", "--delay.quiet", "0s"]));
    let mut client = used(&server);
    let mut record = Vec::new();
    client.conn.writer().write_all(GET).expect("it is taken");
    client.conn.write_tls(&mut record).expect("a record");
    let (first, second) = record.split_at(record.len() / 2);
    client.sock.write_all(first).expect("it is taken");
    std::thread::sleep(Duration::from_millis(100));
    server.sigterm().phase("draining");
    std::thread::sleep(Duration::from_millis(200));
    client.sock.write_all(second).expect("it is taken");
    assert!(response(&mut client).starts_with("HTTP/1.1 201"));
    ends(client);
    server.wait().clean();
}

#[test]
fn half_a_request_in_the_record_of_another_may_be_finished_too() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--delay.min", "0s", "--delay.quiet", "0s"]));
    let mut client = used(&server);
    client
        .write_all(b"POST /sleep/0.3 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbodyGET / HT")
        .expect("it is taken");
    server.until_counts(1, 1);
    server.sigterm().phase("draining");
    assert!(!response(&mut client).contains("connection: close"));
    client.write_all(b"TP/1.1\r\nhost: x\r\n\r\n").expect("it is taken");
    assert!(response(&mut client).contains("connection: close"));
    ends(client);
    server.wait().clean();
}

#[test]
fn empty_lines_between_requests_are_ignored() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--limits.header_timeout", "300ms"]));
    let mut client = used(&server);
    client.write_all(b"\r\n").expect("it is taken");
    std::thread::sleep(Duration::from_millis(1600));
    client.write_all(GET).expect("it is taken");
    assert!(response(&mut client).starts_with("HTTP/1.1 201"));
    server.sigterm();
    ends(client);
    server.wait().clean();
}

/// A request is one from the first byte of its record.
#[test]
fn requests_that_were_not_begun_are_cut_and_reported() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&[
        "--grace_period",
        "2s",
        "--margin",
        "1s",
        "--delay.max",
        "500ms",
    ]));
    let mut half = used(&server);
    half.write_all(b"GET / HT").expect("it is taken");
    let mut record = used(&server);
    let mut bytes = Vec::new();
    record.conn.writer().write_all(GET).expect("it is taken");
    record.conn.write_tls(&mut bytes).expect("a record");
    record.sock.write_all(&bytes[..bytes.len() / 2]).expect("it is taken");
    let ended = server.stop();
    assert_eq!((ended.code, &ended.report["outcome"]), (Some(3), &"cut".into()));
    assert_eq!(ended.cut(), ["a request whose head was still arriving"; 2]);
    drop((half, record));
}

/// Nobody speaks WebSocket on this path.
#[test]
fn an_upgrade_that_is_not_answered_lifts_no_limit() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--limits.body_timeout", "500ms"]));
    let upgrade = "connection: upgrade\r\nupgrade: websocket";
    let mut asks = connect(server.app, H1);
    asks.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n\r\n").as_bytes())
        .expect("it is taken");
    assert!(response(&mut asks).starts_with("HTTP/1.1 201"));
    let mut stalls = connect(server.app, H1);
    let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\n{upgrade}\r\ncontent-length: 9\r\n\r\n");
    stalls.write_all(head.as_bytes()).expect("it is taken");
    assert!(response(&mut stalls).starts_with("HTTP/1.1 408"));
    drop((asks, stalls));
    server.until_counts(0, 0);
    server.stop().clean();
}

#[test]
fn handshakes_that_are_never_finished_do_not_hold_the_exit() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--limits.header_timeout", "1s"]));
    let silent = TcpStream::connect(server.app).expect("a connection");
    let mut begun = TcpStream::connect(server.app).expect("a connection");
    begun.write_all(&[22, 3, 1, 2, 0, 1, 0]).expect("it is taken");
    let mut nonsense = TcpStream::connect(server.app).expect("a connection");
    nonsense.write_all(GET).expect("it is taken");
    server.until("two are left", |status| status["connections"] == 2);
    let ended = server.stop().clean();
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    drop((silent, begun));
}

#[test]
fn a_new_certificate_serves_new_connections_and_disturbs_no_old_one() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&[]));
    let mut old = used(&server);
    let first = shown_by(server.app);

    // A key that does not belong to it is refused, and the old pair stays.
    let (cert, key) = make("two");
    std::fs::write(pair.cert(), &cert).expect("written");
    let refused = server.log_line(|line| {
        line["message"].as_str().is_some_and(|text| text.contains("certificate not reloaded"))
    });
    assert_eq!(refused["level"], "ERROR");
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("does not belong to")));
    assert_eq!(shown_by(server.app), first);

    std::fs::write(pair.key(), &key).expect("written");
    server.log_line(|line| line["message"] == "certificate reloaded");
    assert_ne!(shown_by(server.app), first);
    old.write_all(GET).expect("it is taken");
    assert!(response(&mut old).starts_with("HTTP/1.1 201"));

    // What is no certificate at all is refused as well.
    let second = shown_by(server.app);
    std::fs::write(pair.cert(), "no certificate").expect("written");
    server.log_line(|line| {
        line["error"].as_str().is_some_and(|why| why.contains("holds no usable certificate"))
    });
    assert_eq!(shown_by(server.app), second);
    server.sigterm();
    ends(old);
    server.wait().clean();
}

#[test]
fn files_that_cannot_be_used_are_configuration_errors() {
    let (pair, other) = (Pair::new("one"), Pair::new("two"));
    let key = other.key().display().to_string();
    let cert = pair.cert().display().to_string();
    let cases: [(&str, &str, &str); 3] = [
        (&cert, &key, "does not belong to the certificate"),
        (&cert, &cert, "holds no usable private key"),
        (&key, &key, "holds no usable certificate"),
    ];
    for (cert, key, expected) in cases {
        let listen = ["serve", "--listen", "127.0.0.1:0", "--admin.listen", "off"];
        let refused = binary()
            .args(listen)
            .args(["--tls.cert", cert, "--tls.key", key])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(64), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
