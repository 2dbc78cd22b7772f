//! A server: bound, run, drained, reported.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_http::{Request, body::MessageBody};
use actix_service::{IntoServiceFactory, ServiceFactory};
use actix_web::{
    Error,
    dev::{AppConfig, ServiceResponse},
};
use futures_util::future::{join_all, try_join_all};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use websample_lifecycle::{Drain, Lifecycle, Outcome, Report, Signals, StartupHold};
use websample_metrics::{BuildInfo, Metrics};

use super::{
    accept::{Acceptor, bind},
    admin::Admin,
    connections::Limits,
    front::FrontFactory,
    hook::HookGuard,
    patterns::Patterns,
    probes::{OnDrain, Probes},
    tls::{Tls, TlsError},
    token::Token,
    worker::{Worker, WorkerSettings},
};

/// Where the kubelet looks for a termination message, by default.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A listener, a thread or a signal handler could not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// An actix-web server that drains.
///
/// ```no_run
/// use actix_web::{App, web};
/// use websample_actix::{Server, lifecycle::{Lifecycle, Policy}};
///
/// #[actix_web::main]
/// async fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
///     let (_lifecycle, drain) = Lifecycle::new(Policy::default());
///     let report = Server::new(drain, || App::new().route("/", web::get().to(|| async { "hi" })))
///         .bind("0.0.0.0:5000")?
///         .admin("0.0.0.0:9000")?
///         .run()
///         .await?;
///     Ok(report.into())
/// }
/// ```
#[must_use = "a server does nothing until it is run"]
pub struct Server<F> {
    drain: Drain,
    app: F,
    startup: StartupHold,
    traffic: Vec<TcpListener>,
    admin: Vec<TcpListener>,
    tls: Option<Arc<Tls>>,
    workers: usize,
    connection_limit: usize,
    keep_alive: Duration,
    close_spread: Duration,
    limits: Limits,
    on_drain: OnDrain,
    guard: HookGuard,
    hook_on_app_listener: bool,
    build: BuildInfo,
    routes: Vec<(String, u16)>,
    termination_log: PathBuf,
    signals: bool,
}

impl<F> fmt::Debug for Server<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("traffic", &self.traffic)
            .field("admin", &self.admin)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl<F> Server<F> {
    /// A server of the application that `app` makes, once for every worker.
    ///
    /// The other half of [`Lifecycle::new`] is for the application: its handlers and background
    /// tasks may hold it.
    pub fn new(drain: Drain, app: F) -> Self {
        let startup = drain.lifecycle().hold_startup();
        Self {
            drain,
            app,
            startup,
            traffic: Vec::new(),
            admin: Vec::new(),
            tls: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            connection_limit: 25_600,
            // Above the 60 s of most load balancers: who closes first when idle loses the race.
            keep_alive: Duration::from_secs(75),
            close_spread: Duration::ZERO,
            limits: Limits {
                header_timeout: Duration::from_secs(5),
                body_timeout: Duration::from_secs(30),
                write_timeout: Duration::from_secs(60),
            },
            on_drain: OnDrain::default(),
            guard: HookGuard::default(),
            hook_on_app_listener: true,
            build: BuildInfo::default(),
            routes: Vec::new(),
            termination_log: PathBuf::from(TERMINATION_LOG),
            signals: true,
        }
    }

    /// Listens for traffic on these addresses.
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn bind(mut self, addresses: impl ToSocketAddrs) -> io::Result<Self> {
        self.traffic.extend(bind(addresses)?);
        Ok(self)
    }

    /// Listens for `/metrics`, `/status` and the probes on these addresses.
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn admin(mut self, addresses: impl ToSocketAddrs) -> io::Result<Self> {
        self.admin.extend(bind(addresses)?);
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

    /// Worker threads; one for each CPU by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// The most connections a worker has at a time; further ones wait in the kernel's queue.
    /// 25,600 by default.
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
        self.limits.header_timeout = timeout;
        self
    }

    /// For more of a request's body to arrive while its handler waits for it; 30 s by default.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.limits.body_timeout = timeout;
        self
    }

    /// For a client to take any of the bytes that wait for it; 60 s by default.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// What readiness says in the lame duck.
    pub fn readiness_on_drain(mut self, on_drain: OnDrain) -> Self {
        self.on_drain = on_drain;
        self
    }

    /// Asks for a token in [`TOKEN_HEADER`](super::TOKEN_HEADER) on `/prestop`.
    pub fn hook_token(mut self, token: Token) -> Self {
        self.guard.token = Some(token);
        self
    }

    /// Whether `/prestop` is also on the traffic listeners; it is by default.
    pub fn hook_on_app_listener(mut self, on: bool) -> Self {
        self.hook_on_app_listener = on;
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

    /// Leaves signals to the program, which then calls [`Lifecycle::signal`].
    pub fn without_signals(mut self) -> Self {
        self.signals = false;
        self
    }

    /// The addresses that traffic is served on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.traffic.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The addresses of the admin listeners.
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.admin.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until the drain is over, and reports.
    ///
    /// # Errors
    /// When a thread, a signal handler or the application's services could not be had.
    pub async fn run<I, S, B>(self) -> Result<Report, ServerError>
    where
        F: Fn() -> I + Clone + Send + 'static,
        I: IntoServiceFactory<S, Request>,
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
        let lifecycle = self.drain.lifecycle().clone();
        let signals = if self.signals { Some(Signals::catch()?) } else { None };
        let known: Vec<(&str, u16)> =
            self.routes.iter().map(|(route, code)| (route.as_str(), *code)).collect();
        let metrics = Metrics::new(&lifecycle, &self.build, &known);
        let probes = Probes {
            lifecycle: lifecycle.clone(),
            on_drain: self.on_drain,
            guard: Arc::new(self.guard.clone()),
        };

        let stop = CancellationToken::new();
        let freed = Arc::new(Notify::new());
        let settings = WorkerSettings {
            name: "websample-worker",
            keep_alive: self.keep_alive,
            close_spread: self.close_spread,
            limits: self.limits,
        };
        let patterns = Arc::new(Patterns::new(self.routes.iter().map(|(route, _)| route.clone())));
        let mut starting = Vec::new();
        let workers = (0..self.workers)
            .map(|_| {
                let app = self.app.clone();
                let (worker_lifecycle, metrics, probes) =
                    (lifecycle.clone(), metrics.clone(), probes.clone());
                let patterns = Arc::clone(&patterns);
                let hook_is_here = self.hook_on_app_listener;
                let front = move || FrontFactory {
                    app: app().into_factory(),
                    lifecycle: worker_lifecycle,
                    metrics,
                    probes,
                    hook_is_here,
                    patterns,
                };
                start(&mut starting, settings.clone(), &lifecycle, &stop, &freed, front)
            })
            .collect::<io::Result<Vec<_>>>()?;
        let admin_freed = Arc::new(Notify::new());
        let admin_service =
            Admin { lifecycle: lifecycle.clone(), metrics: metrics.clone(), probes };
        let admin_settings = WorkerSettings { name: "websample-admin", ..settings };
        // The admin side has a life of its own, in which nothing ever drains.
        let (admin_life, _admin_drain) = Lifecycle::new(*lifecycle.policy());
        let admin_worker =
            [start(&mut starting, admin_settings, &admin_life, &stop, &admin_freed, move || {
                admin_service
            })?];
        for started in try_join_all(starting).await.map_err(io::Error::other)? {
            started?;
        }

        let report = {
            let listeners = self.traffic.into_iter().map(|listener| {
                // Held until its queue is empty: the drain waits for that, too.
                let open = lifecycle.in_flight().listeners.enter();
                let acceptor = Acceptor {
                    listener,
                    tls: self.tls.as_deref(),
                    workers: &workers,
                    limit: self.connection_limit,
                    freed: Arc::clone(&freed),
                    connections: lifecycle.in_flight().connections.clone(),
                };
                let lifecycle = &lifecycle;
                async move {
                    if let Err(error) = acceptor.run(lifecycle).await {
                        tracing::error!(%error, "a listener has failed");
                    }
                    drop(open);
                }
            });
            let admin_listeners = self.admin.into_iter().map(|listener| {
                let acceptor = Acceptor {
                    listener,
                    tls: None,
                    workers: &admin_worker,
                    limit: self.connection_limit,
                    freed: Arc::clone(&admin_freed),
                    connections: admin_life.in_flight().connections.clone(),
                };
                let life = &admin_life;
                async move {
                    if let Err(error) = acceptor.run(life).await {
                        tracing::error!(%error, "an admin listener has failed");
                    }
                }
            });
            let traffic = for_ever(join_all(listeners));
            let admin = for_ever(join_all(admin_listeners));
            let certificates = async {
                match &self.tls {
                    Some(tls) => tls.watch().await,
                    None => std::future::pending().await,
                }
            };
            let forward = async {
                match signals {
                    Some(mut signals) => loop {
                        lifecycle.signal(signals.next().await);
                    },
                    None => std::future::pending::<()>().await,
                }
            };
            // Everything is listening: from here on readiness is the application's.
            drop(self.startup);
            tokio::select! {
                report = self.drain.run() => report,
                () = traffic => unreachable!("it waits for ever"),
                () = admin => unreachable!("it waits for ever"),
                () = certificates => unreachable!("the watch has no end"),
                () = forward => unreachable!("signals have no end"),
            }
        };

        stop.cancel();
        if report.outcome == Outcome::Clean {
            // Destructors of what the workers own run before the process is gone.
            for worker in workers.into_iter().chain(admin_worker) {
                worker.join();
            }
        }
        publish(&report, &self.termination_log);
        Ok(report)
    }
}

/// Polls a future to its end, and then goes on waiting: the end of all listeners, of which there
/// may be none, is not the end of the server.
async fn for_ever<F: Future>(future: F) {
    future.await;
    std::future::pending::<()>().await;
}

/// Starts a worker and keeps the promise that it is ready.
fn start<M, S, B>(
    starting: &mut Vec<oneshot::Receiver<io::Result<()>>>,
    settings: WorkerSettings,
    lifecycle: &Lifecycle,
    stop: &CancellationToken,
    freed: &Arc<Notify>,
    service: M,
) -> io::Result<Worker>
where
    M: FnOnce() -> S + Send + 'static,
    S: ServiceFactory<Request, Config = (), Response = actix_http::Response<B>> + 'static,
    S::Future: 'static,
    S::Service: 'static,
    S::Error: Into<actix_http::Response<actix_web::body::BoxBody>> + 'static,
    S::InitError: fmt::Debug,
    B: MessageBody + 'static,
{
    let (worker, started) =
        Worker::start(settings, lifecycle.clone(), stop.clone(), Arc::clone(freed), service)?;
    starting.push(started);
    Ok(worker)
}

/// One structured line for the logs, and the termination message.
fn publish(report: &Report, termination_log: &Path) {
    tracing::info!(
        target: "websample::report",
        outcome = ?report.outcome,
        exit_code = report.exit_code,
        termination_seconds = report.termination_seconds,
        last_arrival_seconds = report.last_arrival_seconds,
        delay_needed_seconds = report.delay_needed_seconds,
        cut = report.cut_total,
        report = report.to_json(),
        "drained"
    );
    if let Err(error) = report.write_termination_message(termination_log) {
        tracing::warn!(path = %termination_log.display(), %error, "no termination message written");
    }
}
