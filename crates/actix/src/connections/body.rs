//! Request bodies that stop arriving, and those that only seem to be there.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_http::{
    ConnectionType, HttpMessage as _, Method, Payload, Request, Version, error::PayloadError,
};
use actix_web::{http::header, web::Bytes};
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::state::{Connection, Protocol};

/// Gives a request's body its time limit: a handler that waits for a byte of it, and gets none
/// for [`Connection::body_timeout`], is told that the client has timed out.
///
/// A connection that has become another protocol's, which only an answered 101 makes it, may be
/// silent. Tells whether actix takes everything behind the head for the body; see
/// [`takes_everything`].
pub(crate) fn limit_body(request: &mut Request, connection: &Rc<Connection>) -> bool {
    let has_body = !matches!(request.payload(), Payload::None);
    connection.expects_body(has_body);
    if !has_body {
        return false;
    }
    let takes_everything = takes_everything(request);
    let length = if takes_everything { length_despite_upgrade(request) } else { None };
    let payload = request.take_payload();
    if length != Some(0) {
        let connection = Rc::clone(connection);
        // Looked for only where it matters.
        let chunked = connection.has_followers() && request.chunked().unwrap_or(true);
        let (came, timer, waits, done) = (0, None, false, false);
        let limited = Limited { payload, connection, came, length, chunked, timer, waits, done };
        *request.payload() = Payload::Stream { payload: Box::pin(limited) };
    }
    takes_everything
}

/// Whether actix takes everything behind the head for the body, as it does with
/// `Upgrade: websocket` whatever the request is; and a response's body as it comes, too.
fn takes_everything(request: &Request) -> bool {
    let head = request.head();
    let names_websocket = head
        .headers
        .get_all(header::UPGRADE)
        .any(|to| to.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"));
    head.version <= Version::HTTP_11
        && (head.method == Method::CONNECT
            || (names_websocket && !request.chunked().unwrap_or(false)))
}

/// How long the body is of a request that names a WebSocket and cannot become one.
///
/// The header may be ignored (RFC 9110, section 7.8), and has no meaning without its connection
/// option; a WebSocket begins with a GET (RFC 6455, section 4.1). The body's length is then what it
/// always is (RFC 9112, section 6.3).
fn length_despite_upgrade(request: &Request) -> Option<usize> {
    let head = request.head();
    let may_upgrade =
        head.method == Method::GET && head.connection_type() == ConnectionType::Upgrade;
    if may_upgrade || head.method == Method::CONNECT {
        return None;
    }
    let Some(length) = head.headers.get(header::CONTENT_LENGTH) else { return Some(0) };
    length.to_str().ok()?.trim().parse().ok()
}

/// A body with a limit on each wait for more of it.
struct Limited {
    payload: Payload,
    connection: Rc<Connection>,
    /// Bytes of it that have come.
    came: usize,
    /// Where it ends, if that is not where the payload does.
    length: Option<usize>,
    /// It is known to be a chunked one.
    chunked: bool,
    /// Where its reader is not its connection's task, which has a timer.
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
    /// Its end has been seen: there is nothing more to ask for.
    done: bool,
}

impl Limited {
    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let left = self.length.map(|length| length - self.came);
        if self.done || left == Some(0) {
            return Poll::Ready(None);
        }
        let mut item = Pin::new(&mut self.payload).poll_next(cx);
        match &mut item {
            Poll::Ready(Some(Ok(chunk))) => {
                if let Some(left) = left {
                    chunk.truncate(left);
                }
                self.came += chunk.len();
            }
            // Where the payload does not end, its connection carries no further request.
            Poll::Ready(None) if self.length.is_none() => {
                self.done = true;
                self.connection.has_body(self.came, self.chunked);
            }
            _ => {}
        }
        item
    }

    /// Whether nothing has come for too long.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> bool {
        let connection = &self.connection;
        let begins = !self.waits;
        self.waits = true;
        if self.timer.is_none() && connection.is_served_by(cx.waker()) {
            if begins {
                connection.await_body(Some(Instant::now() + connection.body_timeout()));
            }
            return connection.is_body_late();
        }
        let until = || Instant::now() + connection.body_timeout();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until())));
        if begins {
            timer.as_mut().reset(until());
        }
        timer.as_mut().poll(cx).is_ready()
    }

    fn stop_waiting(&mut self) {
        if self.waits {
            self.waits = false;
            self.connection.await_body(None);
        }
    }
}

impl Stream for Limited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(item) = this.poll_payload(cx) {
            this.stop_waiting();
            return Poll::Ready(item);
        }
        if matches!(this.connection.protocol(), Protocol::WebSocket | Protocol::Other) {
            return Poll::Pending;
        }
        // Looked at only while somebody waits: a handler may take its own time.
        if !this.poll_limit(cx) {
            return Poll::Pending;
        }
        this.stop_waiting();
        this.connection.expire();
        let why = "no more of the body came within limits.body_timeout";
        let error = io::Error::new(io::ErrorKind::TimedOut, why);
        Poll::Ready(Some(Err(PayloadError::Incomplete(Some(error)))))
    }
}

impl Drop for Limited {
    /// Whether all of a body has come matters for what is behind it, also where nobody reads it.
    fn drop(&mut self) {
        let mut nobody = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(_))) = self.poll_payload(&mut nobody) {}
        self.stop_waiting();
    }
}
