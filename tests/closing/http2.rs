use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::common::{
    PATIENCE,
    http2::{Client, DATA, END_STREAM, Frame, GOAWAY, LARGEST_STREAM, PING, RST_STREAM},
    raw,
    server::Server,
};

const NO_ERROR: u32 = 0;
const WIDE: u32 = 1 << 20;

fn tcp(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    tcp.set_nodelay(true).expect("no delay");
    tcp
}

fn connect(server: &Server) -> Client<TcpStream> {
    Client::new(tcp(server.app), WIDE)
}

/// A connection that has carried a request.
fn used(server: &Server) -> Client<TcpStream> {
    let mut client = connect(server);
    client.send(&Frame::get(1, "/")).response(1);
    // The client may have it before the server has counted it as sent.
    server.until("it is over", |status| status["in_flight"]["requests"] == 0);
    client
}

#[test]
fn both_versions_are_spoken_on_one_port() {
    let server = Server::start(&[]);
    used(&server);
    assert_eq!(raw::Client::to(server.app).get("/").status, 201);
    // A preface in pieces is one all the same.
    let mut slow = tcp(server.app);
    std::io::Write::write_all(&mut slow, b"PRI * HT").expect("it is taken");
    server.until("it is accepted", |status| status["connections"].as_u64() > Some(0));
    let settings = [b"TP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &Frame::new(4, 0, 0, []).bytes()];
    std::io::Write::write_all(&mut slow, &settings.concat()).expect("it is taken");
    let mut first = [0; 9];
    std::io::Read::read_exact(&mut slow, &mut first).expect("a frame");
    assert_eq!(first[3], 4, "SETTINGS");
}

#[test]
fn two_goaways_with_the_streams_that_crossed_the_first_between_them() {
    let server = Server::start(&["--delay.min", "1s"]);
    let mut client = used(&server);
    client.answers = false;
    server.sigterm();
    let first = client.until("GOAWAY", |frame| frame.kind == GOAWAY);
    assert_eq!(first.goaway(), Some((LARGEST_STREAM, NO_ERROR)));
    // These crossed it on the way.
    client.send(&Frame::get(3, "/sleep/0.5")).send(&Frame::get(5, "/"));
    client.response(5);
    client.send(&Frame::new(PING, 1, 0, *b"leaving?"));
    client.response(3);
    client.end();
    assert_eq!(client.goaways(), [(LARGEST_STREAM, NO_ERROR), (5, NO_ERROR)]);
    drop(client);
    server.wait().clean();
}

#[test]
fn the_answer_to_the_ping_ends_the_wait() {
    let server = Server::start(&["--delay.min", "10s", "--delay.max", "10s"]);
    let mut answers = used(&server);
    let mut does_not = used(&server);
    does_not.answers = false;
    let start = std::time::Instant::now();
    server.sigterm();
    answers.end();
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    does_not.end();
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    for client in [&answers, &does_not] {
        assert_eq!(client.goaways(), [(LARGEST_STREAM, NO_ERROR), (1, NO_ERROR)]);
    }
    // The h2 server does not see an answer to a question that it never asked.
    let surprised = |line: &serde_json::Value| line["level"] == "WARN";
    assert_eq!(server.log().into_iter().find(surprised), None);
}

#[test]
fn streams_in_flight_are_finished_and_uploads_too() {
    let server = Server::start(&[]);
    let mut client = used(&server);
    client.send(&Frame::get(3, "/stream/2")).send(&Frame::post(5, "/echo"));
    client.send(&Frame::new(DATA, 0, 5, *b"ab"));
    server.until_counts(2, 1);
    server.sigterm().phase("draining");
    client.send(&Frame::new(DATA, 0, 5, *b"cd"));
    client.send(&Frame::new(DATA, END_STREAM, 5, *b"ef"));
    assert_eq!(client.response(5), b"abcdef");
    assert_eq!(client.response(3), b"1 of 2\n2 of 2\n");
    client.end();
    assert_eq!(client.goaways().last(), Some(&(5, NO_ERROR)));
    drop(client);
    server.wait().clean();
}

#[test]
fn a_response_that_waits_for_its_window_is_not_cut_short() {
    let server = Server::start(&["--limits.body", "1MiB"]);
    let mut client = Client::new(tcp(server.app), 10);
    let body = vec![b'x'; 60_000];
    client.send(&Frame::post(1, "/echo"));
    for chunk in body.chunks(10_000) {
        client.send(&Frame::new(DATA, 0, 1, chunk));
    }
    client.send(&Frame::new(DATA, END_STREAM, 1, []));
    client.until("the first bytes", |frame| frame.kind == DATA);
    server.sigterm().phase("draining");
    server.until("it is in flight", |status| status["in_flight"]["requests"] == 1);
    client.until("GOAWAY", |frame| frame.kind == GOAWAY);
    std::thread::sleep(Duration::from_millis(500));
    client.open_window(1, WIDE);
    client.open_window(0, WIDE);
    assert!(client.response(1) == body);
    client.end();
    drop(client);
    server.wait().clean();
}

#[test]
fn idle_and_silent_connections_do_not_hold_the_exit() {
    let server = Server::start(&[]);
    let idle: Vec<_> = (0..10).map(|_| used(&server)).collect();
    let greeted_only: Vec<_> = (0..10).map(|_| connect(&server)).collect();
    let half_a_preface = tcp(server.app);
    std::io::Write::write_all(&mut &half_a_preface, b"PRI * HTTP").expect("it is taken");
    let silent: Vec<_> = (0..10).map(|_| tcp(server.app)).collect();
    server.until("all are accepted", |status| status["connections"] == 31);
    server.sigterm().phase("draining");
    let mut clients: Vec<_> = idle.into_iter().chain(greeted_only).collect();
    for client in &mut clients {
        client.end();
        assert_eq!(client.goaways().len(), 2);
    }
    drop((clients, silent));
    let ended = server.wait().clean();
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
}

#[test]
fn half_a_frame_does_not_hold_the_exit() {
    let server = Server::start(&["--limits.header_timeout", "500ms"]);
    let mut client = used(&server);
    // A header block that never ends.
    client.send(&Frame::new(1, 0, 3, [0x82]));
    server.sigterm().phase("draining");
    let ended = server.wait().clean();
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
fn what_runs_at_the_deadline_is_reset_and_then_the_last_goaway_comes() {
    let server = Server::start(&["--grace_period", "2s", "--margin", "1s", "--delay.max", "500ms"]);
    let mut client = used(&server);
    client.send(&Frame::get(3, "/sleep/60")).send(&Frame::get(5, "/stream/60"));
    client.until("a chunk", |frame| frame.kind == DATA);
    server.sigterm();
    let seen = client.end().to_vec();
    let kinds: Vec<_> = seen.iter().rev().take(3).map(|frame| (frame.kind, frame.stream)).collect();
    assert_eq!(kinds, [(GOAWAY, 0), (RST_STREAM, 5), (RST_STREAM, 3)]);
    assert_eq!(client.goaways().last(), Some(&(5, NO_ERROR)));
    let ended = server.wait();
    assert_eq!(ended.code, Some(3));
    let mut cut = ended.cut();
    cut.sort();
    assert_eq!(cut, ["/sleep/{seconds}", "/stream/{seconds}"]);
}

#[test]
fn a_client_that_resets_its_stream_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let mut client = used(&server);
    client.send(&Frame::get(3, "/sleep/0.3")).send(&Frame::get(5, "/sleep/0.3"));
    server.until_counts(2, 1);
    client.send(&Frame::new(RST_STREAM, 0, 3, 8_u32.to_be_bytes()));
    client.response(5);
    server.until_counts(0, 1);
    drop(client);
    server.until_counts(0, 0);
    server.stop().clean();
}
