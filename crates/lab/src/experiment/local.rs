//! The script's verbs on this machine.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use websample_load::{Attempt, Connect, Direct, Engine, LoadReport, Tls};

use super::{
    Cue, Experiment, Failure, Pods,
    measured::Measured,
    preflight,
    script::{Live, Scene},
    sending::Sending,
};
use crate::{
    cluster::local::{Consumer, EVICTION_RETRY, Fallback, Listener, LocalCluster},
    disruption::Disruption,
    losses::Loss,
    metrics::Following,
    plan::Plan,
    provided::Provided,
    report::RunReport,
    through::{Installed, Proxy, ProxyError},
    timeline::Timeline,
    versions::{FROM, TO},
};

/// A cluster on this machine, with what is in front of it. Dropping it ends every process it started.
pub(super) struct Local<'a> {
    experiment: &'a Experiment,
    plan: &'a Plan,
    cluster: LocalCluster,
    consumer: Arc<Consumer>,
    proxy: Option<Proxy>,
    target: Arc<dyn Connect>,
    tls: Option<Tls>,
    _listener: Option<Listener>,
    _following: Following,
}

impl<'a> Local<'a> {
    /// Brings the first version up.
    ///
    /// # Errors
    /// A cluster or a proxy that does not come up, or a listener that cannot be had.
    pub(super) async fn up(
        experiment: &'a Experiment,
        plan: &'a Plan,
        installed: Option<&Installed>,
        provided: &Provided,
        cue: &Cue,
    ) -> Result<Self, Failure> {
        let mut spec = experiment.variant.cluster.clone();
        spec.seed = experiment.seed;
        spec.identity = provided.identity().cloned();
        spec.directory = provided.directory(experiment.label());
        let cluster = LocalCluster::new(spec, cue.start)?;
        let admin = Box::new(cluster.admin_addresses());
        let following = experiment.metrics.follow(cluster.timeline().clone(), admin);
        // The controller of a proxy learns of changes by itself, and knows ready endpoints only.
        let consumer = match plan.proxy {
            Some(options) => {
                let propagation = &experiment.variant.cluster.propagation;
                cluster.add_consumer(options.program.name(), propagation, Fallback::None)
            }
            None => Arc::clone(cluster.consumer()),
        };
        cluster.start(FROM).await?;
        let proxy = start_proxy(plan, installed, &cluster, &consumer).await?;
        let target: Arc<dyn Connect> = match &proxy {
            Some(proxy) => Arc::new(Direct(proxy.address())),
            None => cluster.service(),
        };
        // Of its own server the lab knows what it answers.
        if plan.foreign {
            let mut oddities = cluster.oddities();
            oddities.extend(preflight::ask(&plan.mix, &target, provided.tls()).await?);
            *experiment.oddities.lock().unwrap_or_else(PoisonError::into_inner) = oddities;
        }
        let listener = match plan.listen {
            Some(address) if cue.first => Some(Listener::bind(address, Arc::clone(&target)).await?),
            _ => None,
        };
        Ok(Self {
            experiment,
            plan,
            cluster,
            consumer,
            proxy,
            target,
            tls: provided.tls().cloned(),
            _listener: listener,
            _following: following,
        })
    }
}

impl Scene for Local<'_> {
    type Load = Sending;
    type Sent = LoadReport;

    fn timeline(&self) -> &Timeline {
        self.cluster.timeline()
    }

    async fn load(&self, live: Live) -> Result<Sending, Failure> {
        let due = self.experiment.metrics.due();
        let target = Arc::clone(&self.target);
        Ok(Sending::start(&self.plan.mix, target, self.timeline(), |engine| {
            named(engine.on_due(due).on_attempt(live), self.plan).tls(self.tls.clone())
        }))
    }

    async fn disrupt(&self) -> Result<(), Failure> {
        let cluster = &self.cluster;
        Ok(match self.experiment.variant.event {
            Disruption::Update => cluster.rollout(TO).await,
            Disruption::Restart => cluster.restart().await,
            Disruption::Rollback => cluster.rollback(TO).await,
            Disruption::Recreate => cluster.recreate(TO).await,
            Disruption::ScaleIn => cluster.scale(cluster.spec().replicas.div_ceil(2)).await,
            Disruption::ScaleToZeroAndBack => cluster.scale_to_zero_and_back().await,
            Disruption::DeleteAll => cluster.delete_all().await,
            Disruption::Evict => cluster.evict(None).await,
            Disruption::NodeDrain => cluster.evict(Some(EVICTION_RETRY)).await,
            Disruption::NodeShutdown => cluster.shut_node_down().await,
            Disruption::Liveness => cluster.fail_liveness().await,
            Disruption::Crash => cluster.crash().await,
            Disruption::Handoff => cluster.hand_over().await,
        }?)
    }

    async fn broken(&self, load: &mut Sending) -> Failure {
        tokio::select! {
            failure = load.failed() => failure,
            error = proxy_fails(self.proxy.as_ref()) => Failure::Proxy(error),
        }
    }

    async fn show(&self, tell: impl Fn(Pods)) {
        let mut changes = self.timeline().subscribe();
        loop {
            let mut pods = Pods::default();
            for pod in self.cluster.pods() {
                pods.count(&pod.version, pod.ready, pod.terminating);
            }
            tell(pods);
            // Lagging behind only means that several events show as one.
            if let Err(tokio::sync::broadcast::error::RecvError::Closed) = changes.recv().await {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn stop(&self, load: Sending) -> Result<LoadReport, Failure> {
        load.stop().await
    }

    fn measured(&self, sent: &LoadReport, began: Duration, took: Duration) -> RunReport {
        let (experiment, timeline) = (self.experiment, self.timeline());
        let recorder = &experiment.recorder;
        let measured = Measured { load: &sent.streams, recorder, began, took, clock: None };
        let explain = |attempt: &Attempt, stream: &Arc<str>| {
            Loss::new(attempt, stream, timeline, self.consumer.name())
        };
        experiment.report(self.plan, &measured, timeline, explain)
    }

    async fn clear(self) {
        if let Some(proxy) = self.proxy {
            proxy.stop().await;
        }
        self.cluster.shutdown().await;
    }
}

/// Calls the server by the name that its certificate is for.
fn named(engine: Engine, plan: &Plan) -> Engine {
    match plan.tls.as_ref().and_then(|secure| secure.server_name.parse().ok()) {
        Some(authority) => engine.authority(authority),
        None => engine,
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
async fn proxy_fails(proxy: Option<&Proxy>) -> ProxyError {
    match proxy {
        Some(proxy) => proxy.failed().await,
        None => std::future::pending().await,
    }
}
