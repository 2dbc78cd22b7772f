//! What runs on a worker's thread: a service of its own, like actix's.

use std::{io, rc::Rc, time::Duration};

use actix_http::{Extensions, HttpService, KeepAlive, Request, Response, body::MessageBody};
use actix_service::{ServiceFactory, fn_factory};
use actix_web::body::BoxBody;
use websample_connections::{Inbox, Started, Timeouts};
use websample_lifecycle::Lifecycle;

use super::{
    connect::{Connected, OnConnect},
    connections::{Connection, Http2, OpenConnections, Serve, Services, Socket, serve},
};

/// actix does not linger: its connection is closed here, after it, which also reads on.
const NO_LINGER: Duration = Duration::ZERO;

/// What every worker of a listener has in common.
#[derive(Clone)]
pub(super) struct WorkerSettings {
    pub(super) keep_alive: Duration,
    pub(super) close_spread: Duration,
    pub(super) timeouts: Timeouts,
    pub(super) http2: Http2,
    pub(super) on_connect: Option<OnConnect>,
}

/// Serves the connections of a worker, with the service that `service` makes.
pub(super) async fn run<M, S, B>(
    settings: WorkerSettings,
    lifecycle: Lifecycle,
    service: M,
    mut inbox: Inbox,
    started: Started,
) where
    M: FnOnce() -> S,
    S: ServiceFactory<Request, Config = (), Response = Response<B>> + 'static,
    S::Service: Serve,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: std::fmt::Debug,
    B: MessageBody + 'static,
{
    let failed = || io::Error::other("the application's services could not be created");
    let app = match service().new_service(()).await {
        Ok(app) => Rc::new(app),
        Err(error) => {
            tracing::error!(?error, "the application's services could not be created");
            // An error means that nobody waits for the worker any more.
            drop(started.send(Err(failed())));
            return;
        }
    };
    let shared = Rc::clone(&app);
    let on_connect = settings.on_connect.clone();
    let http1 = HttpService::<Socket, _, B>::build()
        .keep_alive(KeepAlive::Timeout(settings.keep_alive))
        .client_request_timeout(settings.timeouts.header_timeout)
        .client_disconnect_timeout(NO_LINGER)
        .on_connect_ext(move |socket: &Socket, extensions: &mut Extensions| {
            extensions.insert::<Rc<Connection>>(Rc::clone(&socket.connection));
            if let Some(on_connect) = &on_connect {
                socket.with(|connected: &Connected<'_>| on_connect(connected, extensions));
            }
        })
        .h1(fn_factory(move || std::future::ready(Ok::<_, ()>(Rc::clone(&shared)))))
        .new_service(())
        .await;
    let Ok(http1) = http1 else {
        drop(started.send(Err(failed())));
        return;
    };
    let services =
        Rc::new(Services { http1, app, http2: settings.http2, on_connect: settings.on_connect });
    let open = OpenConnections::new();
    let follow = Rc::clone(&open).follow(lifecycle.clone(), settings.close_spread);
    tokio::task::spawn_local(follow);
    if started.send(Ok(())).is_err() {
        return;
    }
    while let Some((accepted, tls, loaded)) = inbox.next().await {
        // Not inside another future, which would take as much memory again.
        tokio::task::spawn_local(serve(
            accepted,
            loaded,
            lifecycle.clone(),
            Rc::clone(&open),
            settings.timeouts,
            tls,
            Rc::clone(&services),
        ));
    }
}
