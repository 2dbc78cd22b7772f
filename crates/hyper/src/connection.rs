//! One connection from its first byte to its close.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Extensions;
use hyper::{
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use websample_connections::{
    Accepted, Connected, Timeouts,
    dispatch::{CloseOnDrop, End, close, dispatch},
    open::{Age, OpenConnections, first_stage},
    opening::open,
    socket::Socket,
    state::{Connection, Protocol},
    transport::Io,
};
use websample_lifecycle::Lifecycle;

use super::{
    body::Watch,
    plug::{Outlet, Place, Upgrade},
    respond::Respond,
    tracking::InFlight,
};

/// A client that has said nothing is told why it is closed, where that is its first request.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Called for every connection, to keep what its requests are to know.
pub(super) type OnConnect = Arc<dyn Fn(&Connected<'_>, &mut Extensions) + Send + Sync>;

/// A connection, as its requests see it.
pub(super) struct Served {
    pub(super) connection: Rc<Connection>,
    pub(super) peer: SocketAddr,
    /// What the application has kept of it.
    pub(super) extensions: Option<Extensions>,
    pub(super) body_timeout: Duration,
    has_asked: Cell<bool>,
    /// Where HTTP/1.1 is spoken on it.
    outlet: Option<Rc<Outlet>>,
    upgrade: RefCell<Option<(Upgrade, InFlight)>>,
}

impl Served {
    /// A request begins on it.
    #[inline]
    pub(super) fn begin(&self) {
        self.has_asked.set(true);
        self.connection.begin();
    }

    /// Of the request that has begun, the body is known by what is read of it.
    pub(super) fn watch(&self, body: Option<&Arc<Watch>>) {
        if let Some(outlet) = &self.outlet {
            outlet.watch(body.cloned());
        }
    }

    /// The response that is about to be written makes another protocol of the connection; a request
    /// that is in flight is so until that ends.
    pub(super) fn upgrade(&self, to: Protocol, in_flight: InFlight) {
        let Some(outlet) = &self.outlet else { return };
        self.connection.set_protocol(to);
        *self.upgrade.borrow_mut() = Some((outlet.upgrade(), in_flight));
    }
}

/// How the connections of a worker are served.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) keep_alive: Duration,
    pub(super) close_spread: Duration,
    pub(super) max_age: Option<Age>,
    pub(super) timeouts: Timeouts,
    pub(super) http2_streams: u32,
    pub(super) http2_windows: (u32, u32),
    pub(super) on_connect: Option<OnConnect>,
}

/// Runs hyper's futures on the thread of their connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local;

impl<F> Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// What serves the connections of a worker.
pub(super) struct Services<R> {
    pub(super) responder: Rc<R>,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Local>,
    pub(super) settings: Settings,
}

/// Serves a connection until it is closed; `held` is dropped then.
///
/// An idle connection is little more than this future and its dispatcher's buffers, so what is
/// needed only at its beginning is not kept in it.
pub(super) async fn serve<R: Respond, H>(
    accepted: Accepted,
    held: H,
    lifecycle: Lifecycle,
    open_connections: Rc<OpenConnections>,
    tls: Option<TlsAcceptor>,
    services: Rc<Services<R>>,
) {
    let Accepted { stream, peer, guard } = accepted;
    let timeouts = services.settings.timeouts;
    let stage = first_stage(lifecycle.phase(), lifecycle.policy().mode);
    let connection = Connection::new(stage, timeouts.body_timeout);
    let closed = CloseOnDrop(&connection);
    let registration = open_connections.enter(&connection);
    if let Ok(tcp) = TcpStream::from_std(stream)
        && let Some((transport, begun)) = Box::pin(open(tcp, tls, &connection, timeouts)).await
    {
        let protocol = connection.protocol();
        let io = Rc::new(RefCell::new(Io::new(transport, protocol, begun).hide_half_close()));
        let socket = || Socket { io: Rc::clone(&io), connection: Rc::clone(&connection) };
        let extensions = services.settings.on_connect.as_ref().map(|on_connect| {
            let mut extensions = Extensions::new();
            socket().with(|connected| on_connect(connected, &mut extensions));
            extensions
        });
        let served = |outlet: Option<&Rc<Outlet>>| {
            Rc::new(Served {
                connection: Rc::clone(&connection),
                peer,
                extensions,
                body_timeout: timeouts.body_timeout,
                has_asked: Cell::new(false),
                outlet: outlet.cloned(),
                upgrade: RefCell::default(),
            })
        };
        let (end, last_words) = if protocol == Protocol::Http2 {
            let served = served(None);
            // Much larger than the other, which every connection would pay for.
            let mut dispatcher = Box::pin(http2(socket(), served, Rc::clone(&services)));
            let end = dispatch(dispatcher.as_mut(), &connection, &io, timeouts, &lifecycle).await;
            (end, &[][..])
        } else {
            let place = Place::new(socket());
            let served = served(Some(place.outlet()));
            let dispatcher = pin!(http1(&place, socket, &served, &services));
            let end = dispatch(dispatcher, &connection, &io, timeouts, &lifecycle).await;
            let is_late = connection.has_expired() && connection.is_half();
            let first = is_late && !served.has_asked.get() && end == End::Finished;
            (end, if first { REQUEST_TIMEOUT } else { &[] })
        };
        // The dispatcher and its buffers are gone; the socket is closed here.
        if end == End::Finished {
            connection.sent(0);
        }
        close(&connection, &io, end, last_words).await;
    }
    drop(closed);
    drop(registration);
    drop(guard);
    drop(held);
}

/// HTTP/1.1, and what it may be upgraded to.
async fn http1<R: Respond>(
    place: &Place,
    socket: impl Fn() -> Socket,
    served: &Rc<Served>,
    services: &Rc<Services<R>>,
) {
    let on = Rc::clone(served);
    let responder = Rc::clone(services);
    let service = service_fn(move |request| responder.responder.respond(request, &on));
    {
        let io = TokioIo::new(place.plug());
        let connection = services.http1.serve_connection(io, service).with_upgrades();
        let mut connection = pin!(connection);
        let mut idle = KeepAlive { limit: services.settings.keep_alive, timer: None };
        let served = poll_fn(|cx| {
            loop {
                if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                    return Poll::Ready(served);
                }
                if !served.connection.is_idle() && place.outlet().is_gone(cx) {
                    tracing::debug!("a client has gone before its answer");
                    return Poll::Ready(Ok(()));
                }
                if idle.poll(served, cx).is_pending() {
                    return Poll::Pending;
                }
                // hyper reads again, and finds that its client has gone.
            }
        })
        .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended with an error");
        }
    }
    let upgrade = served.upgrade.borrow_mut().take();
    if let Some((upgrade, in_flight)) = upgrade {
        upgrade.carry(socket()).await;
        drop(in_flight);
    }
}

/// Closes connections that nobody uses; hyper does not.
struct KeepAlive {
    limit: Duration,
    timer: Option<std::pin::Pin<Box<Sleep>>>,
}

impl KeepAlive {
    /// Ready once the connection has been idle for too long, which it then is told.
    fn poll(&mut self, served: &Served, cx: &mut Context<'_>) -> Poll<()> {
        let connection = &served.connection;
        if !connection.is_idle() || connection.has_expired() {
            return Poll::Pending;
        }
        // Not set anew with every request: it is found out when it fires. The task that it wakes is the
        // one that has asked it first, which is this one.
        if self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed()) {
            return Poll::Pending;
        }
        let until = connection.idle_since() + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        loop {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if until <= Instant::now() {
                break;
            }
            timer.as_mut().reset(until);
        }
        self.timer = None;
        // Half a head has a limit of its own.
        if connection.is_waiting() {
            return Poll::Pending;
        }
        connection.expire();
        Poll::Ready(())
    }
}

async fn http2<R: Respond>(socket: Socket, on: Rc<Served>, services: Rc<Services<R>>) {
    let responder = Rc::clone(&services);
    let service = service_fn(move |request| responder.responder.respond(request, &on));
    let connection = services.http2.serve_connection(TokioIo::new(socket), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
