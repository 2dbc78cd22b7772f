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

use actix_http::{HttpService, KeepAlive, Request, Response, body::MessageBody};
use actix_service::{ServiceFactory, ServiceFactoryExt as _};
use actix_web::body::BoxBody;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{Notify, mpsc, oneshot},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use websample_lifecycle::Lifecycle;

use super::connections::{Accepted, Connection, Limits, Registry, Socket, serve};

/// actix does not linger: its connection is closed here, after it, which also reads on.
const NO_LINGER: Duration = Duration::ZERO;

/// What every worker of a listener has in common.
#[derive(Debug, Clone)]
pub(super) struct WorkerSettings {
    pub(super) name: &'static str,
    pub(super) keep_alive: Duration,
    pub(super) close_spread: Duration,
    pub(super) limits: Limits,
}

/// A connection on its way to a worker.
pub(super) struct Dispatched {
    pub(super) accepted: Accepted,
    pub(super) tls: Option<TlsAcceptor>,
}

/// A running worker.
pub(super) struct Worker {
    connections: mpsc::UnboundedSender<Dispatched>,
    load: Arc<Load>,
    thread: JoinHandle<()>,
}

/// How many connections a worker has.
#[derive(Debug)]
struct Load {
    connections: AtomicUsize,
    /// Told whenever one ends; shared by all workers of a server.
    freed: Arc<Notify>,
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
        freed: Arc<Notify>,
        service: M,
    ) -> io::Result<(Self, oneshot::Receiver<io::Result<()>>)>
    where
        M: FnOnce() -> S + Send + 'static,
        S: ServiceFactory<Request, Config = (), Response = Response<B>> + 'static,
        S::Error: Into<Response<BoxBody>> + 'static,
        S::InitError: std::fmt::Debug,
        B: MessageBody + 'static,
    {
        let (connections, received) = mpsc::unbounded_channel();
        let (started, start) = oneshot::channel();
        let load = Arc::new(Load { connections: AtomicUsize::new(0), freed });
        let shared = Arc::clone(&load);
        let thread =
            std::thread::Builder::new().name(settings.name.to_owned()).spawn(move || {
                let runtime =
                    Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
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
        Ok((Self { connections, load, thread }, start))
    }

    /// Connections that this worker has.
    pub(super) fn load(&self) -> usize {
        self.load.connections.load(Ordering::Relaxed)
    }

    /// Hands over a connection.
    pub(super) fn dispatch(&self, dispatched: Dispatched) {
        self.load.connections.fetch_add(1, Ordering::Relaxed);
        // An error means that the worker's thread is gone, and with it the process' purpose.
        if self.connections.send(dispatched).is_err() {
            tracing::error!("a worker has died; dropping its connection");
        }
    }

    /// Waits for the thread to end, once it was told to stop.
    pub(super) fn join(self) {
        drop(self.connections);
        if self.thread.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
}

/// Takes a connection off its worker's load when it is dropped.
struct Loaded(Arc<Load>);

impl Drop for Loaded {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

async fn run<M, S, B>(
    settings: WorkerSettings,
    lifecycle: Lifecycle,
    stop: CancellationToken,
    service: M,
    mut received: mpsc::UnboundedReceiver<Dispatched>,
    load: Arc<Load>,
    started: oneshot::Sender<io::Result<()>>,
) where
    M: FnOnce() -> S,
    S: ServiceFactory<Request, Config = (), Response = Response<B>> + 'static,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: std::fmt::Debug,
    B: MessageBody + 'static,
{
    let handler = HttpService::<Socket, _, B>::build()
        .keep_alive(KeepAlive::Timeout(settings.keep_alive))
        .client_request_timeout(settings.limits.header_timeout)
        .client_disconnect_timeout(NO_LINGER)
        .on_connect_ext(|socket: &Socket, extensions| {
            extensions.insert::<Rc<Connection>>(Rc::clone(&socket.connection));
        })
        .finish(service().map_err(Into::into))
        .new_service(())
        .await;
    let Ok(handler) = handler else {
        let error = io::Error::other("the application's services could not be created");
        drop(started.send(Err(error)));
        return;
    };
    let handler = Rc::new(handler);
    let registry = Registry::new();
    let follow = Rc::clone(&registry).follow(lifecycle.clone(), settings.close_spread);
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
        let Some(Dispatched { accepted, tls }) = dispatched else {
            stop.cancelled().await;
            return;
        };
        // Not inside another future, which would take as much memory again.
        tokio::task::spawn_local(serve(
            accepted,
            Loaded(Arc::clone(&load)),
            lifecycle.clone(),
            Rc::clone(&registry),
            settings.limits,
            tls,
            Rc::clone(&handler),
        ));
    }
}
