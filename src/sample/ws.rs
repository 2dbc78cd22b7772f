//! `/ws`: a WebSocket that echoes, and says when it leaves.

use std::time::Duration;

use actix_web::{Error, HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Session};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{Sample, events::spread, leaving::Leaving};

/// A peer that takes nothing for this long is given up.
const SEND: Duration = Duration::from_secs(10);

/// Echoes text and binary messages until either side closes, or the server leaves: then it
/// closes with 1001, "going away", some time within `close.spread`, once what has come is answered.
pub(super) async fn ws(
    sample: web::Data<Sample>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Error> {
    let (response, mut session, messages) = actix_ws::handle(&request, body)?;
    let mut messages =
        messages.aggregate_continuations().max_continuation_size(sample.settings.limits.body);
    let spread = spread(sample.settings.close_spread);
    let mut leaving = Leaving::new(sample.lifecycle.lame_duck(), spread);
    actix_web::rt::spawn(async move {
        let reason = loop {
            let message = tokio::select! {
                biased;
                message = messages.next(), if !leaving.is_over() => message,
                () = leaving.silent() => break Some(CloseCode::Away.into()),
            };
            match message {
                Some(Ok(message)) => match echo(&mut session, message).await {
                    Ok(()) => {}
                    Err(reason) => break reason,
                },
                Some(Err(_)) => break Some(CloseCode::Protocol.into()),
                None => return,
            }
        };
        // An error means that the peer is gone already. What it still sends is read by the
        // connection, which waits for the peer to close too.
        let _ = session.close(reason).await;
    });
    Ok(response)
}

/// Answers one message; an error ends the conversation with a reason.
async fn echo(
    session: &mut Session,
    message: AggregatedMessage,
) -> Result<(), Option<CloseReason>> {
    let sent = async {
        match message {
            AggregatedMessage::Text(text) => session.text(text).await.map_err(|_| None),
            AggregatedMessage::Binary(bytes) => session.binary(bytes).await.map_err(|_| None),
            AggregatedMessage::Ping(bytes) => session.pong(&bytes).await.map_err(|_| None),
            AggregatedMessage::Pong(_) => Ok(()),
            AggregatedMessage::Close(reason) => Err(reason),
        }
    };
    timeout(SEND, sent).await.unwrap_or(Err(None))
}
