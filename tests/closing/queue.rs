use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::common::{self, PATIENCE, raw::Client, server::Server};

const AT_ONCE: &[&str] = &["--delay.min", "0s", "--delay.quiet", "0s"];

#[test]
fn connections_that_nobody_has_accepted_yet_are_served() {
    let server = Server::start(AT_ONCE);
    server.freeze();
    let mut clients: Vec<_> = (0..300).map(|_| Client::to(server.app)).collect();
    for client in &mut clients {
        client.ask("/");
    }
    server.sigterm().thaw();
    for client in &mut clients {
        assert_eq!(client.response().status, 201);
        client.ends();
    }
    let ended = server.wait().clean();
    assert_eq!(ended.arrived(), 300, "{:#}", ended.report);
}

#[test]
fn a_full_server_serves_what_waited_for_room() {
    let server =
        Server::start(&[AT_ONCE, &["--workers", "1", "--limits.connections", "2"]].concat());
    let mut busy: Vec<_> = (0..2).map(|_| Client::to(server.app)).collect();
    for client in &mut busy {
        client.ask("/sleep/0.5");
    }
    server.until_counts(2, 2);
    let mut waiting: Vec<_> = (0..20).map(|_| Client::to(server.app)).collect();
    for client in &mut waiting {
        client.ask("/");
    }
    server.sigterm();
    for client in busy.iter_mut().chain(&mut waiting) {
        assert_eq!(client.response().status, 201);
        client.ends();
    }
    server.wait().clean();
}

/// Clients that connect as fast as they can, while the listener closes. Whoever was connected
/// is answered; the others are refused, cleanly.
#[test]
fn a_burst_at_the_moment_of_closing_is_served_or_refused() {
    for _ in 0..common::count(3, 50) {
        let server = Server::start(AT_ONCE);
        let app = server.app;
        let stop = AtomicBool::new(false);
        let answered: usize = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut count = 0;
                        while !stop.load(Ordering::Relaxed) {
                            let Ok(mut client) =
                                TcpStream::connect_timeout(&app, Duration::from_secs(5))
                            else {
                                break;
                            };
                            client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                            client.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it is taken");
                            let mut response = Vec::new();
                            client.read_to_end(&mut response).expect("no reset");
                            assert!(response.starts_with(b"HTTP/1.0 201"), "{count}: no answer");
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(100));
            server.sigterm();
            server.phase("draining");
            let ended = server.wait().clean();
            assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().map(|client| client.join().expect("no loss")).sum()
        });
        assert!(answered > 20, "{answered}");
    }
}
