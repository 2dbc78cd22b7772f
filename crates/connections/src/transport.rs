//! The transport under the socket that actix's dispatchers are given.
//!
//! It passes bytes through and does three things besides: it tells the connection's state what
//! it sees; it answers a read with end-of-file where that closes an idle connection without
//! losing a request; and it puts HTTP/2's GOAWAY between two frames.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::io::ioctl_fionread;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::{
    goaway::{Leaving, When},
    records::Records,
    state::{Connection, FIRST_WORD, Protocol, Stage},
    websocket,
};

/// A TCP connection: in the clear on the left, with TLS on the right. The latter is boxed, since
/// its buffers would make every cleartext connection larger.
pub type Transport = Either<TcpStream, Box<TlsStream<Records>>>;

/// The TCP stream at the bottom.
pub fn tcp(transport: &Transport) -> &TcpStream {
    match transport {
        Either::Left(tcp) => tcp,
        Either::Right(tls) => tls.get_ref().0.tcp(),
    }
}

/// Whether the kernel holds bytes that were not read yet.
///
/// Asked of the kernel, since tokio says "pending" until its driver has seen the event.
pub fn has_unread(tcp: &TcpStream) -> bool {
    // Where the kernel cannot tell, the connection is taken to be empty: it is idle anyway.
    ioctl_fionread(tcp).is_ok_and(|bytes| bytes > 0)
}

/// The part of a socket that outlives its dispatcher.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Io {
    /// What is read from and written to.
    pub transport: Transport,
    wire: Wire,
    /// The client has closed its side, or the connection has failed.
    pub ended: bool,
    /// The server's side is closed.
    pub finished: bool,
    /// The first write that found no room, if none has since.
    pub stalled: Option<Instant>,
    /// A client may close its side and wait for the answer, of which its dispatcher must not hear.
    hides_half_close: bool,
    /// That has been hidden.
    half_closed: bool,
    /// What was read before it was known what is spoken.
    begun: Vec<u8>,
}

#[derive(Debug)]
enum Wire {
    /// Nothing needs to be followed.
    Plain,
    Http2(Box<Leaving>),
    WebSocket(websocket::Outbound),
}

impl Io {
    /// A connection on which `begun` was read to find out what is spoken.
    pub fn new(transport: Transport, protocol: Protocol, begun: Vec<u8>) -> Self {
        let wire = match protocol {
            Protocol::Http2 => Wire::Http2(Box::default()),
            Protocol::Http1 | Protocol::WebSocket | Protocol::Other => Wire::Plain,
        };
        Self {
            transport,
            wire,
            ended: false,
            finished: false,
            stalled: None,
            hides_half_close: false,
            half_closed: false,
            begun,
        }
    }

    /// For a dispatcher that gives its request up when the client closes its side, which may be all
    /// that a client has to say: it sees the end only once nothing is in flight.
    #[must_use]
    pub fn hide_half_close(mut self) -> Self {
        self.hides_half_close = matches!(self.wire, Wire::Plain);
        self
    }

    /// Whether it is HTTP/1 that is written as it comes, with nothing hidden.
    #[inline]
    pub fn is_calm(&self) -> bool {
        matches!(self.wire, Wire::Plain) && self.stalled.is_none() && !self.half_closed
    }

    /// Whether the end of what the client says was hidden, and may be seen now.
    pub fn may_see_the_end(&mut self, connection: &Connection) -> bool {
        let may = self.half_closed && connection.is_idle();
        self.half_closed &= !may;
        may
    }

    /// Gives up streams of whose responses their client lets nothing pass; see
    /// [`Leaving::limit_windows`].
    pub fn limit_windows(&mut self, limit: Duration) -> (Option<Instant>, bool) {
        match &mut self.wire {
            Wire::Http2(h2) => h2.limit_windows(limit),
            Wire::Plain | Wire::WebSocket(_) => (None, false),
        }
    }

    /// Begins the GOAWAY once it may be sent, and writes what is left of it.
    pub fn poll_leave(
        &mut self,
        connection: &Connection,
        cx: &mut Context<'_>,
        when: When,
    ) -> Poll<io::Result<()>> {
        let Wire::Http2(h2) = &mut self.wire else { return Poll::Ready(Ok(())) };
        h2.begin(connection, when);
        while !h2.unwritten().is_empty() {
            let written = ready!(Pin::new(&mut self.transport).poll_write(cx, h2.unwritten()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            h2.wrote(written);
            if h2.unwritten().is_empty() {
                return Pin::new(&mut self.transport).poll_flush(cx);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// When something has to happen on this connection without its client doing anything.
    pub fn due(&self, connection: &Connection) -> Option<Instant> {
        match &self.wire {
            Wire::Http2(h2) => h2.due(connection, connection.accepted() + FIRST_WORD),
            Wire::Plain | Wire::WebSocket(_) => (connection.stage() >= Stage::Closing
                && connection.is_idle()
                && !connection.has_spoken())
            .then(|| connection.accepted() + FIRST_WORD),
        }
    }

    /// Reads what the client sent; ends where that closes an idle connection with nothing lost.
    #[inline]
    pub fn poll_read(
        &mut self,
        connection: &Connection,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // While a connection is served, nothing stands between its dispatcher and what comes.
        if !connection.is_untroubled() {
            if connection.has_expired() || self.hides_the_rest(connection) {
                return Poll::Ready(Ok(()));
            }
            if connection.ignores_more() {
                return self.poll_ignore(cx);
            }
        }
        if let Wire::Http2(h2) = &mut self.wire
            && h2.poll_show(buf)
        {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        loop {
            let read = if self.begun.is_empty() {
                Pin::new(&mut self.transport).poll_read(cx, buf)
            } else {
                let here = self.begun.len().min(buf.remaining());
                buf.put_slice(&self.begun[..here]);
                self.begun.drain(..here);
                Poll::Ready(Ok(()))
            };
            return match read {
                Poll::Ready(Ok(())) => {
                    let bytes = &mut buf.filled_mut()[before..];
                    if bytes.is_empty() {
                        if self.hides_half_close
                            && connection.protocol() == Protocol::Http1
                            && !connection.is_idle()
                            && !connection.is_in_body()
                        {
                            self.half_closed = true;
                            return Poll::Pending;
                        }
                        self.ended = true;
                    } else {
                        match &mut self.wire {
                            // What means nothing would stop the dispatcher's keep-alive timer.
                            Wire::Plain
                                if connection.protocol() == Protocol::Http1
                                    && !connection.heard(bytes) =>
                            {
                                buf.set_filled(before);
                                continue;
                            }
                            Wire::Http2(h2) => {
                                connection.spoke();
                                h2.frames.received(bytes);
                            }
                            Wire::Plain | Wire::WebSocket(_) => {}
                        }
                    }
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Err(error)) => {
                    self.ended = true;
                    Poll::Ready(Err(error))
                }
                Poll::Pending if self.may_end(connection) => Poll::Ready(Ok(())),
                Poll::Pending => Poll::Pending,
            };
        }
    }

    /// Reads what will not be answered any more, to see when the client has gone.
    fn poll_ignore(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let read = self.poll_discard(cx);
        self.ended |= read.is_ready();
        read
    }

    /// The abrupt close does not look at what the client may have sent.
    fn hides_the_rest(&self, connection: &Connection) -> bool {
        connection.stage() == Stage::Abrupt
            && connection.is_idle()
            && matches!(self.wire, Wire::Plain)
    }

    /// Whether an idle connection may be ended now, with nothing lost.
    #[inline]
    fn may_end(&self, connection: &Connection) -> bool {
        if connection.stage() < Stage::Closing || !connection.is_idle() {
            return false;
        }
        let greeted = connection.has_spoken() || connection.accepted().elapsed() >= FIRST_WORD;
        match &self.wire {
            // A head that has begun to arrive gets its time limit; see `serve`.
            Wire::Plain => greeted && !connection.is_waiting() && !self.has_unread(),
            // A handshake that never came. Everything later ends with GOAWAY: what nobody counts
            // as in flight any more may still wait in the h2 server for its client's window.
            Wire::Http2(h2) => greeted && !h2.frames.has_begun() && !self.has_unread(),
            Wire::WebSocket(_) => false,
        }
    }

    /// Whether something has come that nobody has seen yet.
    fn has_unread(&self) -> bool {
        !self.begun.is_empty() || has_unread(tcp(&self.transport)) || self.is_inside_record()
    }

    fn is_inside_record(&self) -> bool {
        match &self.transport {
            Either::Left(_) => false,
            Either::Right(tls) => tls.get_ref().0.is_partial(),
        }
    }

    /// Whether an idle client has begun to say something and not finished.
    #[inline]
    pub fn is_partial(&self, connection: &Connection) -> bool {
        if !connection.is_idle() {
            return false;
        }
        match &self.wire {
            Wire::Plain => connection.is_waiting() || self.is_inside_record(),
            Wire::Http2(h2) => h2.frames.is_partial() || self.is_inside_record(),
            Wire::WebSocket(_) => false,
        }
    }

    /// Whether the head of a request has begun, and is not complete. Of HTTP/2, where the client
    /// may send other things, it is looked for only where nothing is in flight.
    pub fn is_half(&self, connection: &Connection) -> bool {
        let in_record = connection.is_idle() && self.is_inside_record();
        match &self.wire {
            Wire::Plain => connection.is_half() || in_record,
            Wire::Http2(h2) => (connection.is_idle() && h2.frames.is_in_head()) || in_record,
            Wire::WebSocket(_) => false,
        }
    }

    /// Requests of which something may still have to be written, as far as bytes tell.
    pub fn unsent(&self) -> u32 {
        match &self.wire {
            Wire::Http2(h2) => h2.frames.open_streams(),
            Wire::Plain | Wire::WebSocket(_) if self.stalled.is_some() => u32::MAX,
            Wire::Plain | Wire::WebSocket(_) => 0,
        }
    }

    /// Gives the connection up with a reset, and what waits to be sent with it.
    pub fn abort(&self) {
        // An error would mean that it is gone already.
        let _ = SockRef::from(tcp(&self.transport)).set_linger(Some(Duration::ZERO));
    }

    /// Follows bytes that were written.
    pub fn sent(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Plain => {}
            Wire::Http2(h2) => h2.frames.sent(bytes),
            Wire::WebSocket(outbound) => outbound.follow(bytes),
        }
    }

    /// Notes whether a write found room, or failed.
    pub fn progress<T>(&mut self, written: &Poll<io::Result<T>>) {
        match written {
            Poll::Ready(Ok(_)) => self.stalled = None,
            Poll::Ready(Err(_)) => self.ended = true,
            Poll::Pending => {
                self.stalled.get_or_insert_with(Instant::now);
            }
        }
    }

    /// The response that is about to be written upgrades the connection to a WebSocket.
    pub fn upgrade(&mut self) {
        if matches!(self.wire, Wire::Plain) {
            self.wire = Wire::WebSocket(websocket::Outbound::new());
        }
    }

    /// What a peer is told when its connection is given up between two frames.
    pub fn farewell(&self) -> Vec<u8> {
        match &self.wire {
            Wire::Http2(h2) if h2.unwritten().is_empty() && h2.frames.may_send() => {
                h2.frames.farewell()
            }
            Wire::WebSocket(outbound) if outbound.may_close() => {
                websocket::CLOSE_SERVICE_RESTART.to_vec()
            }
            Wire::Plain | Wire::Http2(_) | Wire::WebSocket(_) => Vec::new(),
        }
    }

    /// Writes bytes that are nobody's but the connection's own.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    /// Flushes what was written: with TLS, bytes may be left of a write that was taken.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.transport {
            Either::Left(_) => Poll::Ready(Ok(())),
            Either::Right(_) => self.poll_flush_tls(cx),
        }
    }

    fn poll_flush_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        self.progress(&flushed);
        flushed
    }

    /// Ends the server's side: close_notify where there is TLS, then FIN.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            let finished = Pin::new(&mut self.transport).poll_shutdown(cx);
            self.progress(&finished);
            ready!(finished)?;
            self.finished = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and discards until the client closes too.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
