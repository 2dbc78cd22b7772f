//! Connections that have become old are told to leave, and lose nothing by it.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use futures_util::future::poll_fn;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use websample_hyper::{
    Server,
    lifecycle::{Delay, ExitReason, Lifecycle, Phase, Policy},
};

const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_millis(300);

/// Runs a test against a server with such connections; its drain has to be a clean one.
async fn against<F: Future>(grace: Duration, test: impl FnOnce(SocketAddr) -> F) {
    let delay = Delay { min: Duration::ZERO, quiet: Duration::ZERO, max: LIMIT };
    let policy = Policy { delay, ..Policy::default() };
    let (lifecycle, drain) = Lifecycle::new(policy).expect("a policy that adds up");
    let slow = async || tokio::time::sleep(Duration::from_millis(900)).await;
    let app = Router::new().route("/", get(async || ())).route("/slow", get(slow));
    let running = Server::new(drain, app)
        .workers(1)
        .without_signals()
        .max_connection_age(LIMIT, grace)
        .bind("127.0.0.1:0")
        .expect("a port")
        .run();
    let handle = running.handle();
    let running = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;
    timeout(PATIENCE, test(handle.addresses()[0])).await.expect("in time");
    assert_eq!(lifecycle.phase(), Phase::Serving);
    handle.drain();
    let report = timeout(PATIENCE, running).await.expect("in time").expect("no panic");
    assert_eq!(report.expect("a report").outcome, ExitReason::Clean);
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    String::from_utf8(head).expect("text").to_lowercase()
}

#[tokio::test]
async fn http1_is_told_with_a_response_and_idle_ones_are_closed_after_the_grace() {
    against(Duration::from_millis(200), async |address| {
        let mut idle = TcpStream::connect(address).await.expect("it accepts");
        let mut busy = TcpStream::connect(address).await.expect("it accepts");
        let mut answers = 0;
        loop {
            for stream in [&mut busy].into_iter().chain((answers == 0).then_some(&mut idle)) {
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
            }
            if answers == 0 {
                assert!(!head(&mut idle).await.contains("connection: close"));
            }
            let answer = head(&mut busy).await;
            assert!(answer.starts_with("http/1.1 200"), "{answer}");
            answers += 1;
            if answer.contains("connection: close") {
                break;
            }
        }
        assert!(answers > 1, "the first answer was of a young connection");
        for mut stream in [busy, idle] {
            assert_eq!(stream.read(&mut [0; 16]).await.expect("no reset"), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn http2_hears_a_goaway_and_what_runs_is_finished_beyond_the_grace() {
    against(Duration::ZERO, async |address| {
        let stream = TcpStream::connect(address).await.expect("it accepts");
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (mut client, connection) = handshake.expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let request = |path: &str| {
            let uri = format!("http://{address}{path}");
            http::Request::get(uri).body(Empty::<bytes::Bytes>::new()).expect("a request")
        };
        let slow = client.send_request(request("/slow"));
        let quick = client.send_request(request("/"));
        assert_eq!(quick.await.expect("an answer").status(), 200);
        // It is twice as old as it may become when this is answered.
        assert_eq!(slow.await.expect("an answer").status(), 200);
        connection.await.expect("no panic").expect("an end in peace");
        assert!(poll_fn(|cx| client.poll_ready(cx)).await.is_err(), "nothing more may be asked");
    })
    .await;
}
