//! HTTP/1.1, on new connections and on kept ones.

use std::{future, io, time::Duration};

use tokio::net::TcpStream;
use websample_load::{Bounds, Connect, ConnectError, Connecting, Outcome, Version};

use crate::harness::{
    OK, Run, attempt, attempts, hold, nobody, outcomes, read_request, report, reset, serve, write,
};

/// Answers the first request of a connection and lets `then` end it when the second is there.
async fn on_the_second(mut socket: TcpStream, number: usize, then: fn(&TcpStream)) {
    let first = read_request(&mut socket).await;
    write(&mut socket, OK).await;
    if number == 0 && first && read_request(&mut socket).await {
        then(&socket);
        return;
    }
    hold(socket).await;
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let attempt = attempt(nobody().await, "new GET /").await;
    assert_eq!(attempt.outcome, Outcome::Refused);
    assert!(!attempt.retryable);
    assert!(attempt.peer.is_some());
    assert_eq!(attempt.error.as_deref(), Some("connect: Connection refused"));
}

#[tokio::test]
async fn a_complete_answer_is_ok_and_says_its_version() {
    let answer: &[u8] =
        b"HTTP/1.1 202 Accepted\r\nx-websample-version: v2\r\ncontent-length: 5\r\n\r\nhello";
    let address = serve(move |mut socket, _| async move {
        read_request(&mut socket).await;
        write(&mut socket, answer).await;
    })
    .await;
    let attempt = attempt(address, "new POST / body=7").await;
    assert_eq!(attempt.outcome, Outcome::Ok);
    assert_eq!(attempt.status, Some(202));
    assert_eq!(attempt.version, Some(Version::Named("v2".into())));
    assert_eq!((attempt.bytes_in, attempt.bytes_out), (5, 7));
    assert_eq!(attempt.peer, Some(address));
    assert_eq!(attempt.error, None);
}

#[tokio::test]
async fn without_a_version_header_the_status_is_the_version() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        write(&mut socket, b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    assert_eq!(attempt(address, "new GET /").await.version, Some(Version::Status(201)));
}

#[tokio::test]
async fn a_fresh_connection_closed_before_the_answer_is_reset() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
    })
    .await;
    for stream in ["new GET /", "keep-alive GET /"] {
        let attempt = attempt(address, stream).await;
        assert_eq!(attempt.outcome, Outcome::Reset, "{stream}");
        assert!(!attempt.retryable, "net/http does not retry on a fresh connection");
    }
}

#[tokio::test]
async fn a_fresh_connection_answered_with_rst_is_reset() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        reset(&socket);
    })
    .await;
    assert_eq!(attempt(address, "new GET /").await.outcome, Outcome::Reset);
}

#[tokio::test]
async fn a_reused_connection_closed_under_a_get_is_reset_reused_and_would_be_retried() {
    let address = serve(|socket, number| on_the_second(socket, number, |_| {})).await;
    let (report, attempts) = report(address, "keep-alive GET / connections=1", 3).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok, Outcome::ResetReused, Outcome::Ok]);
    assert_eq!(attempts.iter().map(|a| a.reused).collect::<Vec<_>>(), [false, true, false]);
    assert!(attempts[1].retryable);
    assert_eq!((report.total.lost, report.total.lost_with_retries), (1, 0));
}

#[tokio::test]
async fn a_reused_connection_closed_under_a_post_would_not_be_retried() {
    let address = serve(|socket, number| on_the_second(socket, number, |_| {})).await;
    let (report, attempts) = report(address, "keep-alive POST / connections=1 body=3", 2).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok, Outcome::ResetReused]);
    assert!(!attempts[1].retryable);
    assert_eq!((report.total.lost, report.total.lost_with_retries), (1, 1));
}

#[tokio::test]
async fn a_reused_connection_answered_with_rst_is_reset_reused() {
    let address = serve(|socket, number| on_the_second(socket, number, reset)).await;
    let attempts = attempts(address, "keep-alive GET / connections=1", 2).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok, Outcome::ResetReused]);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_used_again() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        write(&mut socket, OK).await;
    })
    .await;
    let attempts = attempts(address, "keep-alive GET / connections=1", 3).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok; 3]);
    assert!(attempts.iter().all(|attempt| !attempt.reused));
}

#[tokio::test]
async fn a_connection_that_said_close_is_not_used_again() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        write(&mut socket, answer).await;
        hold(socket).await;
    })
    .await;
    let attempts = attempts(address, "keep-alive GET / connections=1", 2).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok; 2]);
    assert!(attempts.iter().all(|attempt| !attempt.reused));
}

#[tokio::test]
async fn connections_are_used_in_rotation() {
    let address = serve(|mut socket, number| async move {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nx-websample-version: {number}\r\ncontent-length: 0\r\n\r\n"
        );
        while read_request(&mut socket).await {
            write(&mut socket, answer.as_bytes()).await;
        }
    })
    .await;
    let attempts = attempts(address, "keep-alive GET / connections=2", 5).await;
    let connections: Vec<_> =
        attempts.iter().map(|a| a.version.as_ref().map(ToString::to_string)).collect();
    assert_eq!(connections, ["0", "1", "0", "1", "0"].map(|n| Some(n.to_owned())));
}

#[tokio::test]
async fn a_connection_keeps_its_turn_while_others_are_closed_after_one_request() {
    // As of a Service with a pod that keeps its connections and others that leave.
    let address = serve(|mut socket, number| async move {
        let close = if number == 0 { "" } else { "connection: close\r\n" };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nx-websample-version: {number}\r\n{close}content-length: 0\r\n\r\n"
        );
        while read_request(&mut socket).await {
            write(&mut socket, answer.as_bytes()).await;
        }
    })
    .await;
    let attempts = attempts(address, "keep-alive GET / connections=2", 6).await;
    let connections: Vec<_> =
        attempts.iter().map(|a| a.version.as_ref().map(ToString::to_string)).collect();
    assert_eq!(connections, ["0", "1", "0", "2", "0", "3"].map(|n| Some(n.to_owned())));
}

#[tokio::test]
async fn an_answer_that_ends_early_is_truncated() {
    for partial in [
        &b"HTTP/1.1 20"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let address = serve(move |mut socket, _| async move {
            read_request(&mut socket).await;
            write(&mut socket, partial).await;
        })
        .await;
        let attempt = attempt(address, "new GET /stream/2").await;
        assert_eq!(attempt.outcome, Outcome::Truncated, "{}", String::from_utf8_lossy(partial));
        assert_eq!(attempt.complete_status(), None);
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_counted_to_its_end() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        write(&mut socket, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..3 {
            tokio::task::yield_now().await;
            write(&mut socket, b"5\r\nhello\r\n").await;
        }
        write(&mut socket, b"0\r\n\r\n").await;
    })
    .await;
    let attempt = attempt(address, "new GET /stream/3").await;
    assert_eq!((attempt.outcome, attempt.bytes_in), (Outcome::Ok, 15));
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    for partial in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"] {
        let address = serve(move |mut socket, _| async move {
            read_request(&mut socket).await;
            write(&mut socket, partial).await;
            hold(socket).await;
        })
        .await;
        let attempt = attempt(address, "new GET / timeout=200ms").await;
        assert_eq!(attempt.outcome, Outcome::Timeout);
        assert!(attempt.latency() >= Duration::from_millis(200));
    }
}

#[tokio::test]
async fn an_unexpected_status_is_named() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        let answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
        write(&mut socket, answer).await;
    })
    .await;
    let failed = attempt(address, "new GET /").await;
    assert_eq!(failed.outcome, Outcome::Status(500));
    assert_eq!(failed.outcome.to_string(), "status_500");
    assert_eq!(failed.error.as_deref(), Some("500 Internal Server Error"));
    assert_eq!(attempt(address, "new GET / expect=200-299|500").await.outcome, Outcome::Ok);
}

/// Connects never, or fails in a given way.
struct Never(Option<fn() -> io::Error>);

impl Connect for Never {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            match self.0 {
                Some(error) => Err(ConnectError { peer: None, error: error() }),
                None => future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn a_connection_that_never_comes_about_is_a_connect_timeout() {
    let bounds = Bounds { connect_timeout: Duration::from_millis(100), ..Bounds::default() };
    for stream in ["new GET /", "keep-alive GET /", "http2 GET /", "websocket /ws"] {
        let run = Run::of(&format!("1/s {stream}"), Never(None), bounds);
        let (_, attempts) = run.finish(Duration::from_millis(500)).await;
        assert_eq!(outcomes(&attempts), [Outcome::ConnectTimeout], "{stream}");
    }
}

#[tokio::test]
async fn what_this_machine_cannot_open_is_unsent_and_no_loss() {
    // 24 is EMFILE: no file descriptor left.
    let run = Run::of(
        "1/s new GET /",
        Never(Some(|| io::Error::from_raw_os_error(24))),
        Bounds::default(),
    );
    let (report, attempts) = run.finish(Duration::from_millis(500)).await;
    assert_eq!(outcomes(&attempts), [Outcome::Unsent]);
    assert_eq!(report.total.lost, 0);
}
