//! A server: what it is told, and the service that it serves.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;
use websample_connections::{Connected, Running, open::Age, server::Settings};
use websample_lifecycle::Drain;

use super::{body::Body, connection::OnConnect, framework::Hyper, respond::BoxError};

/// A server that drains, of any [`tower_service::Service`]: what it is told, and the ports it has
/// bound. Nothing runs before [`run`](Self::run).
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use websample_hyper::{Server, lifecycle::{Lifecycle, Policy}};
///
/// #[tokio::main]
/// async fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
///     let (_lifecycle, drain) = Lifecycle::with_signals(Policy::default())?;
///     let app = Router::new().route("/", get(async || "hello\n"));
///     let report = Server::new(drain, app)
///         .bind("0.0.0.0:8080")?
///         .admin("0.0.0.0:9000")?
///         .run()
///         .await?;
///     Ok(report.into())
/// }
/// ```
///
/// What `axum::serve` and tonic's `Server` have, and what is here:
///
/// | there | here |
/// |---|---|
/// | `axum::serve(listener, app)` | [`serve`](super::serve), or [`Server::new`] with [`listen`](Self::listen) |
/// | `with_graceful_shutdown` | signals are caught; [`Handle::drain`](super::Handle::drain) does the same |
/// | `ConnectInfo` | [`on_connect`](Self::on_connect) |
/// | `Listener` of other kinds | no: the promise rests on what the kernel tells of a TCP socket |
/// | hyper-util's `auto::Builder` | always: HTTP/2 is known by ALPN, or by its preface |
/// | `header_read_timeout` | [`header_timeout`](Self::header_timeout), for every head of a connection |
/// | `max_concurrent_streams`, `initial_*_window_size` | [`http2_streams`](Self::http2_streams), [`http2_windows`](Self::http2_windows) |
/// | `max_connection_age`, `max_connection_age_grace` | [`max_connection_age`](Self::max_connection_age), of HTTP/1.1 too |
/// | `http2_keepalive_interval` | [`keep_alive`](Self::keep_alive), of HTTP/1.1 too |
/// | tonic's `tls_config` | [`tls`](Self::tls), or [`tls_config`](Self::tls_config) |
///
/// Each worker is a thread with a runtime of its own, on which connections stay. Handlers are polled
/// there: they may spawn, and use what other runtimes drive, but `tokio::task::block_in_place` is for
/// another kind of runtime (`spawn_blocking` is for all).
#[must_use = "a server does nothing until it is run"]
pub struct Server<S> {
    settings: Settings,
    app: S,
    on_connect: Option<OnConnect>,
    max_age: Option<Age>,
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S> Server<S> {
    /// A server of this service, such as an axum `Router`; every worker has a clone.
    ///
    /// The other half of [`Lifecycle::new`](websample_lifecycle::Lifecycle::new) is for the
    /// application: its handlers and background tasks may hold it.
    pub fn new(drain: Drain, app: S) -> Self {
        Self::with(Settings::new(drain), app)
    }

    /// A server that has been told already, before it was known which one it is.
    pub fn with(settings: Settings, app: S) -> Self {
        Self { settings, app, on_connect: None, max_age: None }
    }

    fn told(&mut self) -> &mut Settings {
        &mut self.settings
    }

    fn is_told(&self) -> &Settings {
        &self.settings
    }

    /// Calls this for every traffic connection, once its TLS handshake is done. What it puts into the
    /// extensions is in those of each of the connection's requests.
    ///
    /// ```
    /// # use websample_hyper::{Server, lifecycle::{Lifecycle, Policy}};
    /// use axum::{Router, extract::ConnectInfo};
    ///
    /// # let (_lifecycle, drain) = Lifecycle::new(Policy::default()).unwrap();
    /// let server = Server::new(drain, Router::<()>::new()).on_connect(|connected, extensions| {
    ///     if let Ok(peer) = connected.tcp.peer_addr() {
    ///         extensions.insert(ConnectInfo(peer));
    ///     }
    /// });
    /// ```
    pub fn on_connect(
        mut self,
        keep: impl Fn(&Connected<'_>, &mut Extensions) + Send + Sync + 'static,
    ) -> Self {
        self.on_connect = Some(Arc::new(keep));
        self
    }

    /// Tells connections to leave that are as old as `limit` (up to a tenth more or less, so that those
    /// that came together do not go together): by GOAWAY in two steps, or `Connection: close`. `grace`
    /// later they are closed, as soon as nothing is in flight on them. No limit by default.
    ///
    /// Clients that keep their connections for ever, as gRPC's do, thereby find servers that were
    /// started after them. What runs is finished, however long it takes; WebSockets are left alone.
    pub fn max_connection_age(mut self, limit: Duration, grace: Duration) -> Self {
        self.max_age = Some(Age { limit, grace });
        self
    }

    /// Serves until the drain is over, and then resolves to a report. Nothing starts before the
    /// future is polled; dropping it at any time stops every thread and releases every port.
    ///
    /// # Errors
    /// When a thread, a signal handler or a listener could not be had.
    pub fn run<B>(self) -> Running
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { settings, app, on_connect, max_age } = self;
        let framework = Hyper::new(&settings, app, on_connect, max_age);
        Running::new(settings, framework)
    }

    websample_connections::server_settings!();
}
