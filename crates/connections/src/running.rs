//! A server that runs: its threads, its listeners, its end.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
};

use websample_lifecycle::{DrainReport, ExitReason, Lifecycle, Signals, StartError};
use websample_metrics::Metrics;

use super::{
    handle::{Handle, publish},
    hook::HookGuard,
    patterns::{Fits, Patterns},
    ports::Serving,
    probes::Probes,
    readiness::Readiness,
    server::Settings,
    threads::Threads,
    tls::TlsError,
    worker::{Inbox, Started, Worker},
};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A listener, a thread or a signal handler could not be had, or the application's services.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The policy does not add up, or signals cannot be caught.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Who answers the requests of a server.
pub trait Framework {
    /// Whether a path is of a pattern, as this framework writes patterns.
    const FITS: Fits;

    /// Starts a worker for traffic.
    ///
    /// # Errors
    /// When its thread cannot be started.
    fn start_worker(&self, common: &Common, start: Start<'_>) -> io::Result<Worker>;

    /// Starts the worker of the admin side, which leads a life of its own.
    ///
    /// # Errors
    /// When its thread cannot be started.
    fn start_admin(&self, common: &Common, life: Lifecycle, start: Start<'_>)
    -> io::Result<Worker>;
}

/// What all workers of a server have in common.
#[derive(Debug, Clone)]
pub struct Common {
    /// The server's life.
    pub lifecycle: Lifecycle,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// Answers for the kubelet.
    pub probes: Probes,
    /// What requests are counted under.
    pub patterns: Arc<Patterns>,
}

/// Starts one worker.
#[derive(Debug)]
pub struct Start<'a> {
    threads: &'a mut Threads,
    name: &'static str,
    blocking_threads: Option<usize>,
}

impl Start<'_> {
    /// Its thread runs `main`, which says when it can serve.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn with<M, F>(self, main: M) -> io::Result<Worker>
    where
        M: FnOnce(Inbox, Started) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        self.threads.start(self.name, self.blocking_threads, main)
    }
}

/// A server on its way; resolves to its report.
#[must_use = "a server runs only while it is polled"]
pub struct Running {
    future: Pin<Box<dyn Future<Output = Result<DrainReport, ServerError>> + Send>>,
    handle: Handle,
}

impl Running {
    /// Of a server of this framework. Nothing starts before it is polled; dropping it at any time stops
    /// every thread and releases every port.
    pub fn new<F: Framework + Send + 'static>(settings: Settings, framework: F) -> Self {
        let handle = Handle::new(
            settings.drain.lifecycle().clone(),
            settings.addresses(),
            settings.admin_addresses(),
        );
        Self { future: Box::pin(run(settings, framework)), handle }
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

async fn run<F: Framework>(
    mut settings: Settings,
    framework: F,
) -> Result<DrainReport, ServerError> {
    let lifecycle = settings.drain.lifecycle().clone();
    if !settings.signals {
        settings.drain.take_signals();
    } else if !settings.drain.has_signals() {
        settings.drain.obey(Signals::catch()?);
    }
    let failed = Arc::new(AtomicBool::new(false));
    let common = common::<F>(&settings, &failed);

    let mut threads = Threads::new(lifecycle.clone());
    let blocking_threads = settings.blocking_threads;
    let mut workers = (0..settings.workers)
        .map(|_| {
            let name = "websample-worker";
            let start = Start { threads: &mut threads, name, blocking_threads };
            framework.start_worker(&common, start)
        })
        .collect::<io::Result<Vec<_>>>()?;
    // The admin side has a life of its own, in which nothing ever drains.
    let (admin_life, _admin_drain) =
        Lifecycle::new(*lifecycle.policy()).map_err(io::Error::other)?;
    let mut admin_workers = Vec::new();
    if settings.ports.has_admin() {
        let start = Start { threads: &mut threads, name: "websample-admin", blocking_threads };
        admin_workers.push(framework.start_admin(&common, admin_life.clone(), start)?);
    }
    threads.ready().await?;

    let serving = Serving {
        workers: &workers,
        connections: settings.connection_limit.saturating_mul(settings.workers),
        tls: settings.tls.as_deref(),
        admin_workers: &admin_workers,
        admin_life: &admin_life,
        failed: &failed,
    };
    let report = settings.ports.serve(settings.drain, settings.startup, serving).await?;

    // Before anything of the application's own can hang.
    publish(&report, &settings.termination_log);
    workers.append(&mut admin_workers);
    threads.stop(workers, report.outcome == ExitReason::Clean).await;
    Ok(report)
}

fn common<F: Framework>(settings: &Settings, failed: &Arc<AtomicBool>) -> Common {
    let lifecycle = settings.drain.lifecycle().clone();
    let known: Vec<(&str, u16)> =
        settings.routes.iter().map(|(route, code)| (route.as_str(), *code)).collect();
    let metrics = Metrics::new(&lifecycle, &settings.build, &known, settings.registry.clone());
    let on_app_listener = settings.hook_on_app_listener.unwrap_or(!settings.ports.has_admin());
    let probes = Probes {
        lifecycle: lifecycle.clone(),
        readiness: Readiness::new(settings.on_drain),
        guard: Arc::new(HookGuard::new(settings.hook_token.clone(), on_app_listener)),
        failed: Arc::clone(failed),
    };
    let patterns =
        Arc::new(Patterns::new(settings.routes.iter().map(|(route, _)| route.clone()), F::FITS));
    Common { lifecycle, metrics, probes, patterns }
}
