//! Requests from inside the cluster: a Job that sends them to the Service, and is removed again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, api::ListParams};
use tokio::time::Instant;
use websample_load::{Attempt, Mix, Tally};

use super::{probe::Heard, scene::Scene};
use crate::{
    cluster::{
        kubernetes::{
            ClusterProblem, Images, KubernetesError, Load, Location, Options, Session, Stopped,
            manifests::Made, persist::persist, trouble,
        },
        local::{ClusterSpec, CommandTemplate},
    },
    experiment::{
        REQUEST_LIMIT,
        kubernetes::{join::place, run_id},
    },
    plan::connect_timeout,
    recorder::Recorder,
    timeline::Timeline,
};

/// Between two looks at a pod that is to come up.
const LOOK: Duration = Duration::from_millis(250);
/// An image has to be pulled.
const UP_WITHIN: Duration = Duration::from_secs(120);
/// Beyond a request's time limit, for the log's last lines to come.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// What a Job is to send. What is made for it is its session's, which whoever opened it closes.
#[derive(Debug, Clone)]
pub(super) struct InsidePlan {
    pub(super) session: Arc<Session>,
    /// An image that has this program.
    pub(super) image: String,
    pub(super) mix: Mix,
}

/// A Job that sends.
pub(super) struct Inside {
    load: Load,
    mix: Mix,
}

impl InsidePlan {
    /// Requests of this mix from a Job of this image; nothing is made yet.
    pub(super) fn new(scene: &Scene, image: &str, mix: Mix) -> Self {
        let image = image.to_owned();
        let options = Options {
            location: Location::default(),
            images: Images { v1: image.clone(), v2: image.clone() },
            url: None,
            ready_within: UP_WITHIN,
            side_by_side: false,
            keep: false,
            events: Vec::new(),
        };
        let id = run_id(rand::random::<u32>().into());
        let session = Arc::new(Session::on(scene.cluster.clone(), options, id));
        Self { session, image, mix }
    }

    /// What is going to be sent, for whoever is asked to bear it.
    pub(super) fn announcement(&self, scene: &Scene) -> Result<String, KubernetesError> {
        let host = address(scene)?;
        Ok(format!(
            "{:.0} requests/s from a Job of image {} to the Service at {host}: {}",
            self.mix.rate(),
            self.image,
            self.mix
        ))
    }
}

/// Where the Service is, from inside.
fn address(scene: &Scene) -> Result<SocketAddr, KubernetesError> {
    let spec = scene.service.as_ref().and_then(|service: &Service| service.spec.as_ref());
    let ip = spec.and_then(|spec| spec.cluster_ip.as_deref()?.parse::<IpAddr>().ok());
    let port = spec.and_then(|spec| spec.ports.as_ref()?.first());
    let port = port.and_then(|port| u16::try_from(port.port).ok());
    match (ip, port) {
        (Some(ip), Some(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err(scene.cluster.failed(ClusterProblem::Missing {
            object: "Service with an address that leads to its pods".to_owned(),
            there: "name one with --service, or send from here with --url".to_owned(),
        })),
    }
}

impl Inside {
    /// Starts the Job, and returns once requests are sent.
    pub(super) async fn start(
        plan: InsidePlan,
        scene: &Scene,
        heard: Arc<Heard>,
        timeline: &Timeline,
    ) -> Result<Self, KubernetesError> {
        let InsidePlan { session, image, mix } = plan;
        let host = address(scene)?;
        let id = run_id(rand::random::<u32>().into());
        // Only the Job is made: what the rest is like is somebody else's.
        let spec = ClusterSpec::new(CommandTemplate::new("websample", [""; 0]));
        let label = format!("{}-{id}", scene.reference.name);
        let made = Made { run: id, label: &label, mode: "", spec: &spec };
        let limits = [connect_timeout(), REQUEST_LIMIT];
        let job = made.load(&image, &host.to_string(), &mix, limits);
        session.apply(&made, &job).await?;
        let pod = pod(scene, &made.selector()).await?;
        let pods = timeline.clone();
        let mut load = Load::follow(&scene.cluster, &pod, timeline.clone(), move |mut attempt| {
            place(&mut attempt, &pods, true);
            heard.hear(attempt);
        });
        load.began().await?;
        Ok(Self { load, mix })
    }

    pub(super) async fn failed(&mut self) -> KubernetesError {
        self.load.failed().await
    }

    /// Stops the Job and waits for its last answers; with the tallies by stream and the requests by
    /// second.
    pub(super) async fn stop(
        self,
        timeline: &Timeline,
    ) -> Result<(Stopped, Vec<Tally>, Recorder, Mix), KubernetesError> {
        let Self { load, mix } = self;
        let stopped = load.stop(REQUEST_LIMIT + LOG_LIMIT).await?;
        let recorder = Recorder::default();
        let mut streams = vec![Tally::default(); mix.streams().len()];
        // Once more, with times as well as they are known in the end.
        for attempt in &stopped.attempts {
            let mut attempt: Attempt = attempt.clone();
            place(&mut attempt, timeline, true);
            if let Some(stream) = streams.get_mut(attempt.stream) {
                stream.add(&attempt);
                recorder.add(attempt);
            }
        }
        Ok((stopped, streams, recorder, mix))
    }
}

/// Waits until the Job's pod runs; gives its name.
async fn pod(scene: &Scene, selector: &str) -> Result<String, KubernetesError> {
    let cluster = &scene.cluster;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let of_job = ListParams::default().labels(selector);
    let began = Instant::now();
    loop {
        let listed = persist(|| pods.list(&of_job)).await;
        let listed =
            listed.map_err(|error| cluster.failed(ClusterProblem::of(&error, "Pods", "list")))?;
        for pod in &listed.items {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            let state = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            let state = state.and_then(|all| all.first()?.state.as_ref());
            let runs =
                state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
            if runs || phase == Some("Failed") {
                return Ok(pod.metadata.name.clone().unwrap_or_default());
            }
            let late = began.elapsed() > UP_WITHIN;
            if let Some(trouble) = trouble::of_pod(pod, began.elapsed(), late) {
                return Err(cluster.failed(ClusterProblem::Trouble(trouble)));
            }
        }
        if began.elapsed() > UP_WITHIN {
            let reason = "its pod does not run".to_owned();
            return Err(cluster.failed(ClusterProblem::LoadEnded { pod: String::new(), reason }));
        }
        tokio::time::sleep(LOOK).await;
    }
}
