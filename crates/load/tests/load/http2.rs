//! HTTP/2 with prior knowledge, and the ways in which a server takes it back.

use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, server};
use hyper::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};
use websample_load::{Bounds, Direct, Outcome};

use crate::harness::{Run, attempt, attempts, outcomes, report, serve};

type Stream = server::SendResponse<Bytes>;

/// Answers every stream of a connection with `answer`, which gets its number, from 0 on.
async fn answer(socket: TcpStream, answer: fn(Stream, usize)) {
    let mut connection = server::handshake(socket).await.expect("an HTTP/2 client");
    let mut number = 0;
    while let Some(Ok((_, stream))) = connection.accept().await {
        answer(stream, number);
        number += 1;
    }
}

fn ok(mut stream: Stream) {
    let mut body = stream.send_response(Response::new(()), false).expect("an open stream");
    body.send_data(Bytes::from_static(b"hello"), true).expect("an open stream");
}

#[tokio::test]
async fn streams_share_a_connection() {
    let address = serve(|socket, _| answer(socket, |stream, _| ok(stream))).await;
    let attempts = attempts(address, "http2 POST /echo connections=1 body=9", 3).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok; 3]);
    assert_eq!(attempts.iter().map(|a| a.reused).collect::<Vec<_>>(), [false, true, true]);
    assert!(attempts.iter().all(|a| a.status == Some(200) && a.bytes_in == 5));
}

#[tokio::test]
async fn what_waits_for_a_slow_server_is_within_the_streams_that_it_takes() {
    const REQUESTS: usize = 200;
    let (due, all) = watch::channel(0);
    let address = serve(move |socket, _| {
        let mut all = all.clone();
        async move {
            // As a server that gets no processor: its SETTINGS come after the requests.
            all.wait_for(|due| *due == REQUESTS).await.expect("a run");
            let limited = server::Builder::new().max_concurrent_streams(100).handshake(socket);
            let mut connection = limited.await.expect("an HTTP/2 client");
            while let Some(Ok((_, stream))) = connection.accept().await {
                ok(stream);
            }
        }
    })
    .await;
    let mix = "1000/s http2 GET / connections=1";
    let run = Run::of(mix, Direct(address), Bounds::default());
    let run = run.on_due(move || due.send_modify(|due| *due += 1));
    // Ends between two requests, so that rounding cannot let in one more.
    let (report, attempts) = run.finish(Duration::from_micros(199_500)).await;
    assert_eq!(attempts.len(), REQUESTS);
    assert_eq!(report.total.lost, 0, "{:?}", outcomes(&attempts));
}

#[tokio::test]
async fn after_goaway_the_next_request_takes_a_new_connection() {
    let address = serve(|socket, _| async move {
        let mut connection = server::handshake(socket).await.expect("an HTTP/2 client");
        while let Some(Ok((_, stream))) = connection.accept().await {
            ok(stream);
            connection.graceful_shutdown();
        }
    })
    .await;
    let attempts = attempts(address, "http2 GET / connections=1", 3).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok; 3]);
    assert!(attempts.iter().all(|attempt| !attempt.reused));
}

#[tokio::test]
async fn a_refused_stream_is_lost_but_would_be_retried() {
    let address = serve(|socket, _| {
        answer(socket, |mut stream, number| match number {
            0 => ok(stream),
            _ => stream.send_reset(Reason::REFUSED_STREAM),
        })
    })
    .await;
    let (report, attempts) = report(address, "http2 POST / connections=1 body=1", 2).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok, Outcome::ResetReused]);
    assert!(attempts[1].retryable);
    assert_eq!((report.total.lost, report.total.lost_with_retries), (1, 0));
}

#[tokio::test]
async fn a_stream_above_goaways_last_one_is_lost_but_would_be_retried() {
    let address = serve(|mut socket, _| async move {
        let mut request = [0; 64];
        let _ = socket.read(&mut request).await;
        // SETTINGS, then GOAWAY: last stream 0, NO_ERROR.
        let frames = [&[0, 0, 0, 4, 0, 0, 0, 0, 0][..], &[0, 0, 8, 7, 0, 0, 0, 0, 0], &[0; 8]];
        let _ = socket.write_all(&frames.concat()).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let attempt = attempt(address, "http2 GET /").await;
    assert_eq!(attempt.outcome, Outcome::Reset);
    assert!(attempt.retryable);
}

#[tokio::test]
async fn a_connection_that_vanishes_is_reset() {
    let address = serve(|mut socket, _| async move {
        let _ = socket.read(&mut [0; 64]).await;
    })
    .await;
    let attempt = attempt(address, "http2 GET /").await;
    assert_eq!(attempt.outcome, Outcome::Reset);
    assert!(!attempt.retryable);
}

#[tokio::test]
async fn a_connection_that_vanishes_under_a_later_stream_is_reset_reused() {
    let address = serve(|socket, _| async move {
        let mut connection = server::handshake(socket).await.expect("an HTTP/2 client");
        if let Some(Ok((_, stream))) = connection.accept().await {
            ok(stream);
        }
        // Drives the first answer out, and ends when the second request is there.
        let _ = connection.accept().await;
    })
    .await;
    let attempts = attempts(address, "http2 GET / connections=1", 2).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok, Outcome::ResetReused]);
}

#[tokio::test]
async fn a_stream_reset_within_its_body_is_truncated() {
    let address = serve(|mut socket, _| async move {
        let _ = socket.read(&mut [0; 64]).await;
        let frames = [
            // SETTINGS; HEADERS with `:status: 200`; DATA, not the last; RST_STREAM, all at once.
            &[0, 0, 0, 4, 0, 0, 0, 0, 0][..],
            &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88],
            &[0, 0, 3, 0, 0, 0, 0, 0, 1, b'h', b'e', b'l'],
            &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2],
        ];
        let _ = socket.write_all(&frames.concat()).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let attempt = attempt(address, "http2 GET /").await;
    assert_eq!(attempt.outcome, Outcome::Truncated);
    assert!(!attempt.retryable);
}
