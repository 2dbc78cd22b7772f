//! One rolling update on this machine.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use websample_load::{self as load, Attempt, Connect, Direct, Engine};

use super::{
    COOL_DOWN, Cue, Experiment, ExperimentError, FROM, Failure, Pods, REQUEST_LIMIT, Stage, TO,
    WARM_UP, measured::Measured,
};
use crate::{
    cluster::local::{ClusterError, Consumer, Fallback, Listener, LocalCluster},
    losses::Loss,
    plan::{Plan, connect_timeout},
    report::RunReport,
    through::{Installed, Proxy, ProxyError},
};

impl Experiment {
    /// Runs it on this machine. Dropping the future ends every process it started.
    ///
    /// # Errors
    /// A cluster or a proxy that does not come up or breaks down, or a listener that cannot be
    /// had.
    pub(super) async fn run_locally(
        &self,
        plan: &Plan,
        installed: Option<&Installed>,
        cue: Cue,
    ) -> Result<RunReport, ExperimentError> {
        let Cue { start, up, go, first: listen } = cue;
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

        let timeline = cluster.timeline();
        let report =
            Measured { load: &load.streams, recorder: &self.recorder, began, took, clock: None };
        let explain = |attempt: &Attempt, stream: &Arc<str>| {
            Loss::new(attempt, stream, timeline, consumer.name())
        };
        let report = self.report(plan, &report, timeline, explain);
        if let Some(proxy) = proxy {
            proxy.stop().await;
        }
        cluster.shutdown().await;
        Ok(report)
    }

    /// Keeps the stage in step with the pods, for whoever looks.
    async fn watch(&self, cluster: &LocalCluster) {
        let mut changes = cluster.timeline().subscribe();
        loop {
            let mut pods = Pods::default();
            for pod in cluster.pods() {
                pods.count(&pod.version, pod.ready, pod.terminating);
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
