//! One connection from its first byte to its close.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::Protocol as HttpProtocol;
use actix_service::Service;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use websample_lifecycle::{Guard, Lifecycle};

use super::{
    frames::PREFACE,
    goaway::When,
    records::Records,
    registry::{Registry, first_stage},
    state::{Connection, Protocol, Stage},
    transport::{FIRST_WORD, Io, Socket, Transport, has_unread},
};

/// After its own FIN the server reads and discards what was under way for this long, so that it
/// is not answered by a reset, which could overtake the last response.
const LINGER: Duration = Duration::from_secs(2);

/// The same at the deadline, when the process is about to exit.
const LAST_LINGER: Duration = Duration::from_millis(200);

/// Between two looks at a connection whose first bytes are the beginning of a preface.
const PREFACE_LOOK: Duration = Duration::from_millis(10);

/// Time limits of one connection.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "called as the settings are")]
pub(crate) struct Limits {
    /// For a request head, and for the TLS handshake, to arrive completely.
    pub(crate) header_timeout: Duration,
    /// For more of a request's body to arrive, once a handler waits for it.
    pub(crate) body_timeout: Duration,
    /// For a client to take any of the bytes that wait for it.
    pub(crate) write_timeout: Duration,
}

/// A connection as it leaves the accept queue.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    /// Counts the connection until it is closed.
    pub(crate) guard: Guard,
}

/// Serves a connection with an actix service until it is closed; `held` is dropped then.
///
/// An idle connection is little more than this future and its dispatcher's buffers, so what is
/// needed only at its beginning is not kept in it.
pub(crate) async fn serve<S, H>(
    accepted: Accepted,
    held: H,
    lifecycle: Lifecycle,
    registry: Rc<Registry>,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    service: Rc<S>,
) where
    S: Service<(Socket, HttpProtocol, Option<SocketAddr>), Response = ()>,
{
    let Accepted { stream, peer, guard } = accepted;
    let stage = first_stage(lifecycle.phase(), lifecycle.policy().mode);
    let connection = Connection::new(stage, limits.body_timeout);
    let entry = registry.enter(&connection);
    if let Ok(transport) = TcpStream::from_std(stream)
        && let Some(transport) = Box::pin(open(transport, tls, &connection, limits)).await
    {
        let protocol = connection.protocol();
        let io = Rc::new(RefCell::new(Io::new(transport, protocol)));
        let socket = Socket { io: Rc::clone(&io), connection: Rc::clone(&connection) };
        let spoken = match protocol {
            Protocol::Http2 => HttpProtocol::Http2,
            Protocol::Http1 | Protocol::WebSocket => HttpProtocol::Http1,
        };
        let end = {
            let dispatcher = pin!(service.call((socket, spoken, Some(peer))));
            dispatch(dispatcher, &connection, &io, limits).await
        };
        // The dispatcher and its buffers are gone; the socket is closed here.
        if end == End::Finished {
            connection.sent(0);
        }
        close(&connection, &io, end).await;
    }
    connection.close();
    drop(entry);
    drop(guard);
    drop(held);
}

/// How the dispatcher came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It finished.
    Finished,
    /// It was given up at the deadline.
    Cut,
    /// Its client takes nothing any more.
    Stalled,
}

/// Everything before HTTP: TLS, or finding out which version is spoken in the clear.
async fn open(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: &Connection,
    limits: Limits,
) -> Option<Transport> {
    // Like actix: a response of two writes must not wait for an acknowledgement.
    tcp.set_nodelay(true).ok()?;
    let mut limit = pin!(sleep_until(connection.accepted() + limits.header_timeout));
    if !first_byte(&tcp, connection, limit.as_mut()).await {
        return None;
    }
    let mut opening = pin!(async {
        let Some(tls) = tls else {
            if sniff(&tcp).await.ok()? {
                connection.set_protocol(Protocol::Http2);
            }
            return Some(Transport::Left(tcp));
        };
        let stream = tls.accept(Records::new(tcp)).await.ok()?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            connection.set_protocol(Protocol::Http2);
        }
        Some(Transport::Right(Box::new(stream)))
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
        limit.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Waits for the client to say anything; tells whether it did.
async fn first_byte(tcp: &TcpStream, connection: &Connection, mut limit: Pin<&mut Sleep>) -> bool {
    let mut grace = None;
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        if tcp.poll_read_ready(cx).is_ready() {
            return Poll::Ready(true);
        }
        let over = match connection.stage() {
            Stage::Open | Stage::Leaving => Poll::Pending,
            // A client that has just come wants to ask something.
            Stage::Closing => poll_timer(&mut grace, connection.accepted() + FIRST_WORD, cx),
            Stage::Abrupt | Stage::Cut => Poll::Ready(()),
        };
        if over.is_ready() || limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(has_unread(tcp));
        }
        Poll::Pending
    })
    .await
}

/// Whether the connection begins with HTTP/2's preface. The bytes stay in the socket.
async fn sniff(tcp: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let have = tcp.peek(&mut first).await?;
        let same = first.iter().zip(PREFACE).take(have).take_while(|(a, b)| a == b).count();
        if have == 0 || same < have {
            return Ok(false);
        }
        if same == PREFACE.len() {
            return Ok(true);
        }
        // The rest is on its way; the socket stays readable meanwhile, so this cannot be awaited.
        tokio::time::sleep(PREFACE_LOOK).await;
    }
}

/// Polls a dispatcher, and arranges what it knows nothing of.
async fn dispatch<F: Future>(
    mut dispatcher: Pin<&mut F>,
    connection: &Connection,
    io: &RefCell<Io>,
    limits: Limits,
) -> End {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut partial_since: Option<Instant> = None;
    // The last instant of `Io::due` that has been acted on.
    let mut acted: Option<Instant> = None;
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        if connection.stage() == Stage::Cut {
            return Poll::Ready(End::Cut);
        }
        loop {
            if dispatcher.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Finished);
            }
            let (stalled, partial, due) = {
                let io = &mut *io.borrow_mut();
                if let Poll::Ready(Err(_)) = io.poll_leave(connection, cx, When::Quiet) {
                    return Poll::Ready(End::Finished);
                }
                connection.sent(io.unsent());
                let due = io.due(connection).filter(|at| Some(*at) != acted);
                (io.stalled, io.is_partial(connection), due)
            };

            let stalled = stalled.map(|since| since + limits.write_timeout);
            // A request head that has begun has to end. The dispatcher limits only the first,
            // with an answer, and therefore comes first.
            let head_due = if partial && !connection.has_expired() {
                let since = *partial_since.get_or_insert_with(Instant::now);
                Some(since + limits.header_timeout + FIRST_WORD)
            } else {
                partial_since = None;
                None
            };
            let Some(next) = [head_due, stalled, due].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            if poll_timer(&mut timer, next, cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if stalled.is_some_and(|at| now >= at) {
                return Poll::Ready(End::Stalled);
            }
            if head_due.is_some_and(|at| now >= at) {
                connection.expire();
            }
            if due.is_some_and(|at| now >= at) {
                acted = due;
            }
            // The dispatcher reads again, and finds what has changed.
        }
    })
    .await
}

/// Waits until an instant, with one timer for all.
fn poll_timer(
    timer: &mut Option<Pin<Box<Sleep>>>,
    until: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
    if timer.deadline() != until {
        timer.as_mut().reset(until);
    }
    timer.as_mut().poll(cx)
}

/// Closes the connection so that the client gets everything that was written.
async fn close(connection: &Connection, io: &RefCell<Io>, end: End) {
    if end == End::Stalled {
        io.borrow().abort();
        return;
    }
    let farewell = if end == End::Cut { io.borrow().farewell() } else { Vec::new() };
    let mut farewell = farewell.as_slice();
    let mut lingers_until = Instant::now() + if end == End::Cut { LAST_LINGER } else { LINGER };
    let mut limit = pin!(sleep_until(lingers_until));
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        let io = &mut *io.borrow_mut();
        while !farewell.is_empty() {
            match io.poll_write(cx, farewell) {
                Poll::Ready(Ok(written)) if written > 0 => farewell = &farewell[written..],
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return limit.as_mut().poll(cx),
            }
        }
        // Stages move on while this waits. The abrupt close does not linger, and at the deadline
        // nobody does for long.
        match connection.stage() {
            Stage::Abrupt => lingers_until = Instant::now(),
            Stage::Cut => lingers_until = lingers_until.min(Instant::now() + LAST_LINGER),
            Stage::Open | Stage::Leaving | Stage::Closing => {}
        }
        if limit.deadline() > lingers_until {
            limit.as_mut().reset(lingers_until);
        }
        match io.poll_finish(cx) {
            Poll::Ready(Ok(())) if !io.ended => {}
            Poll::Ready(_) => return Poll::Ready(()),
            Poll::Pending => return limit.as_mut().poll(cx),
        }
        match io.poll_discard(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => limit.as_mut().poll(cx),
        }
    })
    .await;
}
