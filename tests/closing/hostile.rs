use std::time::{Duration, Instant};

use crate::common::{
    count,
    raw::{Client, End},
    server::Server,
    tls::{Pair, connect},
};

#[test]
fn a_body_that_stops_arriving_is_given_up() {
    let server = Server::start(&["--limits.body_timeout", "500ms"]);
    let heads = ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"];
    for path in ["/echo", "/", "/sleep/0"] {
        for head in heads {
            let mut client = Client::to(server.app);
            client.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{head}"));
            let response = client.response();
            assert_eq!(response.status, 408, "{path} {head}");
            client.ends();
        }
    }
    // Slow, but it moves.
    let mut client = Client::to(server.app);
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n");
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(250));
        client.send("a");
    }
    assert_eq!(client.response().body, b"aaaa");
    assert_eq!(client.get("/").status, 201);
    drop(client);
    server.until_counts(0, 0);
    server.stop().clean();
}

#[test]
fn a_response_that_nobody_reads_is_given_up() {
    let server = Server::start(&["--limits.write_timeout", "500ms", "--limits.body", "16MiB"]);
    let body = vec![b'x'; 16 << 20];
    let mut client = Client::to(server.app);
    client
        .send(format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len()));
    client.send(&body);
    server.until("it is answered", |status| status["in_flight"]["requests"] == 1);
    server.until_counts(0, 0);
    assert_eq!(client.end().1, End::Reset);
    server.stop().clean();
}

#[test]
fn a_tls_response_that_nobody_reads_is_given_up() {
    let pair = Pair::new("one");
    let flags = ["--limits.write_timeout", "500ms", "--limits.body", "16MiB"];
    let server = Server::start(&pair.flags(&flags));
    let body = vec![b'x'; 16 << 20];
    let mut client = connect(server.app, &[b"http/1.1"]);
    let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    std::io::Write::write_all(&mut client, &[head.as_bytes(), &body].concat()).expect("taken");
    server.until("it is answered", |status| status["in_flight"]["requests"] == 1);
    server.until_counts(0, 0);
    server.stop().clean();
}

#[test]
fn half_open_connections_do_not_hold_the_exit() {
    let server = Server::start(&[]);
    let mut half = Client::to(server.app);
    half.ask("/sleep/0.5").finish();
    assert_eq!(half.response().status, 201);
    half.ends();
    // Gone without a word, with a request in flight.
    let mut gone = Client::to(server.app);
    gone.ask("/sleep/60");
    server.until_counts(1, 1);
    socket2::SockRef::from(gone.stream()).set_linger(Some(Duration::ZERO)).expect("an option");
    drop(gone);
    server.until_counts(0, 0);
    server.stop().clean();
}

#[test]
fn a_thousand_hostile_clients_do_not_stop_a_good_one_nor_the_exit() {
    let server = Server::start(&[
        "--limits.header_timeout",
        "1s",
        "--limits.body_timeout",
        "1s",
        "--grace_period",
        "10s",
    ]);
    let each = count(50, 250);
    let mut hostile = Vec::new();
    for _ in 0..each {
        hostile.push(Client::to(server.app));
        for begins in [
            "GET / HT",
            "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1",
            "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /sl",
        ] {
            let mut client = Client::to(server.app);
            client.send(begins);
            hostile.push(client);
        }
    }
    let mut good = Client::to(server.app);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert_eq!(good.get("/").status, 201);
    }
    // Half of them are gone by now; the others are as bad.
    for client in &mut hostile {
        let _ = std::io::Write::write_all(&mut client.stream(), b"x");
    }
    server.sigterm().phase("lame_duck");
    let last = good.get("/");
    assert_eq!((last.status, last.says_close()), (201, true));
    good.ends();
    let ended = server.wait();
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
    assert_eq!(ended.code, Some(0), "{:#}", ended.report);
}
