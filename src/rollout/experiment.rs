//! One rolling update of one variant, under load.

use std::{
    io,
    sync::{Arc, mpsc},
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    cluster::local::{ClusterError, Consumer, Fallback, Listener, LocalCluster},
    losses::{self, Loss},
    metrics::ModeMetrics,
    plan::{Plan, Variant, connect_timeout, file_name},
    recorder::{Counts, Recorder},
    report::{Bucket, Latency, RunReport, StreamReport},
    through::{Installed, Proxy, ProxyError},
};
use crate::load::{
    self, Attempt, Connect, Direct, Engine,
    results::{Background, ResultsWriter},
};

/// The versions of the update.
pub const FROM: &str = "v1";
/// The version that is rolled out.
pub const TO: &str = "v2";

/// Load before the update begins, so that connections are established and kept.
const WARM_UP: Duration = Duration::from_secs(2);

/// Load after the last old pod is gone: its losses may come late.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// The time limit of a request; above the slow requests' five seconds.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// An experiment on its way, as others may see it.
#[derive(Debug)]
pub struct Experiment {
    variant: Variant,
    repeat: u32,
    seed: u64,
    metrics: ModeMetrics,
    recorder: Arc<Recorder>,
    stage: std::sync::Mutex<Stage>,
}

/// How far an experiment has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The first version comes up.
    Starting,
    /// The first version is up; the load begins everywhere at once.
    Up,
    /// Load on the first version.
    WarmingUp,
    /// The update is under way; pods by what they are.
    RollingOut(Pods),
    /// The last answers are awaited.
    CoolingDown,
    /// It is over.
    Done,
}

/// Pods by what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pods {
    /// Of the first version, and ready.
    pub old: usize,
    /// Of the new version, and ready.
    pub new: usize,
    /// Of the new version, and not yet ready.
    pub starting: usize,
    /// On their way out.
    pub terminating: usize,
}

impl Experiment {
    /// An experiment that has not begun, and what is measured of it.
    pub fn new(variant: Variant, repeat: u32, seed: u64, metrics: ModeMetrics) -> Self {
        Self {
            variant,
            repeat,
            seed,
            metrics,
            recorder: Arc::default(),
            stage: std::sync::Mutex::new(Stage::Starting),
        }
    }

    /// The name of what is tried.
    pub fn label(&self) -> &str {
        &self.variant.label
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// What the load has seen so far.
    pub fn counts(&self) -> Counts {
        self.recorder.counts()
    }

    fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = stage;
    }

    /// Runs it. Dropping the future ends every process it started.
    ///
    /// `up` is told when the first version is up; the load begins when `go` says so, so that
    /// experiments side by side are under the same load at the same time.
    ///
    /// # Errors
    /// A cluster or a proxy that does not come up or breaks down, or a listener that cannot be
    /// had.
    pub async fn run(
        &self,
        plan: &Plan,
        installed: Option<&Installed>,
        start: Instant,
        up: Arc<Notify>,
        go: CancellationToken,
        listen: bool,
    ) -> Result<RunReport, ExperimentError> {
        let because = |source| ExperimentError { label: self.label().to_owned(), source };
        let failed = |source| because(Failure::Cluster(source));
        let mut spec = self.variant.cluster.clone();
        spec.seed = self.seed;
        let cluster = LocalCluster::new(spec, start).map_err(failed)?;
        let admin = Box::new(cluster.admin_addresses());
        let _following = self.metrics.follow(cluster.timeline().clone(), admin);
        // The controller of a proxy learns of changes by itself, and knows ready endpoints only.
        let consumer = match plan.proxy {
            Some(options) => {
                let propagation = &self.variant.cluster.propagation;
                cluster.add_consumer(options.program.name(), propagation, Fallback::None)
            }
            None => Arc::clone(cluster.consumer()),
        };
        cluster.start(FROM).await.map_err(failed)?;
        let proxy = start_proxy(plan, installed, &cluster, &consumer)
            .await
            .map_err(|error| because(Failure::Proxy(error)))?;
        let target: Arc<dyn Connect> = match &proxy {
            Some(proxy) => Arc::new(Direct(proxy.address())),
            None => cluster.service(),
        };
        let _listener = match plan.listen {
            Some(address) if listen => {
                Some(Listener::bind(address, Arc::clone(&target)).await.map_err(failed)?)
            }
            _ => None,
        };
        self.enter(Stage::Up);
        up.notify_one();
        go.cancelled().await;

        let stop = CancellationToken::new();
        let recorder = Arc::clone(&self.recorder);
        let limits = load::Limits {
            connect_timeout: connect_timeout(),
            timeout: REQUEST_LIMIT,
            ..load::Limits::default()
        };
        let results =
            self.results(plan, start).map_err(|error| because(Failure::Results(error.into())))?;
        let (single, written) = results.unzip();
        let mut measure = self.metrics.attempts(cluster.timeline().clone());
        let engine = Engine::new(plan.mix.clone(), target, limits)
            .clock(start.into_std())
            .on_due(self.metrics.due())
            .on_attempt(move |attempt| {
                measure(&attempt);
                if let Some(single) = &single {
                    // A writer that is gone has failed: its error is reported at the end.
                    let _ = single.send(attempt.clone());
                }
                recorder.add(attempt);
            });
        let load = engine.run(None, stop.clone());
        let update = async {
            self.enter(Stage::WarmingUp);
            tokio::time::sleep(WARM_UP).await;
            let began = start.elapsed();
            self.metrics.rollout_began();
            let rolled_out = tokio::select! {
                rolled_out = cluster.rollout(TO) => rolled_out.map_err(Failure::Cluster),
                error = broken(proxy.as_ref()) => Err(Failure::Proxy(error)),
                () = self.watch(&cluster) => unreachable!("it watches for ever"),
            };
            let took = start.elapsed().saturating_sub(began);
            self.metrics.rollout_ended();
            self.enter(Stage::CoolingDown);
            tokio::time::sleep(COOL_DOWN).await;
            stop.cancel();
            rolled_out.map(|()| (began, took))
        };
        let (load, update) = tokio::join!(load, update);
        let (began, took) = update.map_err(because)?;
        let load = load.map_err(|error| failed(ClusterError::Spec(error.to_string())))?;
        if let Some(written) = written {
            written.finish().await.map_err(|error| because(Failure::Results(error.into())))?;
        }
        self.enter(Stage::Done);

        let pods = cluster.timeline().pods();
        let streams: Vec<Arc<str>> =
            plan.mix.streams().iter().map(|spec| spec.name().into()).collect();
        let (seconds, lost) = self.recorder.take(&streams, &pods);
        let consumer = consumer.name();
        let losses: Vec<Loss> = lost
            .iter()
            .map(|attempt| {
                Loss::new(attempt, &streams[attempt.stream], cluster.timeline(), consumer)
            })
            .collect();
        let report = RunReport {
            mode: self.variant.label.clone(),
            repeat: self.repeat,
            seed: self.seed,
            pre_stop: self.variant.cluster.pre_stop.to_string(),
            requests: load.total.requests,
            lost: load.total.lost,
            outcomes: load.total.outcomes.clone(),
            lost_with_retries: load.total.lost_with_retries,
            latency_ms: Latency::of(&load.total.latency),
            send_delay_ms: Latency::of(&load.total.send_delay),
            latency_histogram: Bucket::of(&load.total.latency),
            rollout_began: began.as_secs_f64(),
            rollout_seconds: took.as_secs_f64(),
            killed: pods.iter().filter(|pod| pod.killed()).count(),
            causes: losses::count(&losses),
            streams: streams
                .iter()
                .zip(&load.streams)
                .map(|(name, tally)| StreamReport::new(name, tally))
                .collect(),
            losses,
            seconds,
            pods,
        };
        if let Some(proxy) = proxy {
            proxy.stop().await;
        }
        cluster.shutdown().await;
        Ok(report)
    }

    /// The file of single results, if it was asked for.
    fn results(
        &self,
        plan: &Plan,
        start: Instant,
    ) -> io::Result<Option<(mpsc::SyncSender<Attempt>, Background)>> {
        let Some(encoding) = plan.results else { return Ok(None) };
        let (name, kind) = (file_name(self.label()), encoding.extension());
        let path = plan.out.join(format!("results-{name}-{}.{kind}", self.repeat));
        let origin = SystemTime::now() - start.elapsed();
        let writer = ResultsWriter::create(
            &path,
            encoding,
            self.label(),
            origin,
            &plan.mix,
            "http://service",
        )?;
        Background::start(writer).map(Some)
    }

    /// Keeps the stage in step with the pods, for whoever looks.
    async fn watch(&self, cluster: &LocalCluster) {
        let mut changes = cluster.timeline().subscribe();
        loop {
            let mut pods = Pods::default();
            for pod in cluster.pods() {
                let count = match (&*pod.version == TO, pod.ready, pod.terminating) {
                    (_, _, true) => &mut pods.terminating,
                    (true, true, _) => &mut pods.new,
                    (true, false, _) => &mut pods.starting,
                    (false, ..) => &mut pods.old,
                };
                *count += 1;
            }
            self.enter(Stage::RollingOut(pods));
            // Lagging behind only means that several events show as one.
            if let Err(tokio::sync::broadcast::error::RecvError::Closed) = changes.recv().await {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Starts the proxy that was planned, fed by `consumer`.
async fn start_proxy(
    plan: &Plan,
    installed: Option<&Installed>,
    cluster: &LocalCluster,
    consumer: &Consumer,
) -> Result<Option<Proxy>, ProxyError> {
    let Some((options, installed)) = plan.proxy.zip(installed) else { return Ok(None) };
    Proxy::start(installed, options, &cluster.companions(), consumer).await.map(Some)
}

/// Returns when the proxy has failed; never without one.
async fn broken(proxy: Option<&Proxy>) -> ProxyError {
    match proxy {
        Some(proxy) => proxy.failed().await,
        None => std::future::pending().await,
    }
}

/// Why an experiment could not be run.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{label}: {source}")]
pub struct ExperimentError {
    /// What was tried.
    pub label: String,
    /// Why it could not be.
    pub source: Failure,
}

/// What can fail in an experiment.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The file of single results.
    #[error("--results: {0}")]
    Results(#[source] Arc<io::Error>),
}
