//! The sample application's routes, and what it says to nonsense.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use crate::harness::{Server, connect, request, response, send};

#[test]
fn the_status_tells_the_version_on_every_path() {
    for (version, status) in [("v1", 201), ("v2", 202), ("canary", 200)] {
        let server = Server::start(&["--version", version, "--instance", "pod-7"]);
        for path in ["/", "/anything/at/all?x=1", "/readinessy", "/sleepy"] {
            let answer = server.get(path);
            assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{path}");
            assert_eq!(answer.header("x-websample-version"), Some(version));
            assert_eq!(answer.header("x-websample-instance"), Some("pod-7"));
            assert_eq!(answer.header("x-websample-phase"), Some("serving"));
        }
    }
}

#[test]
fn the_originals_environment_names_the_version() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_websample"));
    command.arg("serve").env("version", "v2");
    assert_eq!(Server::spawn(command, &[]).get("/").status, 202);
}

#[test]
fn both_forms_of_sleep_really_sleep() {
    let server = Server::start(&[]);
    for path in ["/sleep/0.3", "/sleep0.3"] {
        let began = Instant::now();
        assert_eq!(server.get(path).status, 201);
        assert!(began.elapsed() >= Duration::from_millis(300), "{path}");
    }
}

#[test]
fn bad_numbers_are_refused_with_a_reason() {
    let server = Server::start(&["--limits.sleep", "10s"]);
    for path in
        ["/sleep/", "/sleep/x", "/sleep/-1", "/sleep/11", "/sleep99", "/stream/1e9", "/stream/NaN"]
    {
        let refused = server.get(path);
        if path == "/sleep/" {
            assert_eq!(refused.status, 201, "no N at all: a path like any other");
            continue;
        }
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.body.contains("second"), "{path}: {}", refused.body);
    }
}

#[test]
fn a_stream_sends_a_chunk_a_second() {
    let server = Server::start(&[]);
    let began = Instant::now();
    let answer = request(server.app, "GET", "/stream/2", &[("connection", "close")], b"");
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.status, 201);
    assert!(answer.body.contains("1 of 2") && answer.body.contains("2 of 2"), "{}", answer.body);
}

#[test]
fn echo_sends_the_body_back_up_to_the_limit() {
    let server = Server::start(&["--limits.body", "1KiB"]);
    let kind = [("content-type", "text/x-test")];
    let answer = request(server.app, "POST", "/echo", &kind, b"hello");
    assert_eq!((answer.status, answer.body.as_str()), (201, "hello"));
    assert_eq!(answer.header("content-type"), Some("text/x-test"));
    for path in ["/echo", "/anything"] {
        let refused = request(server.app, "POST", path, &[], &[b'x'; 4096]);
        assert_eq!(refused.status, 413, "{path}");
        assert!(refused.body.contains("limits.body"), "{}", refused.body);
    }
}

#[test]
fn a_body_that_nobody_reads_leaves_its_connection_usable() {
    let server = Server::start(&[]);
    let mut connection = connect(server.app);
    for _ in 0..3 {
        send(&mut connection, "POST", "/anything", &[], &[b'x'; 2000]);
        assert_eq!(response(&mut connection).status, 201);
    }
}

#[test]
fn events_come_one_a_second() {
    let server = Server::start(&[]);
    let mut connection = connect(server.app);
    send(&mut connection, "GET", "/events", &[], b"");
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains("id: 1") {
        let read = connection.read(&mut buffer).expect("an event");
        assert_ne!(read, 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(text.contains("text/event-stream") && text.contains("event: tick"), "{text}");
}

#[test]
fn half_a_head_is_not_waited_for_forever() {
    let server = Server::start(&["--limits.header_timeout", "300ms"]);
    for half in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut connection = connect(server.app);
        connection.write_all(half.as_bytes()).expect("sent");
        let mut answer = String::new();
        // Refused with 408 or closed, but never left hanging.
        connection.read_to_string(&mut answer).expect("the end, not a time-out");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{half:?}: {answer}");
    }
    // A second request's head likewise.
    let mut connection = connect(server.app);
    send(&mut connection, "GET", "/", &[], b"");
    assert_eq!(response(&mut connection).status, 201);
    connection.write_all(b"GET / HT").expect("sent");
    assert_eq!(connection.read(&mut [0; 512]).expect("the end, not a time-out"), 0);
}

#[test]
fn nonsense_is_refused() {
    let server = Server::start(&[]);
    for (nonsense, expected) in [
        ("NONSENSE\r\n\r\n", "HTTP/1.1 400"),
        ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let mut connection = connect(server.app);
        connection.write_all(nonsense.as_bytes()).expect("sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("the end, not a time-out");
        assert!(answer.starts_with(expected), "{nonsense:?}: {answer}");
    }
}
