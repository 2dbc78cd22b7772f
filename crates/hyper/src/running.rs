//! A server that runs: its threads, its listeners, its end.

use std::{
    fmt, io,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;
use websample_connections::{
    Handle, Serving, Threads, hook::HookGuard, probes::Probes, publish, readiness::Readiness,
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
    let hook_on_app_listener = server.hook_on_app_listener.unwrap_or(!server.ports.has_admin());
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
        max_age: server.max_age,
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
    if server.ports.has_admin() {
        let (lifecycle, life) = (lifecycle.clone(), admin_life.clone());
        let settings = Settings { on_connect: None, max_age: None, ..settings };
        let main = move |inbox, started| {
            let admin = move || Rc::new(Admin { lifecycle, metrics, probes });
            worker::run(settings, life, admin, inbox, started)
        };
        admin_workers.push(threads.start("websample-admin", server.blocking_threads, main)?);
    }
    threads.ready().await?;

    let serving = Serving {
        workers: &workers,
        connections: server.connection_limit.saturating_mul(server.workers),
        tls: server.tls.as_deref(),
        admin_workers: &admin_workers,
        admin_life: &admin_life,
        failed: &failed,
    };
    let report = server.ports.serve(server.drain, server.startup, serving).await?;

    // Before anything of the application's own can hang.
    publish(&report, &server.termination_log);
    workers.append(&mut admin_workers);
    threads.stop(workers, report.outcome == ExitReason::Clean).await;
    Ok(report)
}
