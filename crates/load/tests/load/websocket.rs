//! WebSocket echoes.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::{accept_async, tungstenite::Message};
use websample_load::Outcome;

use crate::harness::{attempt, read_request, serve, write};

#[tokio::test]
async fn an_echo_is_ok() {
    let address = serve(|socket, _| async move {
        let mut socket = accept_async(socket).await.expect("a WebSocket client");
        socket.send(Message::text("welcome")).await.expect("a live client");
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await.expect("a live client");
            }
        }
    })
    .await;
    let attempt = attempt(address, "websocket /ws body=20").await;
    assert_eq!(attempt.outcome, Outcome::Ok);
    assert_eq!(attempt.status, Some(101));
    assert_eq!((attempt.bytes_in, attempt.bytes_out), (27, 20));
}

#[tokio::test]
async fn a_socket_closed_before_the_echo_is_truncated() {
    let address = serve(|socket, number| async move {
        let mut socket = accept_async(socket).await.expect("a WebSocket client");
        let _ = socket.next().await;
        // In good manners or without.
        if number == 0 {
            let _ = socket.close(None).await;
            while let Some(Ok(_)) = socket.next().await {}
        }
    })
    .await;
    for _ in 0..2 {
        assert_eq!(attempt(address, "websocket /ws").await.outcome, Outcome::Truncated);
    }
}

#[tokio::test]
async fn a_refused_upgrade_is_named_by_its_status() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        write(&mut socket, b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    assert_eq!(attempt(address, "websocket /ws").await.outcome, Outcome::Status(503));
}

#[tokio::test]
async fn a_connection_closed_before_the_upgrade_is_reset() {
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
    })
    .await;
    assert_eq!(attempt(address, "websocket /ws").await.outcome, Outcome::Reset);
}
