//! The socket that actix's dispatchers are given: a connection's [`Io`], read and written through
//! the connection's state.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::either::Either;

use super::{
    connected::Connected,
    goaway::When,
    state::{Connection, Protocol},
    transport::{Io, tcp},
};

/// A connection's socket, as its dispatcher has it.
#[derive(Debug)]
pub struct Socket {
    /// The part that outlives the dispatcher.
    pub io: Rc<RefCell<Io>>,
    /// What is known of the connection.
    pub connection: Rc<Connection>,
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io.borrow_mut().poll_read(&self.connection, cx, buf)
    }
}

impl Socket {
    /// Shows the connection to whoever wants to keep something of it.
    pub fn with<R>(&self, look: impl FnOnce(&Connected<'_>) -> R) -> R {
        let io = self.io.borrow();
        let tls = match &io.transport {
            Either::Left(_) => None,
            Either::Right(tls) => Some(tls.get_ref().1),
        };
        look(&Connected::new(tcp(&io.transport), tls))
    }

    /// What has to be written before the dispatcher's bytes.
    #[inline]
    fn poll_before_write(&self, io: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.connection.protocol() {
            Protocol::Http1 | Protocol::Other => Poll::Ready(Ok(())),
            Protocol::Http2 => io.poll_leave(&self.connection, cx, When::BeforeWrite),
            Protocol::WebSocket => {
                io.upgrade();
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let io = &mut *self.io.borrow_mut();
        ready!(self.poll_before_write(io, cx))?;
        let written = Pin::new(&mut io.transport).poll_write(cx, bytes);
        io.progress(&written);
        if let Poll::Ready(Ok(count)) = written {
            io.sent(&bytes[..count]);
        }
        written
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = &mut *self.io.borrow_mut();
        ready!(self.poll_before_write(io, cx))?;
        let written = Pin::new(&mut io.transport).poll_write_vectored(cx, slices);
        io.progress(&written);
        if let Poll::Ready(Ok(mut count)) = written {
            for slice in slices {
                let here = count.min(slice.len());
                io.sent(&slice[..here]);
                count -= here;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.borrow().transport.is_write_vectored()
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.borrow_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The lingering half of the close is the connection's task's, which has no buffers.
        self.io.borrow_mut().poll_finish(cx)
    }
}
