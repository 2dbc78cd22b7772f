//! `/ws`: a WebSocket that echoes, and says when it leaves.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use websample_hyper::Body;

use super::answer::{Out, Sample, whole};
use crate::sample::{events::spread, leaving::Leaving};

/// A peer that takes nothing for this long is given up.
const SEND: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Echoes text and binary messages until either side closes, or the server leaves: then it
/// closes with 1001, "going away", some time within `close.spread`, once what has come is answered.
pub(super) fn ws(sample: &Sample, mut request: Request<Body>) -> Response<Out> {
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY).cloned();
    let is_13 = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let upgrades = headers
        .get(header::UPGRADE)
        .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let (Some(key), true, true) = (key, is_13, upgrades) else {
        return sample.refuse(
            StatusCode::BAD_REQUEST,
            "this path is a WebSocket of version 13\n".to_owned(),
        );
    };
    let spread = spread(sample.settings.close_spread);
    let mut leaving = Leaving::new(sample.lifecycle.lame_duck(), spread);
    let limit = sample.settings.limits.body;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // An error means that the client has gone before it became a WebSocket.
        let Ok(upgraded) = upgraded.await else { return };
        let config = WebSocketConfig::default().max_message_size(Some(limit));
        let io = TokioIo::new(upgraded);
        let mut socket = Socket::from_raw_socket(io, Role::Server, Some(config)).await;
        let reason = loop {
            let message = tokio::select! {
                biased;
                message = socket.next(), if !leaving.is_over() => message,
                () = leaving.silent() => break Some(CloseCode::Away),
            };
            match message {
                Some(Ok(message)) => match timeout(SEND, echo(&mut socket, message)).await {
                    Ok(Ok(())) => {}
                    // Closed, or given up.
                    Ok(Err(_)) | Err(_) => return,
                },
                Some(Err(Error::ConnectionClosed | Error::Io(_))) | None => return,
                Some(Err(_)) => break Some(CloseCode::Protocol),
            }
        };
        let frame = reason.map(|code| CloseFrame { code, reason: "".into() });
        // An error means that the peer is gone already. What it still sends is read by the
        // connection, which waits for the peer to close too.
        let _ = timeout(SEND, socket.close(frame)).await;
    });
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let Ok(accept) = accept else {
        return sample.refuse(StatusCode::BAD_REQUEST, "no such key\n".to_owned());
    };
    let response = sample
        .respond_with(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    whole(response, Bytes::new())
}

/// Answers one message; pings and closes are answered below.
async fn echo(socket: &mut Socket, message: Message) -> Result<(), Error> {
    match message {
        Message::Text(_) | Message::Binary(_) => socket.send(message).await,
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => socket.flush().await,
        Message::Close(_) => {
            socket.flush().await?;
            Err(Error::ConnectionClosed)
        }
    }
}
