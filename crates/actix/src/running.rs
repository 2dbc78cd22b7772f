//! A server that runs: its threads, its listeners, its end.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
};

use actix_http::{Request, body::MessageBody};
use actix_service::{IntoServiceFactory, ServiceFactory};
use actix_web::{
    Error,
    dev::{AppConfig, ServiceResponse},
};
use websample_connections::{
    Handle, Serving, Threads, hook::HookGuard, probes::Probes as Replies, publish,
    readiness::Readiness,
};
use websample_lifecycle::{DrainReport, ExitReason, Lifecycle, Signals};
use websample_metrics::Metrics;

use super::{
    admin::Admin,
    connections::Http2,
    error::ServerError,
    front::FrontFactory,
    patterns::Patterns,
    probes::Probes,
    server::Server,
    worker::{self, WorkerSettings},
};

/// A server on its way; resolves to its report.
#[must_use = "a server runs only while it is polled"]
pub struct Running {
    future: Pin<Box<dyn Future<Output = Result<DrainReport, ServerError>>>>,
    handle: Handle,
}

impl<F> Server<F> {
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
        Running::new(self)
    }
}

impl Running {
    fn new<F, I, S, B>(server: Server<F>) -> Self
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
        let handle = Handle::new(
            server.drain.lifecycle().clone(),
            server.addresses(),
            server.admin_addresses(),
        );
        Self { future: Box::pin(run(server)), handle }
    }

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

async fn run<F, I, S, B>(mut server: Server<F>) -> Result<DrainReport, ServerError>
where
    F: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>
        + 'static,
    S::Future: 'static,
    S::Service: 'static,
    S::InitError: fmt::Debug,
    B: MessageBody + 'static,
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
    let probes = Probes(Replies {
        lifecycle: lifecycle.clone(),
        readiness: Readiness::new(server.on_drain),
        guard: Arc::new(HookGuard::new(server.hook_token.clone(), hook_on_app_listener)),
        failed: Arc::clone(&failed),
    });
    let (stream_window, connection_window) = server.http2_windows;
    let settings = WorkerSettings {
        keep_alive: server.keep_alive,
        close_spread: server.close_spread,
        timeouts: server.timeouts,
        http2: Http2 {
            streams: server.http2_streams,
            stream_window,
            connection_window,
            handshake_timeout: server.timeouts.header_timeout,
            write_timeout: server.timeouts.write_timeout,
            keep_alive: server.keep_alive,
        },
        on_connect: server.on_connect.clone(),
    };

    let mut threads = Threads::new(lifecycle.clone());
    let patterns = Arc::new(Patterns::new(server.routes.iter().map(|(route, _)| route.clone())));
    let mut workers = (0..server.workers)
        .map(|_| {
            let app = server.app.clone();
            let (lifecycle, metrics, probes) = (lifecycle.clone(), metrics.clone(), probes.clone());
            let patterns = Arc::clone(&patterns);
            let (life, settings) = (lifecycle.clone(), settings.clone());
            let service = move || FrontFactory {
                app: app().into_factory(),
                lifecycle,
                metrics,
                probes,
                patterns,
            };
            threads.start("websample-worker", server.blocking_threads, move |inbox, started| {
                worker::run(settings, life, service, inbox, started)
            })
        })
        .collect::<io::Result<Vec<_>>>()?;
    // The admin side has a life of its own, in which nothing ever drains.
    let (admin_life, _admin_drain) =
        Lifecycle::new(*lifecycle.policy()).map_err(io::Error::other)?;
    let mut admin_workers = Vec::new();
    if server.ports.has_admin() {
        let service = Admin { lifecycle: lifecycle.clone(), metrics: metrics.clone(), probes };
        let settings = WorkerSettings { on_connect: None, ..settings };
        let life = admin_life.clone();
        let main =
            move |inbox, started| worker::run(settings, life, move || service, inbox, started);
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
