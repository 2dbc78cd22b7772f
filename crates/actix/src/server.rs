//! A server: what it is told, and the application that it serves.

use std::{fmt, sync::Arc};

use actix_http::{Extensions, Request, body::MessageBody};
use actix_service::{IntoServiceFactory, ServiceFactory};
use actix_web::{
    Error,
    dev::{AppConfig, ServiceResponse},
};
use websample_connections::{Running, server::Settings};
use websample_lifecycle::Drain;

use super::{
    connect::{Connected, OnConnect},
    framework::Actix,
};

/// An actix-web server that drains: what it is told, and the ports it has bound. Nothing runs before
/// [`run`](Self::run).
///
/// ```no_run
/// use actix_web::{App, web};
/// use websample_actix::{Server, lifecycle::{Lifecycle, Policy}};
///
/// #[actix_web::main]
/// async fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
///     let (_lifecycle, drain) = Lifecycle::with_signals(Policy::default())?;
///     let report = Server::new(drain, || App::new().route("/", web::get().to(|| async { "hi" })))
///         .bind("0.0.0.0:5000")?
///         .admin("0.0.0.0:9000")?
///         .run()
///         .await?;
///     Ok(report.into())
/// }
/// ```
///
/// What `actix_web::HttpServer` has, and what is here:
///
/// | `HttpServer` | here |
/// |---|---|
/// | `new`, `workers`, `keep_alive` | the same; `keep_alive` is 75 s, above the load balancers' own |
/// | `bind`, `listen`, `backlog` | the same; `backlog` before `bind` |
/// | `bind_rustls_*`, `listen_rustls_*` | [`tls`](Self::tls) with files that are watched, or [`tls_config`](Self::tls_config) with a configuration of your own, such as for client certificates |
/// | `bind_openssl`, `listen_openssl` | no: a connection's close has to see the boundaries of TLS records, which OpenSSL hides |
/// | `bind_auto_h2c` | always: HTTP/2 with prior knowledge is recognised by its preface |
/// | `bind_uds`, `listen_uds` | no: the kernel has no way to turn new clients of a Unix socket away while its queue is served, which is what the promise rests on |
/// | `on_connect` | [`on_connect`](Self::on_connect), read with [`with_connection_data`](super::with_connection_data), in HTTP/2 too |
/// | `max_connections` | [`connection_limit`](Self::connection_limit) |
/// | `max_connection_rate` | no: handshakes are bounded by [`header_timeout`](Self::header_timeout) |
/// | `client_request_timeout` | [`header_timeout`](Self::header_timeout), for every head of a connection |
/// | `client_disconnect_timeout` | no: a close lingers 2 s, so that no client is reset |
/// | `h2_initial_window_size`, `h2_initial_connection_window_size` | [`http2_windows`](Self::http2_windows); and [`http2_streams`](Self::http2_streams), which it lacks |
/// | `worker_max_blocking_threads` | [`blocking_threads`](Self::blocking_threads) |
/// | `shutdown_timeout`, `shutdown_signal`, `disable_signals` | the [policy](websample_lifecycle::Policy), [`Lifecycle::signal`], [`without_signals`](Self::without_signals) |
/// | `system_exit` | no: [`run`](Self::run) returns a report, and `main` returns that |
/// | `server_hostname`, `tls_handshake_timeout` | the `Host` header; [`header_timeout`](Self::header_timeout) |
/// | `run().handle()` | [`run`](Self::run) is a [`Running`](crate::Running), with a [handle](crate::Running::handle) |
///
/// [`Lifecycle::signal`]: websample_lifecycle::Lifecycle::signal
#[must_use = "a server does nothing until it is run"]
pub struct Server<F> {
    settings: Settings,
    app: F,
    on_connect: Option<OnConnect>,
}

impl<F> fmt::Debug for Server<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<F> Server<F> {
    /// A server of the application that `app` makes, once for every worker.
    ///
    /// The other half of [`Lifecycle::new`](websample_lifecycle::Lifecycle::new) is for the
    /// application: its handlers and background tasks may hold it.
    pub fn new(drain: Drain, app: F) -> Self {
        Self::with(Settings::new(drain), app)
    }

    /// A server that has been told already, before it was known which one it is.
    pub fn with(settings: Settings, app: F) -> Self {
        Self { settings, app, on_connect: None }
    }

    fn told(&mut self) -> &mut Settings {
        &mut self.settings
    }

    fn is_told(&self) -> &Settings {
        &self.settings
    }

    /// Calls this for every traffic connection, once its TLS handshake is done, so that a handler
    /// can find what it keeps: see [`with_connection_data`](super::with_connection_data).
    pub fn on_connect(
        mut self,
        keep: impl Fn(&Connected<'_>, &mut Extensions) + Send + Sync + 'static,
    ) -> Self {
        self.on_connect = Some(Arc::new(keep));
        self
    }

    /// Serves until the drain is over, and then resolves to a report. Nothing starts before the
    /// future is polled; dropping it at any time stops every thread and releases every port.
    ///
    /// # Errors
    /// When a thread, a signal handler, a listener or the application's services could not be had.
    pub fn run<I, S, B>(self) -> Running
    where
        F: Fn() -> I + Clone + Send + 'static,
        I: IntoServiceFactory<S, Request> + 'static,
        S: ServiceFactory<
                Request,
                Config = AppConfig,
                Response = ServiceResponse<B>,
                Error = Error,
            > + 'static,
        S::Future: 'static,
        S::Service: 'static,
        S::InitError: fmt::Debug,
        B: MessageBody + 'static,
    {
        let Self { settings, app, on_connect } = self;
        let framework = Actix::new(&settings, app, on_connect);
        Running::new(settings, framework)
    }

    websample_connections::server_settings!();
}
