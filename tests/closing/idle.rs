//! Thousands of idle connections, as many as the limit of open files allows.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::common::{PATIENCE, count, server::Server};

/// An idle connection that has carried a request.
fn used(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").expect("it is taken");
    let mut response = [0; 1024];
    let length = client.read(&mut response).expect("a response");
    assert!(response[..length].starts_with(b"HTTP/1.1 201"));
    client
}

#[test]
fn thousands_of_idle_connections_are_closed_in_peace_within_two_seconds() {
    let connections = count(2_000, 19_800);
    let server = Server::start(&[]);
    let before = resident(&server);
    let idle: Vec<_> = (0..connections).map(|_| used(server.app)).collect();
    server.until_counts(0, connections as u64);
    let each = (resident(&server) - before) / connections;
    server.sigterm().phase("draining");
    let start = Instant::now();
    for mut client in idle {
        assert_eq!(client.read(&mut [0]).expect("no reset"), 0);
    }
    let closed = start.elapsed();
    let ended = server.wait().clean();
    println!(
        "{connections} idle connections: {each} bytes each, closed in {closed:.2?}, exit {:.2?} later",
        ended.took
    );
    assert!(closed + ended.took < Duration::from_secs(2), "{closed:?} and {:?}", ended.took);
}

/// Resident memory in bytes.
fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
