//! Thousands of idle connections, as many as the limit of open files allows.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use crate::common::{PATIENCE, count, eventually, server::Server};

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
    // The usual hard limit of 20,000 files leaves this many, on either side.
    let connections = count(2_000, 19_800);
    let server = Server::start(&[]);
    let idle: Vec<_> = (0..connections).map(|_| used(server.app)).collect();
    server.until_counts(0, connections as u64);
    server.sigterm().phase("draining");
    let start = Instant::now();
    for mut client in idle {
        assert_eq!(client.read(&mut [0]).expect("no reset"), 0);
    }
    let closed = start.elapsed();
    let ended = server.wait().clean();
    let exit = ended.took;
    println!("{connections} idle connections: closed in {closed:.2?}, exit {exit:.2?} later");
    assert!(closed < Duration::from_secs(2), "{closed:?}");
}

/// Needs the binary `plain`, named by `WEBSAMPLE_PLAIN`.
#[test]
fn an_idle_connection_costs_no_more_than_on_plain_actix_web() {
    let Some(program) = std::env::var_os("WEBSAMPLE_PLAIN") else {
        let _ = writeln!(std::io::stderr(), "skipped: WEBSAMPLE_PLAIN is not set");
        return;
    };
    let connections = count(2_000, 19_000);
    let server = Server::start(&[]);
    let ours = bytes_for_each(server.pid(), server.app, connections);
    drop(server);
    let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let mut plain = Command::new(program).args([&address.to_string(), "2"]).spawn().expect("plain");
    eventually("it listens", || TcpStream::connect(address).is_ok());
    let theirs = bytes_for_each(plain.id(), address, connections);
    plain.kill().and_then(|()| plain.wait()).expect("it ends");
    println!("{connections} idle connections: {ours} bytes each, {theirs} on plain actix-web");
    assert!(ours <= theirs * 11 / 10, "{ours} bytes, {theirs} on plain actix-web");
}

/// What each of so many idle connections adds to a server's resident memory.
fn bytes_for_each(pid: u32, address: SocketAddr, connections: usize) -> usize {
    // What the first ones bring along is no matter of how many there are.
    let mut idle: Vec<_> = (0..100).map(|_| used(address)).collect();
    let before = resident(pid);
    idle.extend((0..connections).map(|_| used(address)));
    let each = (resident(pid) - before) / connections;
    drop(idle);
    each
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
