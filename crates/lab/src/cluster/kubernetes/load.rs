//! The load generator in the cluster, followed by its log.

use std::time::Duration;

use futures_util::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, LogParams},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use websample_load::{
    Attempt,
    lines::{LineError, Reader, Said},
};

use super::{
    clock::Offset,
    connect::Cluster,
    error::{ClusterProblem, KubernetesError, reason},
    manifests::LOAD,
    persist::persist,
};
use crate::timeline::Timeline;

/// A log without a new line for so long is one that ended: there is a line every second.
const SILENCE: Duration = Duration::from_secs(15);
/// Between two looks at a log that broke off.
const AGAIN: Duration = Duration::from_millis(200);

/// The load of one run on its way.
#[derive(Debug)]
pub struct Load {
    pods: Api<Pod>,
    pod: String,
    cluster: Cluster,
    timeline: Timeline,
    began: watch::Receiver<bool>,
    task: Task,
}

/// A load that has come to its end.
#[derive(Debug, Clone, Default)]
pub struct Stopped {
    /// Every request; times are from the start of the run, on the timeline's clock.
    pub attempts: Vec<Attempt>,
    /// From the generator's times to the timeline's.
    pub offset: Offset,
    /// Unix time at the generator's start, by its node's clock.
    pub unix: f64,
    /// When it was told to stop, by its own time.
    pub stopping: Option<Duration>,
}

impl Load {
    /// Follows the log of this pod. `each` is called with every attempt as it is heard of, its times
    /// as good as they are known by then.
    pub fn follow(
        cluster: &Cluster,
        pod: &str,
        timeline: Timeline,
        each: impl FnMut(Attempt) + Send + 'static,
    ) -> Self {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let (sender, began) = watch::channel(false);
        let follower = Follower {
            pods: pods.clone(),
            pod: pod.to_owned(),
            timeline: timeline.clone(),
            each,
            began: sender,
            reader: Reader::default(),
            heard: Stopped::default(),
            last: Instant::now(),
        };
        let task = Task(tokio::spawn(follower.run()));
        Self { pods, pod: pod.to_owned(), cluster: cluster.clone(), timeline, began, task }
    }

    /// Returns once requests are sent.
    ///
    /// # Errors
    /// When the load ended before.
    pub async fn began(&mut self) -> Result<(), KubernetesError> {
        if self.began.clone().wait_for(|began| *began).await.is_ok() {
            return Ok(());
        }
        Err(self.failed().await)
    }

    /// Returns when the load has ended without having been told to.
    pub async fn failed(&mut self) -> KubernetesError {
        let ended = (&mut self.task.0).await;
        let reason = "it ended by itself".to_owned();
        let unasked = || ClusterProblem::LoadEnded { pod: self.pod.clone(), reason };
        let problem = match ended {
            Ok(Err(problem)) => problem,
            Ok(Ok(_)) | Err(_) => unasked(),
        };
        self.cluster.failed(problem)
    }

    /// Tells the load to stop, as a kubelet does, and waits for its last answer and its report.
    ///
    /// # Errors
    /// When it ends without one, or not within `limit`.
    pub async fn stop(self, limit: Duration) -> Result<Stopped, KubernetesError> {
        let Self { pods, pod, cluster, timeline, mut task, .. } = self;
        let told = timeline.now().as_secs_f64();
        // The pod and not the Job: the garbage collector would take its time.
        let params = DeleteParams::default();
        let deleted = persist(|| pods.delete(&pod, &params)).await;
        let ended = |reason: &str| {
            let (pod, reason) = (pod.clone(), reason.to_owned());
            cluster.failed(ClusterProblem::LoadEnded { pod, reason })
        };
        match deleted {
            // Told once already, by an answer that broke off; or it ended, as its log will say.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            deleted => {
                deleted.map_err(|error| {
                    cluster.failed(ClusterProblem::of(&error, &format!("Pod {pod}"), "delete"))
                })?;
            }
        }
        let mut stopped = tokio::time::timeout(limit, &mut task.0)
            .await
            .map_err(|_| ended("it did not end in time"))?
            .map_err(|_| ended("its log could not be followed"))?
            .map_err(|problem| cluster.failed(problem))?;
        if let Some(stopping) = stopped.stopping {
            stopped.offset.caused_at(stopping.as_secs_f64(), told);
        }
        for attempt in &mut stopped.attempts {
            shift(attempt, stopped.offset);
        }
        Ok(stopped)
    }
}

/// Ends with its handle: nobody wants to hear of a load that was given up.
#[derive(Debug)]
struct Task(JoinHandle<Result<Stopped, ClusterProblem>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Follower<F> {
    pods: Api<Pod>,
    pod: String,
    timeline: Timeline,
    each: F,
    began: watch::Sender<bool>,
    reader: Reader,
    heard: Stopped,
    /// When the last new line came.
    last: Instant,
}

impl<F: FnMut(Attempt) + Send> Follower<F> {
    /// Reads the log to its last line, from the start again where it breaks off.
    async fn run(mut self) -> Result<Stopped, ClusterProblem> {
        loop {
            let broke = match self.read().await {
                Ok(true) => return Ok(self.heard),
                Ok(false) => "its log ended".to_owned(),
                Err(Broken::Line(source)) => {
                    return Err(ClusterProblem::Lines { pod: self.pod, source });
                }
                Err(Broken::Stream(why)) => why,
            };
            if self.last.elapsed() > SILENCE {
                return Err(ClusterProblem::LoadEnded { pod: self.pod, reason: broke });
            }
            sleep(AGAIN).await;
        }
    }

    /// Reads as far as the log goes; true after its last line.
    async fn read(&mut self) -> Result<bool, Broken> {
        let broken = |error: kube::Error| Broken::Stream(reason(&error));
        let params =
            LogParams { follow: true, container: Some(LOAD.to_owned()), ..LogParams::default() };
        let mut lines = self.pods.log_stream(&self.pod, &params).await.map_err(broken)?.lines();
        while let Some(line) =
            lines.try_next().await.map_err(|error| Broken::Stream(error.to_string()))?
        {
            let Some(entry) = self.reader.read(&line).map_err(Broken::Line)? else { continue };
            self.last = Instant::now();
            if self.hear(entry) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True after the last line.
    fn hear(&mut self, entry: Said) -> bool {
        let now = self.timeline.now().as_secs_f64();
        let heard = &mut self.heard;
        match entry {
            Said::Began { unix, .. } => heard.unix = unix,
            Said::Attempt(attempt) => {
                heard.offset.known_by(attempt.finished.as_secs_f64(), now);
                let mut seen = attempt.clone();
                shift(&mut seen, heard.offset);
                heard.attempts.push(attempt);
                (self.each)(seen);
                // An error only says that nobody waits for it.
                let _ = self.began.send(true);
            }
            Said::Tick { at } => heard.offset.known_by(at.as_secs_f64(), now),
            Said::Stopping { at } => {
                heard.offset.known_by(at.as_secs_f64(), now);
                heard.stopping = Some(at);
            }
            Said::Ended { at, .. } => {
                heard.offset.known_by(at.as_secs_f64(), now);
                return true;
            }
        }
        false
    }
}

enum Broken {
    Stream(String),
    Line(LineError),
}

/// Moves an attempt to the timeline's clock.
fn shift(attempt: &mut Attempt, offset: Offset) {
    for time in [&mut attempt.intended, &mut attempt.sent, &mut attempt.finished] {
        *time = offset.here(time.as_secs_f64()).unwrap_or(*time);
    }
}
