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
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    frames::PREFACE,
    registry::{Registry, first_stage},
    state::{Connection, Protocol, Stage},
    transport::{FIRST_WORD, Io, Socket, Transport},
};
use crate::lifecycle::{Guard, Lifecycle};

/// After its own FIN the server reads and discards what was under way for this long, so that it
/// is not answered by a reset, which could overtake the last response.
const LINGER: Duration = Duration::from_secs(2);

/// Between two looks at a connection whose first bytes are the beginning of a preface.
const PREFACE_LOOK: Duration = Duration::from_millis(10);

/// Time limits of one connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Limits {
    /// For a request head, and for the TLS handshake, to arrive completely.
    pub(in crate::http) header_timeout: Duration,
    /// For a client to take any of the bytes that wait for it.
    pub(in crate::http) write_timeout: Duration,
}

/// A connection as it leaves the accept queue.
#[derive(Debug)]
pub(in crate::http) struct Accepted {
    pub(in crate::http) stream: std::net::TcpStream,
    pub(in crate::http) peer: SocketAddr,
    /// Counts the connection until it is closed.
    pub(in crate::http) guard: Guard,
}

/// Serves a connection with an actix service until it is closed.
pub(in crate::http) async fn serve<S>(
    accepted: Accepted,
    lifecycle: Lifecycle,
    registry: Rc<Registry>,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    service: Rc<S>,
) where
    S: Service<(Socket, HttpProtocol, Option<SocketAddr>), Response = ()>,
{
    let Accepted { stream, peer, guard } = accepted;
    let connection = Connection::new(first_stage(lifecycle.phase(), lifecycle.policy().mode));
    let entry = registry.enter(&connection);
    if let Ok(transport) = TcpStream::from_std(stream)
        && let Some(transport) = open(transport, tls, &connection, limits).await
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
        close(&connection, &io, end).await;
    }
    drop(entry);
    drop(guard);
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
    let opening = async {
        let Some(tls) = tls else {
            if sniff(&tcp).await.ok()? {
                connection.set_protocol(Protocol::Http2);
            }
            return Some(Transport::Left(tcp));
        };
        let stream = tls.accept(tcp).await.ok()?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            connection.set_protocol(Protocol::Http2);
        }
        Some(Transport::Right(Box::new(stream)))
    };
    let mut opening = pin!(timeout(limits.header_timeout, opening));
    // Nothing is in flight yet: while closing, the connection has its grace to say something.
    let mut grace = None;
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
            return Poll::Ready(opened.ok().flatten());
        }
        match connection.stage() {
            Stage::Open | Stage::Leaving => Poll::Pending,
            Stage::Closing => {
                let until = connection.accepted() + FIRST_WORD;
                poll_timer(&mut grace, until, cx).map(|()| None)
            }
            Stage::Abrupt | Stage::Cut => Poll::Ready(None),
        }
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
            if connection.protocol() == Protocol::Http2
                && let Poll::Ready(Err(_)) = io.borrow_mut().poll_leave(connection, cx)
            {
                return Poll::Ready(End::Finished);
            }
            if dispatcher.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Finished);
            }

            // A request head that has begun has to end. The dispatcher limits only the first.
            let head_due = if connection.is_partial()
                && connection.is_idle()
                && connection.protocol() == Protocol::Http1
            {
                let since = *partial_since.get_or_insert_with(Instant::now);
                // The dispatcher's own limit comes first, with an answer.
                Some(since + limits.header_timeout + FIRST_WORD)
            } else {
                partial_since = None;
                None
            };
            let (stalled, due) = {
                let io = io.borrow();
                if io.expired {
                    // Said once; the dispatcher closes in its own time.
                    return Poll::Pending;
                }
                let stalled = io.stalled.map(|since| since + limits.write_timeout);
                (stalled, io.due(connection).filter(|at| Some(*at) != acted))
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
                io.borrow_mut().expired = true;
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
        return;
    }
    let farewell = if end == End::Cut { io.borrow().farewell() } else { Vec::new() };
    let mut farewell = farewell.as_slice();
    let lingers = end == End::Finished;
    let mut limit = pin!(sleep_until(Instant::now() + LINGER));
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        let io = &mut *io.borrow_mut();
        while !farewell.is_empty() {
            match io.poll_write(cx, farewell) {
                Poll::Ready(Ok(written)) if written > 0 => farewell = &farewell[written..],
                Poll::Ready(_) => return Poll::Ready(()),
                // A peer that takes nothing is not waited for at the deadline.
                Poll::Pending if end == End::Cut => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        if io.poll_finish(cx).is_pending() {
            return if end == End::Cut { Poll::Ready(()) } else { limit.as_mut().poll(cx) };
        }
        // Stages move on while this waits: nobody lingers past the deadline, and the abrupt
        // close does not linger at all.
        if !lingers || io.ended || connection.stage() >= Stage::Abrupt {
            return Poll::Ready(());
        }
        match io.poll_discard(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => limit.as_mut().poll(cx),
        }
    })
    .await;
}
