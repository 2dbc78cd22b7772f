use std::time::Duration;

use crate::common::{
    raw::{Client, End},
    server::Server,
};

/// The deadline comes 1 s after the signal.
const SHORT: &[&str] = &["--grace_period", "2s", "--margin", "1s", "--delay.max", "500ms"];

#[test]
fn what_is_cut_is_named_with_route_and_age_counted_and_exits_with_3() {
    let server = Server::start(SHORT);
    let mut slow = Client::to(server.app);
    slow.ask("/sleep/60");
    let mut upload = Client::to(server.app);
    upload.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc");
    let mut stream = Client::to(server.app).ask_for("/stream/60");
    server.until_counts(3, 3);
    server.sigterm();
    // Closed, and nothing that could be taken for an answer.
    assert_eq!(slow.end(), (Vec::new(), End::Fin));
    assert_eq!(upload.end(), (Vec::new(), End::Fin));
    assert!(
        loop {
            match stream.chunk() {
                Ok(chunk) if chunk.is_empty() => break false,
                Ok(_) => {}
                Err(_) => break true,
            }
        },
        "it looks complete"
    );
    let ended = server.wait();
    assert_eq!(ended.code, Some(3));
    assert_eq!(ended.report["outcome"], "cut");
    assert_eq!(ended.report["cut_total"], 3);
    let mut cut = ended.cut();
    cut.sort();
    assert_eq!(cut, ["/echo", "/sleep/{seconds}", "/stream/{seconds}"]);
    for item in ended.report["cut"].as_array().expect("a list") {
        let age = item["age_seconds"].as_f64().expect("an age");
        assert!((1.0..5.0).contains(&age), "{item}");
    }
}

#[test]
fn a_response_that_nobody_reads_is_in_flight_until_it_is_cut() {
    let server = Server::start(&[SHORT, &["--limits.body", "16MiB"]].concat());
    let mut client = Client::to(server.app);
    let body = vec![b'x'; 16 << 20];
    client
        .send(format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len()));
    client.send(body);
    server.until("it is answered", |status| status["in_flight"]["requests"] == 1);
    let ended = server.stop();
    assert_eq!(ended.code, Some(3), "{:#}", ended.report);
    assert_eq!(ended.cut(), ["/echo"]);
    assert!(ended.took < Duration::from_millis(2500), "{:?}", ended.took);
}

#[test]
fn a_second_signal_while_draining_forces_the_exit() {
    let server = Server::start(&[]);
    let mut client = Client::to(server.app);
    client.ask("/sleep/60");
    server.until_counts(1, 1);
    server.sigterm().phase("draining").sigterm();
    assert_eq!(client.end(), (Vec::new(), End::Fin));
    let ended = server.wait();
    assert_eq!(ended.code, Some(143));
    assert_eq!(ended.report["outcome"], "forced");
}

#[test]
fn late_requests_are_served_while_anything_is_in_flight() {
    let server = Server::start(&["--delay.max", "300ms"]);
    // Still sending when the delay is over, and a connection that was accepted before.
    let mut upload = Client::to(server.app);
    upload.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na");
    let mut late = Client::to(server.app);
    late.send("GET / HTTP/1.1\r\n");
    server.until_counts(1, 2);
    server.sigterm().phase("draining");
    late.send("host: x\r\n\r\n");
    assert_eq!(late.response().status, 201);
    late.ends();
    upload.send("b");
    assert_eq!(upload.response().body, b"ab");
    let ended = server.wait().clean();
    assert_eq!(ended.late(), 1);
    assert!(ended.report["last_arrival_seconds"].as_f64() > Some(0.2), "{:#}", ended.report);
}
