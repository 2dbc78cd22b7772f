//! The TCP stream under TLS, which knows whether a record has arrived only in part.
//!
//! rustls shows nothing of a record before all of it is there. A request whose record is cut in
//! two by the network is then neither in the kernel's buffer nor in anybody's hands.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A record's header: type, version (2 bytes), length (2 bytes). Source: RFC 8446 section 5.1.
const HEADER: u8 = 5;

/// A TCP stream that follows the boundaries of the TLS records it receives.
#[derive(Debug)]
pub struct Records {
    tcp: TcpStream,
    inbound: Boundaries,
}

impl Records {
    /// Follows a stream from its beginning.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, inbound: Boundaries::default() }
    }

    /// The stream below.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether a record has begun to arrive and is not complete.
    pub fn is_partial(&self) -> bool {
        self.inbound.is_inside()
    }
}

#[derive(Debug, Default)]
struct Boundaries {
    /// Bytes of the current header so far.
    have: u8,
    length: [u8; 2],
    /// Bytes of the current record still to come.
    left: u16,
}

impl Boundaries {
    fn is_inside(&self) -> bool {
        self.have > 0 || self.left > 0
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.left > 0 {
                let here = bytes.len().min(usize::from(self.left));
                self.left -= here as u16;
                bytes = &bytes[here..];
                continue;
            }
            self.length = [self.length[1], byte];
            self.have += 1;
            bytes = rest;
            if self.have == HEADER {
                self.have = 0;
                self.left = u16::from_be_bytes(self.length);
            }
        }
    }
}

impl AsyncRead for Records {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        self.inbound.follow(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Records {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_partial_from_its_first_byte_to_the_one_before_its_last() {
        let record = |length: u16| {
            let [high, low] = length.to_be_bytes();
            [vec![23, 3, 3, high, low], vec![0; usize::from(length)]].concat()
        };
        for chunk in [1, 2, 4, 5, 6, 300, 100_000] {
            let mut boundaries = Boundaries::default();
            for length in [1, 256, 17, 16_640] {
                let record = record(length);
                let pieces = record.chunks(chunk);
                let last = pieces.len() - 1;
                for (index, piece) in pieces.enumerate() {
                    boundaries.follow(piece);
                    assert_eq!(boundaries.is_inside(), index < last, "{length} cut into {chunk}");
                }
            }
        }
    }
}
