//! The beginning of a connection: TLS, or finding out which version is spoken in the clear.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{
    accepted::Timeouts,
    frames::PREFACE,
    limit::Limit,
    records::Records,
    state::{Connection, FIRST_WORD, Protocol, Stage},
    transport::{Transport, has_unread},
};

/// Everything before HTTP: TLS, or finding out which version is spoken in the clear. What had to be read
/// for that comes with the transport; there is none where the connection is over already.
pub async fn open(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: &Connection,
    timeouts: Timeouts,
) -> Option<(Transport, Vec<u8>)> {
    // Like actix: a response of two writes must not wait for an acknowledgement.
    tcp.set_nodelay(true).ok()?;
    let mut limit = Limit::new(connection.accepted() + timeouts.header_timeout);
    if !first_byte(&tcp, connection, &mut limit).await {
        return None;
    }
    let mut opening = pin!(async {
        let Some(tls) = tls else {
            let (http2, begun) = sniff(&tcp).await.ok()?;
            if http2 {
                connection.set_protocol(Protocol::Http2);
            }
            return Some((Transport::Left(tcp), begun));
        };
        let stream = tls.accept(Records::new(tcp)).await.ok()?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            connection.set_protocol(Protocol::Http2);
        }
        Some((Transport::Right(Box::new(stream)), Vec::new()))
    });
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
            return Poll::Ready(opened);
        }
        // Whoever has begun to speak may finish, within the limit, also while closing.
        if connection.stage() >= Stage::Abrupt {
            return Poll::Ready(None);
        }
        limit.poll(cx).map(|()| None)
    })
    .await
}

/// Waits for the client to say anything; tells whether it did.
async fn first_byte(tcp: &TcpStream, connection: &Connection, limit: &mut Limit) -> bool {
    let mut grace: Option<Limit> = None;
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        if tcp.poll_read_ready(cx).is_ready() {
            return Poll::Ready(true);
        }
        let over = match connection.stage() {
            Stage::Open | Stage::Leaving => Poll::Pending,
            // A client that has just come wants to ask something.
            Stage::Closing => {
                let until = connection.accepted() + FIRST_WORD;
                grace.get_or_insert_with(|| Limit::new(until)).poll(cx)
            }
            Stage::Abrupt | Stage::Cut => Poll::Ready(()),
        };
        if over.is_ready() || limit.poll(cx).is_ready() {
            return Poll::Ready(has_unread(tcp));
        }
        Poll::Pending
    })
    .await
}

/// Whether the connection begins with HTTP/2's preface, and what had to be taken off the socket to
/// find out: nothing as a rule, since both kinds of clients send all of it at once.
async fn sniff(tcp: &TcpStream) -> io::Result<(bool, Vec<u8>)> {
    let mut first = [0; PREFACE.len()];
    let have = tcp.peek(&mut first).await?;
    let mut begun = Vec::new();
    let mut seen = have;
    loop {
        if seen == 0 || !PREFACE.starts_with(&first[..seen]) {
            return Ok((false, begun));
        }
        if seen == PREFACE.len() {
            return Ok((true, begun));
        }
        // The rest is on its way. What stays in the socket keeps it readable, so that the rest could
        // not be waited for.
        tcp.readable().await?;
        match tcp.try_read(&mut first[begun.len()..]) {
            Ok(0) => return Ok((false, begun)),
            Ok(read) => {
                let have = begun.len();
                begun.extend_from_slice(&first[have..have + read]);
                seen = begun.len();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
