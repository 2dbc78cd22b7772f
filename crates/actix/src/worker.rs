//! Worker threads: each has a runtime and a service of its own, like actix's.

use std::{
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use actix_http::{Extensions, HttpService, KeepAlive, Request, Response, body::MessageBody};
use actix_service::{ServiceFactory, fn_factory};
use actix_web::body::BoxBody;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use websample_lifecycle::Lifecycle;

use super::{
    connect::{Connected, OnConnect},
    connections::{
        Accepted, Connection, Http2, OpenConnections, Serve, Services, Socket, Timeouts, serve,
    },
};

/// actix does not linger: its connection is closed here, after it, which also reads on.
const NO_LINGER: Duration = Duration::ZERO;

/// What every worker of a listener has in common.
#[derive(Clone)]
pub(super) struct WorkerSettings {
    pub(super) name: &'static str,
    pub(super) keep_alive: Duration,
    pub(super) close_spread: Duration,
    pub(super) timeouts: Timeouts,
    pub(super) http2: Http2,
    pub(super) on_connect: Option<OnConnect>,
    /// Threads for `web::block`; tokio's own number where it is `None`.
    pub(super) blocking_threads: Option<usize>,
}

/// A connection on its way to a worker.
pub(super) struct Dispatched {
    pub(super) accepted: Accepted,
    /// Its place under the limit of connections; those of the accept queue at the end have none.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pub(super) tls: Option<TlsAcceptor>,
}

/// A running worker.
pub(super) struct Worker {
    connections: mpsc::UnboundedSender<Dispatched>,
    load: Arc<AtomicUsize>,
    /// An error once its thread has ended.
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker; `service` makes its service, on its thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start<M, S, B>(
        settings: WorkerSettings,
        lifecycle: Lifecycle,
        stop: CancellationToken,
        service: M,
    ) -> io::Result<(Self, oneshot::Receiver<io::Result<()>>)>
    where
        M: FnOnce() -> S + Send + 'static,
        S: ServiceFactory<Request, Config = (), Response = Response<B>> + 'static,
        S::Service: Serve,
        S::Error: Into<Response<BoxBody>> + 'static,
        S::InitError: std::fmt::Debug,
        B: MessageBody + 'static,
    {
        let (connections, received) = mpsc::unbounded_channel();
        let (started, start) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        let load = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&load);
        let thread =
            std::thread::Builder::new().name(settings.name.to_owned()).spawn(move || {
                // Dropped last, by a panic too.
                let _ends: oneshot::Sender<()> = ends;
                let mut builder = Builder::new_current_thread();
                if let Some(threads) = settings.blocking_threads {
                    builder.max_blocking_threads(threads);
                }
                let runtime = builder.enable_all().build_local(LocalOptions::default());
                match runtime {
                    Ok(runtime) => {
                        runtime.block_on(run(
                            settings, lifecycle, stop, service, received, shared, started,
                        ));
                        // Blocking closures that still run are not waited for: whoever needs them
                        // finished has registered them with the lifecycle.
                        runtime.shutdown_background();
                    }
                    // An error means that nobody waits for the worker any more.
                    Err(error) => drop(started.send(Err(error))),
                }
            })?;
        Ok((Self { connections, load, ended, thread }, start))
    }

    /// Connections that this worker has.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Whether its thread runs: one that has died has no load, and would be given everything.
    pub(super) fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Hands over a connection.
    ///
    /// # Errors
    /// Gives it back where the worker's thread is gone.
    pub(super) fn dispatch(&self, dispatched: Dispatched) -> Result<(), Dispatched> {
        self.load.fetch_add(1, Ordering::Relaxed);
        self.connections.send(dispatched).map_err(|unsent| {
            self.load.fetch_sub(1, Ordering::Relaxed);
            unsent.0
        })
    }

    /// Waits for the thread to end, once it was told to stop. What runs on it is the application's,
    /// and may block it: whoever waits has to have a bound.
    pub(super) async fn ended(self) {
        drop(self.connections);
        // An error is the end of the thread, which sends nothing.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
}

/// Takes a connection off its worker's load when it is dropped.
struct Loaded {
    load: Arc<AtomicUsize>,
    #[expect(dead_code, reason = "held for its drop")]
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn run<M, S, B>(
    settings: WorkerSettings,
    lifecycle: Lifecycle,
    stop: CancellationToken,
    service: M,
    mut received: mpsc::UnboundedReceiver<Dispatched>,
    load: Arc<AtomicUsize>,
    started: oneshot::Sender<io::Result<()>>,
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
    loop {
        let dispatched = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            dispatched = received.recv() => dispatched,
        };
        let Some(Dispatched { accepted, permit, tls }) = dispatched else {
            stop.cancelled().await;
            return;
        };
        // Not inside another future, which would take as much memory again.
        tokio::task::spawn_local(serve(
            accepted,
            Loaded { load: Arc::clone(&load), permit },
            lifecycle.clone(),
            Rc::clone(&open),
            settings.timeouts,
            tls,
            Rc::clone(&services),
        ));
    }
}
