//! One rolling update of one variant, under load.

pub(crate) mod kubernetes;
mod local;
pub(crate) mod measured;
mod preflight;
mod script;
pub(crate) mod sending;

pub(super) use self::kubernetes::{made, run_id};
pub use self::preflight::Refused;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use websample_load::{
    Attempt,
    results::{Background, ResultsWriter},
};

use super::{
    cluster::{kubernetes::KubernetesError, local::ClusterError},
    ground::Ground,
    metrics::ModeMetrics,
    plan::{Plan, Variant, file_name},
    recorder::{Counts, Recorder},
    report::RunReport,
    through::ProxyError,
    versions::TO,
};

/// The time limit of a request; above the slow requests' five seconds.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// An experiment on its way, as others may see it.
#[derive(Debug)]
pub struct Experiment {
    variant: Variant,
    repeat: u32,
    seed: u64,
    metrics: ModeMetrics,
    recorder: Arc<Recorder>,
    stage: Mutex<Stage>,
    oddities: Mutex<Vec<String>>,
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
    /// Not yet ready: of the new version, in an update.
    pub starting: usize,
    /// On their way out.
    pub terminating: usize,
}

impl Pods {
    fn count(&mut self, version: &str, ready: bool, terminating: bool) {
        let count = match (version == TO, ready, terminating) {
            (_, _, true) => &mut self.terminating,
            (_, false, _) => &mut self.starting,
            (true, ..) => &mut self.new,
            (false, ..) => &mut self.old,
        };
        *count += 1;
    }
}

/// When an experiment begins: side by side, all are under the same load at the same time.
#[derive(Debug)]
pub struct Cue {
    /// What all times count from.
    pub start: Instant,
    /// Is told when the first version is up.
    pub up: Arc<Notify>,
    /// Says when the load begins.
    pub go: CancellationToken,
    /// Whether it is the first of those side by side.
    pub first: bool,
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
            stage: Mutex::new(Stage::Starting),
            oddities: Mutex::default(),
        }
    }

    /// The name of what is tried.
    pub fn label(&self) -> &str {
        &self.variant.label
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What somebody should know of the server before reading the result; known once it is up.
    pub fn oddities(&self) -> Vec<String> {
        self.oddities.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the load has seen so far.
    pub fn counts(&self) -> Counts {
        self.recorder.counts()
    }

    fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Runs it. Dropping the future ends every process it started; what it put on a cluster stays
    /// until its session is closed.
    ///
    /// # Errors
    /// A cluster or a proxy that does not come up or breaks down, or a load that cannot be sent.
    pub async fn run(
        &self,
        plan: &Plan,
        ground: &Ground,
        cue: Cue,
    ) -> Result<RunReport, ExperimentError> {
        let done = match ground {
            Ground::Local { proxy, provided } => {
                let up = local::Local::up(self, plan, proxy.as_ref(), provided, &cue);
                script::run(self, plan, &cue, up).await
            }
            Ground::Kubernetes(session) => {
                let up = kubernetes::OnCluster::up(self, plan, session, cue.start);
                script::run(self, plan, &cue, up).await
            }
        };
        done.map_err(|source| ExperimentError { label: self.label().to_owned(), source })
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
            if plan.tls.is_some() { "https://service" } else { "http://service" },
        )?;
        Background::start(writer).map(Some)
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
    /// The cluster of others.
    #[error(transparent)]
    Kubernetes(Box<KubernetesError>),
    /// The server does not answer what was to be sent.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
    /// The load generator.
    #[error("the load could not be sent: {0}")]
    Load(#[source] Arc<io::Error>),
    /// The file of single results.
    #[error("--results: {0}")]
    Results(#[source] Arc<io::Error>),
}

impl From<KubernetesError> for Failure {
    fn from(error: KubernetesError) -> Self {
        Self::Kubernetes(Box::new(error))
    }
}
