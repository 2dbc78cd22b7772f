//! A server that runs: its threads, its listeners, its end.

use std::{
    fmt, io,
    net::TcpListener,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tokio::sync::Semaphore;
use tower_service::Service;
use websample_connections::{
    Acceptor, Handle, Places, Threads, hook::HookGuard, probes::Probes, publish,
    readiness::Readiness,
};
use websample_lifecycle::{DrainReport, ExitReason, Lifecycle, Signals};
use websample_metrics::Metrics;

use super::{
    admin::Admin,
    body::Body,
    connection::Settings,
    error::ServerError,
    patterns::Patterns,
    respond::{BoxError, Front},
    server::Server,
    tracking::Tracker,
    worker,
};

/// The largest number of places that a semaphore has.
const MOST_PLACES: usize = Semaphore::MAX_PERMITS;

/// A server on its way; resolves to its report.
#[must_use = "a server runs only while it is polled"]
pub struct Running {
    future: Pin<Box<dyn Future<Output = Result<DrainReport, ServerError>> + Send>>,
    handle: Handle,
}

impl Running {
    /// For whoever wants to talk to the server while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Future for Running {
    type Output = Result<DrainReport, ServerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl<S> Server<S> {
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
        let handle =
            Handle::new(self.drain.lifecycle().clone(), self.addresses(), self.admin_addresses());
        Running { future: Box::pin(run(self)), handle }
    }
}

async fn run<S, B>(mut server: Server<S>) -> Result<DrainReport, ServerError>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let lifecycle = server.drain.lifecycle().clone();
    if !server.signals {
        server.drain.take_signals();
    } else if !server.drain.has_signals() {
        server.drain.obey(Signals::catch()?);
    }
    let known: Vec<(&str, u16)> =
        server.routes.iter().map(|(route, code)| (route.as_str(), *code)).collect();
    let metrics = Metrics::new(&lifecycle, &server.build, &known, server.registry.clone());
    let hook_on_app_listener = server.hook_on_app_listener.unwrap_or(server.admin.is_empty());
    let failed = Arc::new(AtomicBool::new(false));
    let probes = Probes {
        lifecycle: lifecycle.clone(),
        readiness: Readiness::new(server.on_drain),
        guard: Arc::new(HookGuard::new(server.hook_token.clone(), hook_on_app_listener)),
        failed: Arc::clone(&failed),
    };
    let settings = Settings {
        keep_alive: server.keep_alive,
        close_spread: server.close_spread,
        timeouts: server.timeouts,
        http2_streams: server.http2_streams,
        http2_windows: server.http2_windows,
        on_connect: server.on_connect.clone(),
    };

    let mut threads = Threads::new(lifecycle.clone());
    let patterns = Arc::new(Patterns::new(server.routes.iter().map(|(route, _)| route.clone())));
    let mut workers = (0..server.workers)
        .map(|_| {
            let app = server.app.clone();
            let (life, settings) = (lifecycle.clone(), settings.clone());
            let (lifecycle, metrics, probes) = (lifecycle.clone(), metrics.clone(), probes.clone());
            let patterns = Arc::clone(&patterns);
            let front = move || {
                let tracker = Tracker::new(lifecycle.clone(), metrics, patterns);
                Rc::new(Front { app, lifecycle, tracker, probes })
            };
            threads.start("websample-worker", server.blocking_threads, move |inbox, started| {
                worker::run(settings, life, front, inbox, started)
            })
        })
        .collect::<io::Result<Vec<_>>>()?;
    // The admin side has a life of its own, in which nothing ever drains.
    let (admin_life, _admin_drain) =
        Lifecycle::new(*lifecycle.policy()).map_err(io::Error::other)?;
    let mut admin_workers = Vec::new();
    if !server.admin.is_empty() {
        let (lifecycle, life) = (lifecycle.clone(), admin_life.clone());
        let settings = Settings { on_connect: None, ..settings };
        let main = move |inbox, started| {
            let admin = move || Rc::new(Admin { lifecycle, metrics, probes });
            worker::run(settings, life, admin, inbox, started)
        };
        admin_workers.push(threads.start("websample-admin", server.blocking_threads, main)?);
    }
    threads.ready().await?;

    let places = Places::of_this_process();
    let limit = server.connection_limit.saturating_mul(server.workers).min(places.traffic);
    let traffic_places = Arc::new(Semaphore::new(limit.min(MOST_PLACES)));
    let admin_places = Arc::new(Semaphore::new(places.admin));
    let report = {
        let tls = server.tls.as_deref();
        let accept = |listeners: Vec<TcpListener>,
                      tls,
                      workers,
                      places: &Arc<Semaphore>,
                      life: &Lifecycle| {
            listeners
                .into_iter()
                .map(|listener| Acceptor::new(listener, tls, workers, Arc::clone(places), life))
                .collect::<io::Result<Vec<_>>>()
        };
        let traffic = accept(server.traffic, tls, &workers, &traffic_places, &lifecycle)?;
        let admin = accept(server.admin, None, &admin_workers, &admin_places, &admin_life)?;
        let traffic = for_ever(join_all(
            traffic.into_iter().map(|acceptor| acceptor.listen(&lifecycle, &failed)),
        ));
        let admin = for_ever(join_all(
            admin.into_iter().map(|acceptor| acceptor.listen(&admin_life, &failed)),
        ));
        let certificates = async {
            match tls {
                Some(tls) => tls.watch().await,
                None => std::future::pending().await,
            }
        };
        // Everything is listening: from here on readiness is the application's.
        drop(server.startup);
        tokio::select! {
            report = server.drain.run() => report,
            () = traffic => unreachable!("it waits for ever"),
            () = admin => unreachable!("it waits for ever"),
            () = certificates => unreachable!("the watch has no end"),
        }
    };

    // Before anything of the application's own can hang.
    publish(&report, &server.termination_log);
    workers.append(&mut admin_workers);
    threads.stop(workers, report.outcome == ExitReason::Clean).await;
    Ok(report)
}

/// Polls a future to its end, and then goes on waiting: the end of all listeners, of which there
/// may be none, is not the end of the server.
async fn for_ever<F: Future>(future: F) {
    future.await;
    std::future::pending::<()>().await;
}
