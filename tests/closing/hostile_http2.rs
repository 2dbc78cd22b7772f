//! HTTP/2 clients that mean it: more streams than anybody serves, streams that are opened and reset,
//! windows that stay closed, prefaces that do not end.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::common::{
    PATIENCE, count,
    http2::{Client, DATA, Frame, GOAWAY, RST_STREAM},
    raw,
    server::Server,
    tls::{Pair, TlsClient, connect},
};

/// The deadline comes 4 s after the signal.
const SHORT: &[&str] = &["--grace_period", "5s", "--margin", "1s", "--delay.max", "500ms"];

/// A window that no small answer fills.
const WINDOW: u32 = 65_535;

fn tcp(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.app).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.set_nodelay(true).expect("a mode");
    stream
}

/// A server with TLS, and a client of it; the certificate goes with the pair.
fn over_tls(flags: &[&str], window: u32) -> (Pair, Server, Client<TlsClient>) {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(flags));
    let client = Client::new(connect(server.app, &[b"h2"]), window);
    (pair, server, client)
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_others_served() {
    let server = Server::start(&["--limits.streams", "10"]);
    let mut client = Client::new(tcp(&server), WINDOW);
    // All at once, before the server's SETTINGS have been read.
    for n in 0..30 {
        client.send(&Frame::get(2 * n + 1, "/sleep/1"));
    }
    server.until("ten are served", |status| status["in_flight"]["requests"] == 10);
    for n in 0..10 {
        client.response(2 * n + 1);
    }
    let refused: Vec<_> =
        client.seen.iter().filter(|frame| frame.kind == RST_STREAM).map(|f| f.stream).collect();
    assert_eq!(refused, (10..30).map(|n| 2 * n + 1).collect::<Vec<_>>());
    client.send(&Frame::get(61, "/"));
    client.response(61);
    drop(client);
    server.stop().clean();
}

/// So many streams of one connection are served.
const MANY: [&str; 2] = ["--limits.streams", "100000"];

fn a_flood_holds_nothing<T: Read + Write>(server: Server, mut client: Client<T>) {
    let streams = count(5_000, 20_000) as u32;
    let head = Frame::get(1, "/sleep/100").bytes();
    let mut flood = Vec::new();
    for n in 0..streams {
        let mut frame = head.clone();
        frame[5..9].copy_from_slice(&(2 * n + 1).to_be_bytes());
        flood.extend_from_slice(&frame);
    }
    client.io().write_all(&flood).expect("taken");
    server.until("all are in flight", |status| status["in_flight"]["requests"] == streams);
    server.sigterm();
    server.phase("draining");
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(raw::Client::to(server.admin).get("/liveness").status, 200);
        slowest = slowest.max(asked.elapsed());
    }
    // The kubelet waits a second for each.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let ended = server.wait();
    assert_eq!(ended.code, Some(3));
    assert_eq!(ended.report["cut_total"], streams);
    assert_eq!(ended.report["cut"].as_array().map(Vec::len), Some(100), "not all of them");
    let seconds = ended.report["termination_seconds"].as_f64().expect("a time");
    assert!(seconds < 5.0, "within the grace period: {seconds}");
    let longest = ended.log.iter().map(|line| line.to_string().len()).max();
    assert!(longest < Some(64 * 1024), "a line of {longest:?} bytes");
}

#[test]
fn a_flood_of_streams_holds_neither_the_probes_nor_the_exit() {
    let server = Server::start(&[SHORT, &MANY].concat());
    let client = Client::new(tcp(&server), WINDOW);
    a_flood_holds_nothing(server, client);
}

#[test]
fn a_flood_of_streams_over_tls_holds_neither_the_probes_nor_the_exit() {
    let (_pair, server, client) = over_tls(&[SHORT, &MANY].concat(), WINDOW);
    a_flood_holds_nothing(server, client);
}

fn a_reset_request_is_gone<T: Read + Write>(server: Server, mut client: Client<T>) {
    client.send(&Frame::get(1, "/sleep/100")).send(&Frame::get(3, "/stream/100"));
    server.until_counts(2, 1);
    for stream in [1, 3] {
        client.send(&Frame::new(RST_STREAM, 0, stream, 8_u32.to_be_bytes()));
    }
    server.until_counts(0, 1);
    drop(client);
    let ended = server.stop().clean();
    assert_eq!(ended.report["cut_total"], 0);
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
}

#[test]
fn a_request_that_its_client_has_reset_is_in_flight_no_longer() {
    let server = Server::start(&[]);
    let client = Client::new(tcp(&server), WINDOW);
    a_reset_request_is_gone(server, client);
}

#[test]
fn a_request_that_its_client_has_reset_over_tls_is_in_flight_no_longer() {
    let (_pair, server, client) = over_tls(&[], WINDOW);
    a_reset_request_is_gone(server, client);
}

fn resets_leave_nothing<T: Read + Write>(server: Server, mut client: Client<T>) {
    client.send(&Frame::get(1, "/"));
    client.response(1);
    for n in 1..count(5_000, 20_000) as u32 {
        let stream = 2 * n + 1;
        let pair = [
            Frame::get(stream, "/sleep/100").bytes(),
            Frame::new(RST_STREAM, 0, stream, 8_u32.to_be_bytes()).bytes(),
        ];
        // An end means that the server has had enough (RFC 9113, section 10.5).
        if client.io().write_all(&pair.concat()).is_err() {
            break;
        }
    }
    server.until("nothing is left", |status| status["in_flight"]["requests"] == 0);
    drop(client);
    let ended = server.stop();
    assert_eq!((ended.code, &ended.report["cut_total"]), (Some(0), &0.into()));
}

#[test]
fn a_client_that_opens_and_resets_without_end_is_told_to_stop_or_leaves_nothing() {
    let server = Server::start(SHORT);
    let client = Client::new(tcp(&server), WINDOW);
    resets_leave_nothing(server, client);
}

#[test]
fn a_client_that_opens_and_resets_over_tls_is_told_to_stop_or_leaves_nothing() {
    let (_pair, server, client) = over_tls(SHORT, WINDOW);
    resets_leave_nothing(server, client);
}

fn a_closed_window_is_given_up<T: Read + Write>(server: Server, mut client: Client<T>) {
    client.send(&Frame::post(1, "/echo")).send(&Frame::new(DATA, 1, 1, *b"abc"));
    // One that moves, if slowly, is served to its end.
    client.send(&Frame::post(3, "/echo")).send(&Frame::new(DATA, 1, 3, *b"abcd"));
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(250));
        client.open_window(3, 1);
    }
    assert_eq!(client.response(3), b"abcd");
    let is_its_end = |frame: &Frame| frame.stream == 1 && frame.kind == RST_STREAM;
    if !client.seen.iter().any(is_its_end) {
        client.until("the end of the other", is_its_end);
    }
    server.until_counts(0, 1);
    drop(client);
    server.stop().clean();
}

#[test]
fn a_window_that_stays_closed_is_given_up() {
    let server = Server::start(&["--limits.write_timeout", "500ms"]);
    let client = Client::new(tcp(&server), 0);
    a_closed_window_is_given_up(server, client);
}

#[test]
fn a_window_that_stays_closed_over_tls_is_given_up() {
    let (_pair, server, client) = over_tls(&["--limits.write_timeout", "500ms"], 0);
    a_closed_window_is_given_up(server, client);
}

/// Sends a few bytes at a time.
struct InPieces(TcpStream);

impl Read for InPieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for InPieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.write(&bytes[..bytes.len().min(7)])?;
        std::thread::sleep(Duration::from_millis(20));
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_preface_in_pieces_is_waited_for_and_half_a_one_is_given_up() {
    let server = Server::start(&["--limits.header_timeout", "1s"]);
    let mut slow = Client::new(InPieces(tcp(&server)), WINDOW);
    slow.send(&Frame::get(1, "/"));
    slow.response(1);
    // Not HTTP/2 after all.
    let mut other = raw::Client::to(server.app);
    other.send("PR");
    std::thread::sleep(Duration::from_millis(50));
    other.send("OPFIND / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(other.response().status, 201);
    let mut half = raw::Client::to(server.app);
    half.send("PRI * HT");
    half.end();
    drop((slow, other));
    server.stop().clean();
}

#[test]
fn half_a_preface_over_tls_is_given_up() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&["--limits.header_timeout", "1s"]));
    let mut half = connect(server.app, &[b"h2"]);
    half.write_all(b"PRI * HT").expect("taken");
    let mut said = Vec::new();
    // Not a silent one: the connection ends, with or without a close_notify.
    match half.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "it was left open"),
    }
    server.until_counts(0, 0);
    server.stop().clean();
}

/// Processor time that a process has used, in clock ticks.
fn ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("it runs");
    let fields: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    [11, 12].map(|field: usize| fields[field].parse::<u64>().expect("a number")).iter().sum()
}

#[test]
fn half_a_preface_is_not_looked_at_again_and_again() {
    let server = Server::start(&["--limits.header_timeout", "60s"]);
    let clients: Vec<_> = (0..500)
        .map(|_| {
            let mut client = tcp(&server);
            client.write_all(b"PRI * HT").expect("taken");
            client
        })
        .collect();
    server.until_counts(0, 500);
    // Two seconds with nothing to do: polled every 10 ms, 500 connections take a second of that.
    let before = ticks(&server);
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks(&server) - before;
    assert!(used <= 20, "{used} ticks of 10 ms");
    drop(clients);
    server.stop().clean();
}

#[test]
fn what_is_cut_of_http2_ends_with_a_goaway() {
    let server = Server::start(&["--grace_period", "2s", "--margin", "1s", "--delay.max", "500ms"]);
    let mut client = Client::new(tcp(&server), WINDOW);
    client.send(&Frame::get(1, "/sleep/60"));
    server.until_counts(1, 1);
    server.sigterm();
    let end = client.end();
    assert!(end.iter().any(|frame| frame.kind == GOAWAY), "{end:?}");
    assert_eq!(server.wait().code, Some(3));
}
