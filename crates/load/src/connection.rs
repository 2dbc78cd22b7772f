//! One connection that carries one request at a time: HTTP/1.1, or HTTP/2 where TLS chose it.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client as h2;
use http_body_util::{BodyExt, Full};
use hyper::{client::conn::http1, header};
use hyper_util::rt::TokioIo;

use super::{
    exchange::{Dialer, Known, Template, Versions},
    failure::Failure,
    http2,
    wire::Meter,
};

/// A connection.
pub(super) struct Connection {
    sender: Sender,
    pub(super) peer: SocketAddr,
    /// Who answered on it last.
    pub(super) instance: Option<Arc<str>>,
}

enum Sender {
    Http1 { sender: http1::SendRequest<Full<Bytes>>, meter: Arc<Meter> },
    Http2(h2::SendRequest<Bytes>),
}

/// Opens one.
pub(super) async fn open(dialer: &Dialer, known: &mut Known) -> Result<Connection, Failure> {
    let socket = dialer.dial_for(known).await?;
    // The end of a connection is seen by the sender, or by nobody because nobody waits for it.
    let sender = if socket.http2 {
        let shaken = h2::handshake(socket.io).await;
        let (sender, connection) = shaken.map_err(|error| Failure::broken(&error, true))?;
        tokio::spawn(async move { drop(connection.await) });
        Sender::Http2(sender)
    } else {
        let shaken = http1::handshake(TokioIo::new(socket.io)).await;
        let (sender, connection) = shaken.map_err(|error| Failure::broken(&error, true))?;
        tokio::spawn(async move { drop(connection.await) });
        Sender::Http1 { sender, meter: socket.meter }
    };
    Ok(Connection { sender, peer: socket.peer, instance: None })
}

impl Connection {
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Whether another request can be sent at this moment.
    pub(super) fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::Http1 { sender, .. } => sender.is_ready(),
            Sender::Http2(sender) => {
                sender.clone().ready().now_or_never().is_some_and(|ready| ready.is_ok())
            }
        }
    }

    /// Waits until another request can be sent; false if none will.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1 { sender, .. } => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.clone().ready().await.is_ok(),
        }
    }

    /// Sends one request and reads the whole answer; true if another may follow.
    pub(super) async fn exchange(
        &mut self,
        template: &Template,
        versions: &Versions,
        known: &mut Known,
    ) -> Result<bool, Failure> {
        let keep = match &mut self.sender {
            Sender::Http1 { sender, meter } => {
                exchange_http1(sender, meter, template, versions, known).await
            }
            Sender::Http2(sender) => match sender.clone().ready().await {
                Ok(sender) => http2::send(sender, template, versions, known).await.map(|()| true),
                Err(error) => Err(Failure::broken(&error, true)),
            },
        };
        if known.status.is_some() {
            self.instance.clone_from(&known.instance);
        }
        keep
    }
}

async fn exchange_http1(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    meter: &Meter,
    template: &Template,
    versions: &Versions,
    known: &mut Known,
) -> Result<bool, Failure> {
    let (read, written) = (meter.read(), meter.written());
    let request = template.request(Full::new(template.body.clone()));
    let response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) => {
            known.seen.began = meter.read() > read;
            return Err(Failure::broken(&error, meter.written() == written));
        }
    };
    known.answered(response.status(), response.headers(), versions);
    let closes = response
        .headers()
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("close"));
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::broken(&error, false))?;
        known.bytes_in += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(!closes)
}
