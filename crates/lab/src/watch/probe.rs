//! Requests of our own beside somebody else's rollout: open loop, no retries, gentle.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;
use websample_load::{Attempt, LoadReport, Mix, Outcome, Tally, raise_file_limit, target::Target};

use super::{
    inside::{Inside, InsidePlan},
    scene::Scene,
};
use crate::{
    cluster::kubernetes::KubernetesError,
    experiment::{Failure, kubernetes::join::place, sending::Sending},
    recorder::Recorder,
    timeline::Timeline,
};

/// How long the first answer is waited for, before the rest goes on without it.
const FIRST_WITHIN: Duration = Duration::from_secs(3);

/// What is going to be sent, and where to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProbePlan {
    pub(super) url: String,
    pub(super) target: Target,
    pub(super) mix: Mix,
}

/// Why nothing is sent.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The host has no address.
    #[error("--url {url}: {source}")]
    Address {
        /// The URL.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// Every request would count as lost.
    #[error(
        "--url {url} answers with {status}, which does not count as success: name a path that answers, or what counts with --expect"
    )]
    Status {
        /// The URL.
        url: String,
        /// What it answers with.
        status: u16,
    },
}

/// Requests on their way.
pub(super) struct Probe {
    source: Source,
    heard: Arc<Heard>,
    /// What is wrong with the first answer, should the rest be as it.
    pub(super) trouble: Option<String>,
}

/// Where they come from.
enum Source {
    /// This process.
    Here(Sending, Mix),
    /// A Job in the cluster.
    Inside(Box<Inside>),
}

/// What was heard so far.
#[derive(Default)]
pub(super) struct Heard {
    recorder: Recorder,
    since: Mutex<Since>,
}

/// Since the last time that anybody asked.
#[derive(Default)]
struct Since {
    requests: u64,
    lost: BTreeMap<Outcome, u64>,
}

/// What was sent, and what became of it.
pub(super) struct Sent {
    /// By stream.
    pub(super) streams: Vec<Tally>,
    pub(super) recorder: Recorder,
    pub(super) mix: Mix,
    /// By how much their times can be wrong, in seconds.
    pub(super) uncertainty: Option<f64>,
}

impl ProbePlan {
    /// What is going to be sent, for whoever is asked to bear it.
    pub(super) fn announcement(&self) -> String {
        format!("{:.0} requests/s to {}: {}", self.mix.rate(), self.url, self.mix)
    }
}

impl Probe {
    /// Begins to send, and looks at the first answer.
    pub(super) async fn start(plan: ProbePlan, timeline: &Timeline) -> Result<Self, ProbeError> {
        let ProbePlan { url, target, mix } = plan;
        let resolved = target.resolve().await;
        let resolved =
            resolved.map_err(|source| ProbeError::Address { url: url.clone(), source })?;
        raise_file_limit();
        let heard = Arc::new(Heard::default());
        let (sender, first) = oneshot::channel();
        let mut sender = Some(sender);
        let (hearing, pods) = (Arc::clone(&heard), timeline.clone());
        let sending = Sending::start(&mix, Arc::new(resolved), timeline, |engine| {
            engine.authority(target.authority).on_attempt(move |mut attempt| {
                if let Some(sender) = sender.take() {
                    // Nobody waits any more.
                    let _ = sender.send(attempt.clone());
                }
                // What is between here and the pods is not known: an answer only speaks for itself.
                place(&mut attempt, &pods, false);
                hearing.hear(attempt);
            })
        });
        let first = tokio::time::timeout(FIRST_WITHIN, first).await;
        let trouble = match first.map(Result::ok) {
            Ok(Some(Attempt { outcome: Outcome::Status(status), .. })) => {
                return Err(ProbeError::Status { url, status });
            }
            Ok(Some(attempt)) if attempt.outcome.is_lost() => Some(attempt.outcome.to_string()),
            Ok(_) => None,
            Err(_) => Some(format!("no answer within {} s", FIRST_WITHIN.as_secs())),
        };
        let trouble = trouble.map(|what| format!("the first request to {url} was lost: {what}"));
        Ok(Self { source: Source::Here(sending, mix), heard, trouble })
    }

    /// The same from inside the cluster.
    pub(super) async fn inside(
        plan: InsidePlan,
        scene: &Scene,
        timeline: &Timeline,
    ) -> Result<Self, KubernetesError> {
        let heard = Arc::new(Heard::default());
        let inside = Inside::start(plan, scene, Arc::clone(&heard), timeline).await?;
        Ok(Self { source: Source::Inside(Box::new(inside)), heard, trouble: None })
    }

    /// What was lost since this was last asked, if anything was: what to call it, and the rest.
    pub(super) fn lost_since(&self) -> Option<(String, String)> {
        let Since { requests, lost } = std::mem::take(&mut *lock(&self.heard.since));
        let all: u64 = lost.values().sum();
        if all == 0 {
            return None;
        }
        let each: Vec<_> = lost.iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
        Some(("lost".to_owned(), format!("{all} of {requests}: {}", each.join(", "))))
    }

    /// Whether it may take a while until everything is answered: something is lost, or slow.
    pub(super) fn outstanding(&self) -> bool {
        self.heard.recorder.counts().lost > 0
    }

    /// Returns when nothing is sent any more although nobody stopped it.
    pub(super) async fn failed(&mut self) -> Failure {
        match &mut self.source {
            Source::Here(sending, _) => sending.failed().await,
            Source::Inside(inside) => inside.failed().await.into(),
        }
    }

    /// Stops, and waits for outstanding answers.
    pub(super) async fn stop(self, timeline: &Timeline) -> Result<Sent, Failure> {
        let Self { source, heard, .. } = self;
        match source {
            Source::Here(sending, mix) => {
                let LoadReport { streams, .. } = sending.stop().await?;
                // The engine's thread has ended, and with it the other owner.
                let heard = Arc::into_inner(heard);
                let recorder = heard.map(|heard| heard.recorder).unwrap_or_default();
                Ok(Sent { streams, recorder, mix, uncertainty: Some(0.0) })
            }
            Source::Inside(inside) => {
                let (stopped, streams, recorder, mix) = inside.stop(timeline).await?;
                Ok(Sent { streams, recorder, mix, uncertainty: stopped.offset.uncertainty() })
            }
        }
    }
}

impl Heard {
    pub(super) fn hear(&self, attempt: Attempt) {
        {
            let since = &mut *lock(&self.since);
            since.requests += 1;
            if attempt.outcome.is_lost() {
                *since.lost.entry(attempt.outcome).or_default() += 1;
            }
        }
        self.recorder.add(attempt);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
