//! One connection from its first byte to its close.

use std::{cell::RefCell, net::SocketAddr, pin::pin, rc::Rc};

use actix_http::{
    Extensions, Response,
    body::{BoxBody, MessageBody},
};
use actix_service::Service;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use websample_connections::{
    Accepted, Timeouts,
    dispatch::{CloseOnDrop, End, close, dispatch},
    open::{OpenConnections, first_stage},
    opening::open,
    socket::Socket,
    state::{Connection, Protocol},
    transport::Io,
};
use websample_lifecycle::Lifecycle;

use super::{
    super::connect::OnConnect,
    http2::{self, Http2, Serve},
};

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
    // Also where a handler's panic takes this future with it.
    let closed = CloseOnDrop(&connection);
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
        close(&connection, &io, end, &[]).await;
    }
    drop(closed);
    drop(registration);
    drop(guard);
    drop(held);
}
