//! A WebSocket echo: connect, send a text, expect it back, close.

use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, Utf8Bytes, handshake::client::generate_key},
};

use super::{
    exchange::{Dialer, Known, Template, Versions},
    failure::{Failure, FailureKind},
    wire::Metered,
};

/// Opens a WebSocket for each request.
pub(super) struct Echo {
    pub(super) dialer: Dialer,
}

impl Echo {
    pub(super) async fn exchange(
        &self,
        template: &Template,
        versions: &Versions,
        known: &mut Known,
    ) -> Result<Parting, Failure> {
        let text = Utf8Bytes::try_from(template.body.clone()).map_err(|_| Failure {
            kind: FailureKind::Local,
            text: "a WebSocket text has to be UTF-8".to_owned(),
        })?;
        let dialed = self.dialer.dial_for(known).await?;
        let meter = dialed.meter;

        let mut request = template.request(());
        let headers = request.headers_mut();
        if let Ok(key) = generate_key().parse() {
            headers.insert("sec-websocket-key", key);
        }
        for (name, value) in
            [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
        {
            headers.insert(name, hyper::header::HeaderValue::from_static(value));
        }
        let mut socket = match client_async(request, dialed.io).await {
            Ok((socket, response)) => {
                known.answered(response.status(), response.headers(), versions);
                socket
            }
            Err(Error::Http(response)) => {
                let status = response.status();
                known.answered(status, response.headers(), versions);
                return Err(refused_upgrade(status));
            }
            Err(error) => {
                known.seen.began = meter.read() > 0;
                return Err(Failure::broken(&error, meter.written() == 0));
            }
        };

        let broken = |error: Error| Failure::broken(&error, false);
        socket.send(Message::Text(text.clone())).await.map_err(broken)?;
        // Some servers greet first; only the echo counts.
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(answer))) => {
                    known.bytes_in += answer.len() as u64;
                    if answer == text {
                        break;
                    }
                }
                Some(Ok(Message::Close(_))) => {
                    return Err(Failure::closed("WebSocket closed before the echo"));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(Failure::closed("WebSocket ended before the echo")),
            }
        }
        Ok(Parting(socket))
    }
}

/// A WebSocket whose echo has arrived: how the other side says goodbye is no loss any more.
pub(super) struct Parting(WebSocketStream<Metered>);

impl Parting {
    /// Closes it in the proper way: a close frame each, in either order.
    pub(super) async fn close(mut self) {
        if self.0.close(None).await.is_ok() {
            while let Some(Ok(_)) = self.0.next().await {}
        }
    }
}

fn refused_upgrade(status: StatusCode) -> Failure {
    Failure { kind: FailureKind::Status(status.as_u16()), text: status.to_string() }
}
