//! What a server is told, whatever framework answers.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

pub use prometheus::Registry;
pub use tokio_rustls::rustls::ServerConfig;
use websample_lifecycle::{Drain, StartupHold};
pub use websample_metrics::BuildInfo;

use super::{
    accept::BACKLOG, accepted::Timeouts, ports::Ports, readiness::OnDrain, tls::Tls, token::Token,
};

/// Where the kubelet looks for a termination message, by default.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// HTTP/2's windows for uploads, of a stream and of a connection: enough for a fast one on a long way.
const HTTP2_WINDOWS: (u32, u32) = (1024 * 1024, 2 * 1024 * 1024);

/// What a server is told, and the ports it has bound. A framework's server is made of it; one that is
/// chosen while the program runs can be told everything before it is.
#[must_use = "nothing is served before a server is made of it"]
pub struct Settings {
    /// The drain to run.
    pub drain: Drain,
    /// Keeps readiness off until everything listens.
    pub startup: StartupHold,
    /// The listening sockets.
    pub ports: Ports,
    /// What is spoken on traffic connections.
    pub tls: Option<Arc<Tls>>,
    /// Worker threads.
    pub workers: usize,
    /// Of the addresses that are bound next.
    pub backlog: i32,
    /// Of each worker, for blocking closures.
    pub blocking_threads: Option<usize>,
    /// The most connections of a worker.
    pub connection_limit: usize,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// Over which idle connections are closed.
    pub close_spread: Duration,
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// The most streams of an HTTP/2 connection.
    pub http2_streams: u32,
    /// Flow control windows in bytes: of a stream, and of a connection.
    pub http2_windows: (u32, u32),
    /// What readiness says in the lame duck.
    pub on_drain: OnDrain,
    /// What the hook's caller has to know.
    pub hook_token: Option<Token>,
    /// Whether the hook is also on the traffic listeners.
    pub hook_on_app_listener: Option<bool>,
    /// Behind `/metrics`.
    pub registry: Registry,
    /// What `websample_build_info` says.
    pub build: BuildInfo,
    /// Patterns and the status that they usually answer.
    pub routes: Vec<(String, u16)>,
    /// Where the report is written.
    pub termination_log: PathBuf,
    /// Whether signals are the server's.
    pub signals: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("ports", &self.ports)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The defaults, and no port.
    pub fn new(drain: Drain) -> Self {
        let startup = drain.lifecycle().hold_startup();
        Self {
            drain,
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
            http2_windows: HTTP2_WINDOWS,
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

    fn told(&mut self) -> &mut Self {
        self
    }

    fn is_told(&self) -> &Self {
        self
    }

    crate::server_settings!();
}

/// The methods by which a server is told something: declared once, for [`Settings`] and for every
/// framework's server. A type has them that gives its settings as `told` and `is_told`.
#[doc(hidden)]
#[macro_export]
macro_rules! server_settings {
    () => {
        /// Takes the listening sockets that this process was given: by systemd's socket units
        /// (`LISTEN_FDS`), or by the server whose place it takes. Those named `admin` are for the admin
        /// listener, all others for traffic; a side that has one binds nothing, so call this before
        /// [`bind`](Self::bind) and [`admin`](Self::admin).
        ///
        /// On an inherited socket nothing is accepted before the server is ready.
        #[cfg(feature = "restart")]
        pub fn inherit(mut self, inherited: $crate::Inherited) -> Self {
            self.told().ports.inherit(inherited);
            self
        }

        /// Restarts without closing a port: see `Handoff`.
        ///
        /// Who takes over has to [`inherit`](Self::inherit).
        #[cfg(feature = "restart")]
        pub fn handoff(mut self, handoff: $crate::Handoff) -> Self {
            self.told().ports.handoff(handoff);
            self
        }

        /// Tells the service manager nothing. By default one that has set `NOTIFY_SOCKET`, such as
        /// systemd for `Type=notify`, hears when the server is ready, when it leaves and how long that
        /// may take, and that it lives (`WATCHDOG_USEC`).
        pub fn without_service_manager(mut self) -> Self {
            self.told().ports.without_manager();
            self
        }

        /// Listens for traffic on these addresses, unless sockets for that were inherited.
        ///
        /// # Errors
        /// Names the address that cannot be bound.
        pub fn bind(
            mut self,
            addresses: impl ::std::net::ToSocketAddrs,
        ) -> ::std::io::Result<Self> {
            let told = self.told();
            told.ports.bind(addresses, told.backlog)?;
            Ok(self)
        }

        /// Listens for traffic on a socket that is bound already, such as one that was inherited.
        pub fn listen(mut self, listener: ::std::net::TcpListener) -> Self {
            self.told().ports.listen(listener);
            self
        }

        /// Connections of a listener that the kernel completes before they are accepted; 1,024 by
        /// default. For the addresses that are bound afterwards.
        pub fn backlog(mut self, connections: u32) -> Self {
            self.told().backlog = i32::try_from(connections).unwrap_or(i32::MAX).max(1);
            self
        }

        /// Listens for `/metrics`, `/status` and the probes on these addresses, unless sockets for that
        /// were inherited.
        ///
        /// # Errors
        /// Names the address that cannot be bound.
        pub fn admin(
            mut self,
            addresses: impl ::std::net::ToSocketAddrs,
        ) -> ::std::io::Result<Self> {
            self.told().ports.bind_admin(addresses, $crate::BACKLOG)?;
            Ok(self)
        }

        /// Speaks TLS on the traffic listeners, with a PEM certificate chain and its key. The files
        /// are watched; a new pair serves the connections to come.
        ///
        /// # Errors
        /// Names the file that cannot be used.
        pub fn tls(
            mut self,
            cert: &::std::path::Path,
            key: &::std::path::Path,
        ) -> Result<Self, $crate::TlsError> {
            self.told().tls = Some(::std::sync::Arc::new($crate::Tls::load(cert, key)?));
            Ok(self)
        }

        /// Speaks TLS on the traffic listeners with a configuration of your own, such as one that asks
        /// for client certificates. Its ALPN protocols decide whether HTTP/2 is offered.
        pub fn tls_config(mut self, config: $crate::server::ServerConfig) -> Self {
            self.told().tls = Some(::std::sync::Arc::new($crate::Tls::fixed(config)));
            self
        }

        /// The most HTTP/2 streams that a connection may have open at a time; 250 by default. Clients
        /// are told, and wait with further ones (RFC 9113, section 5.1.2).
        pub fn http2_streams(mut self, streams: u32) -> Self {
            self.told().http2_streams = streams.max(1);
            self
        }

        /// HTTP/2's flow control windows in bytes, for uploads: of a stream (1 MiB by default) and of a
        /// connection (2 MiB).
        pub fn http2_windows(mut self, stream: u32, connection: u32) -> Self {
            self.told().http2_windows = (stream, connection);
            self
        }

        /// Threads of each worker for blocking closures; tokio's own number by default.
        pub fn blocking_threads(mut self, threads: usize) -> Self {
            self.told().blocking_threads = Some(threads.max(1));
            self
        }

        /// The registry behind `/metrics`, for the application's own families.
        pub fn registry(&self) -> &$crate::server::Registry {
            &self.is_told().registry
        }

        /// Worker threads; one for each CPU by default.
        pub fn workers(mut self, workers: usize) -> Self {
            self.told().workers = workers.max(1);
            self
        }

        /// The most connections at a time, for each worker; further ones wait in the kernel's queue.
        /// 25,600 by default, and fewer where the limit of open files would be reached: some are kept
        /// for the admin listener, so that probes are answered, and for the application.
        pub fn connection_limit(mut self, connections: usize) -> Self {
            self.told().connection_limit = connections.max(1);
            self
        }

        /// How long an idle connection is kept; 75 s by default.
        pub fn keep_alive(mut self, keep_alive: ::std::time::Duration) -> Self {
            self.told().keep_alive = keep_alive;
            self
        }

        /// Spreads the closing of idle connections, and of HTTP/2's GOAWAY, over this time.
        pub fn close_spread(mut self, spread: ::std::time::Duration) -> Self {
            self.told().close_spread = spread;
            self
        }

        /// For a request's head, and a TLS handshake, to arrive; 5 s by default.
        pub fn header_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.told().timeouts.header_timeout = timeout;
            self
        }

        /// For more of a request's body to arrive while its handler waits for it; 30 s by default.
        pub fn body_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.told().timeouts.body_timeout = timeout;
            self
        }

        /// For a client to take any of the bytes that wait for it; 60 s by default.
        pub fn write_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.told().timeouts.write_timeout = timeout;
            self
        }

        /// What readiness says in the lame duck; `OnDrain::Auto` by default.
        pub fn readiness_on_drain(mut self, on_drain: $crate::readiness::OnDrain) -> Self {
            self.told().on_drain = on_drain;
            self
        }

        /// Asks for a token in the header `X-Prestop-Token` on `/prestop`.
        pub fn hook_token(mut self, token: $crate::Token) -> Self {
            self.told().hook_token = Some(token);
            self
        }

        /// Whether `/prestop` is also on the traffic listeners. By default only where there is no admin
        /// listener: whoever reaches the application could take the pod out of rotation.
        pub fn hook_on_app_listener(mut self, on: bool) -> Self {
            self.told().hook_on_app_listener = Some(on);
            self
        }

        /// What `websample_build_info` says.
        pub fn build_info(mut self, build: $crate::server::BuildInfo) -> Self {
            self.told().build = build;
            self
        }

        /// A route, as the framework writes it (`/users/{id}`), and the status it usually answers, whose
        /// counters are exported from the start.
        pub fn known_route(mut self, pattern: impl Into<String>, status: u16) -> Self {
            self.told().routes.push((pattern.into(), status));
            self
        }

        /// Where the report is written as a termination message, if the file exists.
        pub fn termination_log(mut self, path: impl Into<::std::path::PathBuf>) -> Self {
            self.told().termination_log = path.into();
            self
        }

        /// Leaves signals to the program, which then calls `Lifecycle::signal`.
        pub fn without_signals(mut self) -> Self {
            self.told().signals = false;
            self
        }

        /// The addresses that traffic is served on.
        pub fn addresses(&self) -> Vec<::std::net::SocketAddr> {
            self.is_told().ports.addresses()
        }

        /// The addresses of the admin listeners.
        pub fn admin_addresses(&self) -> Vec<::std::net::SocketAddr> {
            self.is_told().ports.admin_addresses()
        }
    };
}
