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

use actix_http::{
    Extensions, Response,
    body::{BoxBody, MessageBody},
};
use actix_service::Service;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use websample_connections::{Accepted, Timeouts};
use websample_lifecycle::{Lifecycle, Unfinished};

use super::{
    super::connect::OnConnect,
    frames::PREFACE,
    goaway::When,
    http2::{self, Http2, Serve},
    open::{OpenConnections, first_stage},
    records::Records,
    socket::Socket,
    state::{Connection, FIRST_WORD, Protocol, Stage},
    transport::{Io, Transport, has_unread},
};

/// After its own FIN the server reads and discards what was under way for this long, so that it
/// is not answered by a reset, which could overtake the last response.
const LINGER: Duration = Duration::from_secs(2);

/// The same at the deadline, when the process is about to exit.
const LAST_LINGER: Duration = Duration::from_millis(200);

/// What serves the connections of a worker.
pub(crate) struct Services<H, S> {
    /// actix-http's dispatcher, over the application.
    pub(crate) http1: H,
    /// The application.
    pub(crate) app: Rc<S>,
    pub(crate) http2: Http2,
    pub(crate) on_connect: Option<OnConnect>,
}

/// Serves a connection until it is closed; `held` is dropped then.
///
/// An idle connection is little more than this future and its dispatcher's buffers, so what is
/// needed only at its beginning is not kept in it.
pub(crate) async fn serve<H1, S, B, H>(
    accepted: Accepted,
    held: H,
    lifecycle: Lifecycle,
    open_connections: Rc<OpenConnections>,
    timeouts: Timeouts,
    tls: Option<TlsAcceptor>,
    services: Rc<Services<H1, S>>,
) where
    H1: Service<(Socket, Option<SocketAddr>), Response = ()>,
    S: Serve<Response = Response<B>> + 'static,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let Accepted { stream, peer, guard } = accepted;
    let stage = first_stage(lifecycle.phase(), lifecycle.policy().mode);
    let connection = Connection::new(stage, timeouts.body_timeout);
    let registration = open_connections.enter(&connection);
    if let Ok(transport) = TcpStream::from_std(stream)
        && let Some((transport, begun)) =
            Box::pin(open(transport, tls, &connection, timeouts)).await
    {
        let protocol = connection.protocol();
        let io = Rc::new(RefCell::new(Io::new(transport, protocol, begun)));
        let socket = Socket { io: Rc::clone(&io), connection: Rc::clone(&connection) };
        let end = if protocol == Protocol::Http2 {
            let data = services.on_connect.as_ref().map(|on_connect| {
                let mut data = Extensions::new();
                socket.with(|connected| on_connect(connected, &mut data));
                Rc::new(data)
            });
            let app = Rc::clone(&services.app);
            // Much larger than the other, which every connection would pay for.
            let mut dispatcher =
                Box::pin(http2::serve(socket, app, Some(peer), data, services.http2));
            dispatch(dispatcher.as_mut(), &connection, &io, timeouts, &lifecycle).await
        } else {
            let dispatcher = pin!(services.http1.call((socket, Some(peer))));
            dispatch(dispatcher, &connection, &io, timeouts, &lifecycle).await
        };
        // The dispatcher and its buffers are gone; the socket is closed here.
        if end == End::Finished {
            connection.sent(0);
        }
        close(&connection, &io, end).await;
    }
    connection.close();
    drop(registration);
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
    timeouts: Timeouts,
) -> Option<(Transport, Vec<u8>)> {
    // Like actix: a response of two writes must not wait for an acknowledgement.
    tcp.set_nodelay(true).ok()?;
    let mut limit = pin!(sleep_until(connection.accepted() + timeouts.header_timeout));
    if !first_byte(&tcp, connection, limit.as_mut()).await {
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

/// Polls a dispatcher, and arranges what it knows nothing of.
async fn dispatch<F: Future>(
    mut dispatcher: Pin<&mut F>,
    connection: &Connection,
    io: &RefCell<Io>,
    timeouts: Timeouts,
    lifecycle: &Lifecycle,
) -> End {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut partial_since: Option<Instant> = None;
    // The last instant of `Io::due` that has been acted on.
    let mut acted: Option<Instant> = None;
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        if connection.stage() == Stage::Cut {
            let age = partial_since.map_or(0.0, |at| at.elapsed().as_secs_f64());
            note_cut(connection, &io.borrow(), lifecycle, age);
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

            let stalled = stalled.map(|since| since + timeouts.write_timeout);
            // A request head that has begun has to end. The dispatcher limits only the first,
            // with an answer, and therefore comes first.
            let head_due = if partial && !connection.has_expired() {
                let since = *partial_since.get_or_insert_with(Instant::now);
                Some(since + timeouts.header_timeout + FIRST_WORD)
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

/// Requests that were not begun are nobody's but their connection's, and they are cut with it.
fn note_cut(connection: &Connection, io: &Io, lifecycle: &Lifecycle, age_seconds: f64) {
    let note = |what: &str| {
        lifecycle.note_cut(Unfinished { kind: "request", what: what.to_owned(), age_seconds });
    };
    for _ in 0..connection.whole() {
        note("a request that waited behind another");
    }
    if io.is_half(connection) {
        note("a request whose head was still arriving");
    }
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
