//! Request bodies that stop arriving.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{Payload, Request, error::PayloadError};
use actix_web::web::Bytes;
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::state::{Connection, Protocol};

/// Gives a request's body its time limit: a handler that waits for a byte of it, and gets none
/// for [`Connection::body_timeout`], is told that the client has timed out.
///
/// A connection that has become another protocol's, which only an answered 101 makes it, may be
/// silent.
pub(crate) fn limit_body(request: &mut Request, connection: &Rc<Connection>) {
    let has_body = !matches!(request.payload(), Payload::None);
    connection.expects_body(has_body);
    if !has_body {
        return;
    }
    let payload = request.take_payload();
    let connection = Rc::clone(connection);
    let limited = Limited { payload, connection, came: 0, timer: None, waits: false };
    *request.payload() = Payload::Stream { payload: Box::pin(limited) };
}

/// A body with a limit on each wait for more of it.
struct Limited {
    payload: Payload,
    connection: Rc<Connection>,
    /// Bytes of it that have come.
    came: usize,
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Stream for Limited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(item) = Pin::new(&mut this.payload).poll_next(cx) {
            this.waits = false;
            match &item {
                Some(Ok(chunk)) => this.came += chunk.len(),
                Some(Err(_)) => {}
                None => this.connection.has_body(this.came),
            }
            return Poll::Ready(item);
        }
        if this.connection.protocol() == Protocol::WebSocket {
            return Poll::Pending;
        }
        // Looked at only while somebody waits: a handler may take its own time.
        let until = Instant::now() + this.connection.body_timeout();
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if !this.waits {
            this.waits = true;
            timer.as_mut().reset(until);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.waits = false;
        this.connection.expire();
        let why = "no more of the body came within limits.body_timeout";
        let error = io::Error::new(io::ErrorKind::TimedOut, why);
        Poll::Ready(Some(Err(PayloadError::Incomplete(Some(error)))))
    }
}
