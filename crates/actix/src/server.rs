//! What a server is told, and the ports it has bound.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_http::Extensions;
use prometheus::Registry;
use tokio_rustls::rustls::ServerConfig;
use websample_connections::{BACKLOG, Ports, Timeouts, Tls, TlsError, Token, readiness::OnDrain};
#[cfg(feature = "restart")]
use websample_connections::{Handoff, Inherited};
use websample_lifecycle::{Drain, StartupHold};
use websample_metrics::BuildInfo;

use super::{
    connect::{Connected, OnConnect},
    connections::Http2,
};

/// Where the kubelet looks for a termination message, by default.
const TERMINATION_LOG: &str = "/dev/termination-log";

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
    pub(super) drain: Drain,
    pub(super) app: F,
    pub(super) startup: StartupHold,
    pub(super) ports: Ports,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) workers: usize,
    pub(super) backlog: i32,
    pub(super) blocking_threads: Option<usize>,
    pub(super) connection_limit: usize,
    pub(super) keep_alive: Duration,
    pub(super) close_spread: Duration,
    pub(super) timeouts: Timeouts,
    pub(super) http2_streams: u32,
    pub(super) http2_windows: (u32, u32),
    pub(super) on_connect: Option<OnConnect>,
    pub(super) on_drain: OnDrain,
    pub(super) hook_token: Option<Token>,
    pub(super) hook_on_app_listener: Option<bool>,
    pub(super) registry: Registry,
    pub(super) build: BuildInfo,
    pub(super) routes: Vec<(String, u16)>,
    pub(super) termination_log: PathBuf,
    pub(super) signals: bool,
}

impl<F> fmt::Debug for Server<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("ports", &self.ports)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl<F> Server<F> {
    /// A server of the application that `app` makes, once for every worker.
    ///
    /// The other half of [`Lifecycle::new`](websample_lifecycle::Lifecycle::new) is for the
    /// application: its handlers and background tasks may hold it.
    pub fn new(drain: Drain, app: F) -> Self {
        let startup = drain.lifecycle().hold_startup();
        Self {
            drain,
            app,
            startup,
            ports: Ports::default(),
            tls: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            backlog: BACKLOG,
            blocking_threads: None,
            connection_limit: 25_600,
            // Above the 60 s of most load balancers: who closes first when idle loses the race.
            keep_alive: Duration::from_secs(75),
            close_spread: Duration::ZERO,
            timeouts: Timeouts {
                header_timeout: Duration::from_secs(5),
                body_timeout: Duration::from_secs(30),
                write_timeout: Duration::from_secs(60),
            },
            http2_streams: 250,
            http2_windows: Http2::windows(),
            on_connect: None,
            on_drain: OnDrain::default(),
            hook_token: None,
            hook_on_app_listener: None,
            registry: Registry::new(),
            build: BuildInfo::default(),
            routes: Vec::new(),
            termination_log: PathBuf::from(TERMINATION_LOG),
            signals: true,
        }
    }

    /// Takes the listening sockets that this process was given: by systemd's socket units
    /// (`LISTEN_FDS`), or by the server whose place it takes. Those named `admin` are for the admin
    /// listener, all others for traffic; a side that has one binds nothing, so call this before
    /// [`bind`](Self::bind) and [`admin`](Self::admin).
    ///
    /// On an inherited socket nothing is accepted before the server is ready.
    #[cfg(feature = "restart")]
    pub fn inherit(mut self, inherited: Inherited) -> Self {
        self.ports.inherit(inherited);
        self
    }

    /// Restarts without closing a port: see [`Handoff`].
    ///
    /// Who takes over has to [`inherit`](Self::inherit).
    #[cfg(feature = "restart")]
    pub fn handoff(mut self, handoff: Handoff) -> Self {
        self.ports.handoff(handoff);
        self
    }

    /// Tells the service manager nothing. By default one that has set `NOTIFY_SOCKET`, such as systemd
    /// for `Type=notify`, hears when the server is ready, when it leaves and how long that may take, and
    /// that it lives (`WATCHDOG_USEC`).
    pub fn without_service_manager(mut self) -> Self {
        self.ports.without_manager();
        self
    }

    /// Listens for traffic on these addresses, unless sockets for that were [inherited](Self::inherit).
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn bind(mut self, addresses: impl ToSocketAddrs) -> io::Result<Self> {
        self.ports.bind(addresses, self.backlog)?;
        Ok(self)
    }

    /// Listens for traffic on a socket that is bound already, such as one that was inherited.
    pub fn listen(mut self, listener: TcpListener) -> Self {
        self.ports.listen(listener);
        self
    }

    /// Connections of a listener that the kernel completes before they are accepted; 1,024 by
    /// default. For the addresses that are bound afterwards.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = i32::try_from(connections).unwrap_or(i32::MAX).max(1);
        self
    }

    /// Listens for `/metrics`, `/status` and the probes on these addresses, unless sockets for that were
    /// [inherited](Self::inherit).
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn admin(mut self, addresses: impl ToSocketAddrs) -> io::Result<Self> {
        self.ports.bind_admin(addresses, BACKLOG)?;
        Ok(self)
    }

    /// Speaks TLS on the traffic listeners, with a PEM certificate chain and its key. The files
    /// are watched; a new pair serves the connections to come.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn tls(mut self, cert: &Path, key: &Path) -> Result<Self, TlsError> {
        self.tls = Some(Arc::new(Tls::load(cert, key)?));
        Ok(self)
    }

    /// Speaks TLS on the traffic listeners with a configuration of your own, such as one that asks
    /// for client certificates. Its ALPN protocols decide whether HTTP/2 is offered.
    pub fn tls_config(mut self, config: ServerConfig) -> Self {
        self.tls = Some(Arc::new(Tls::fixed(config)));
        self
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

    /// The most HTTP/2 streams that a connection may have open at a time; 250 by default. Clients
    /// are told, and wait with further ones (RFC 9113, section 5.1.2).
    pub fn http2_streams(mut self, streams: u32) -> Self {
        self.http2_streams = streams.max(1);
        self
    }

    /// HTTP/2's flow control windows in bytes, for uploads: of a stream (1 MiB by default) and of a
    /// connection (2 MiB).
    pub fn http2_windows(mut self, stream: u32, connection: u32) -> Self {
        self.http2_windows = (stream, connection);
        self
    }

    /// Threads of each worker for blocking closures (`web::block`); tokio's own number by default.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_threads = Some(threads.max(1));
        self
    }

    /// The registry behind `/metrics`, for the application's own families.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Worker threads; one for each CPU by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// The most connections at a time, for each worker; further ones wait in the kernel's queue.
    /// 25,600 by default, and fewer where the limit of open files would be reached: some are kept
    /// for the admin listener, so that probes are answered, and for the application.
    pub fn connection_limit(mut self, connections: usize) -> Self {
        self.connection_limit = connections.max(1);
        self
    }

    /// How long an idle connection is kept; 75 s by default.
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Spreads the closing of idle connections, and of HTTP/2's GOAWAY, over this time.
    pub fn close_spread(mut self, spread: Duration) -> Self {
        self.close_spread = spread;
        self
    }

    /// For a request's head, and a TLS handshake, to arrive; 5 s by default.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.header_timeout = timeout;
        self
    }

    /// For more of a request's body to arrive while its handler waits for it; 30 s by default.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.body_timeout = timeout;
        self
    }

    /// For a client to take any of the bytes that wait for it; 60 s by default.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.write_timeout = timeout;
        self
    }

    /// What readiness says in the lame duck; [`OnDrain::Auto`] by default.
    pub fn readiness_on_drain(mut self, on_drain: OnDrain) -> Self {
        self.on_drain = on_drain;
        self
    }

    /// Asks for a token in [`TOKEN_HEADER`](super::TOKEN_HEADER) on `/prestop`.
    pub fn hook_token(mut self, token: Token) -> Self {
        self.hook_token = Some(token);
        self
    }

    /// Whether `/prestop` is also on the traffic listeners. By default only where there is no admin
    /// listener: whoever reaches the application could take the pod out of rotation.
    pub fn hook_on_app_listener(mut self, on: bool) -> Self {
        self.hook_on_app_listener = Some(on);
        self
    }

    /// What `websample_build_info` says.
    pub fn build_info(mut self, build: BuildInfo) -> Self {
        self.build = build;
        self
    }

    /// A route and the status it usually answers, whose counters are exported from the start.
    pub fn known_route(mut self, pattern: impl Into<String>, status: u16) -> Self {
        self.routes.push((pattern.into(), status));
        self
    }

    /// Where the report is written as a termination message, if the file exists.
    pub fn termination_log(mut self, path: impl Into<PathBuf>) -> Self {
        self.termination_log = path.into();
        self
    }

    /// Leaves signals to the program, which then calls
    /// [`Lifecycle::signal`](websample_lifecycle::Lifecycle::signal).
    pub fn without_signals(mut self) -> Self {
        self.signals = false;
        self
    }

    /// The addresses that traffic is served on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.ports.addresses()
    }

    /// The addresses of the admin listeners.
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.ports.admin_addresses()
    }
}
