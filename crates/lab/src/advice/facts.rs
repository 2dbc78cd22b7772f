//! What was measured, as far as a manifest can have to do with it.

use std::time::Duration;

use websample_kubernetes::propagation::PROXY;
use websample_load::Outcome;
use websample_manifest::Told;

use crate::{
    causes::Cause,
    losses::Loss,
    report::RunReport,
    timeline::{PodRecord, What},
};

/// A request that took longer is not waited for by a hook: no rule would ask for such a grace period.
const LONGEST: Duration = Duration::from_secs(60);
/// A new pod's failures come this soon after it was published.
const NEW: f64 = 30.0;
/// A process that lives so much longer after SIGTERM than its requests take does not end by itself.
const TO_END: Duration = Duration::from_secs(2);

/// What of a run somebody's rollout is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// What came until then was there before.
    pub(crate) from: Duration,
    /// Whether the rollout made no progress.
    pub(crate) stuck: bool,
}

/// What was measured.
pub(super) struct Facts<'a> {
    pub(super) run: &'a RunReport,
    pub(super) scope: Scope,
    /// Pods that were deleted meanwhile, and whose process ended or whose object is gone.
    pub(super) ended: Vec<&'a PodRecord>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(run: &'a RunReport, scope: Scope) -> Self {
        let after = |pod: &PodRecord, wanted: fn(&What) -> bool| {
            pod.events.iter().any(|event| event.at > scope.from && wanted(&event.what))
        };
        let ended = |pod: &&PodRecord| {
            pod.first(|what| *what == What::Deleted).is_some()
                && after(pod, |what| matches!(what, What::Exited(_) | What::Removed))
        };
        Self { run, scope, ended: run.pods.iter().filter(ended).collect() }
    }

    /// What the check is told of what it cannot know.
    pub(super) fn told(&self) -> Told {
        let sending = self.sending();
        // A program that ends with its requests in flight needs a hook that outlasts them too.
        let cut = self.longest_of(Cause::CutAtExit);
        let sending = match cut {
            Some(cut) => Some(sending.unwrap_or(PROXY).max(PROXY) + cut),
            None => sending,
        };
        let drain = self.longest_of(Cause::CutAtKill).filter(|_| !self.ignores_sigterm());
        Told { delay: None, drain, sending }
    }

    /// How long after its deletion a pod was still sent to, as far as what was lost shows it.
    pub(super) fn sending(&self) -> Option<Duration> {
        let misdirected = |loss: &&Loss| {
            loss.cause.root() == Cause::StaleEndpoint || loss.cause == Cause::RefusedByLeavingPod
        };
        let losses = self.run.losses.iter().filter(misdirected);
        let after = losses.filter_map(|loss| Some(loss.after_deletion? - (loss.at - loss.sent)));
        let latest = after.fold(0.0, f64::max);
        Duration::try_from_secs_f64(latest).ok().filter(|latest| !latest.is_zero())
    }

    /// How long requests take of which some were cut in this way, at least.
    fn longest_of(&self, cause: Cause) -> Option<Duration> {
        let losses = self.run.losses.iter().filter(|loss| loss.cause == cause);
        let cut = losses.map(|loss| loss.at - loss.sent).reduce(f64::max)?;
        let seconds = cut.max(self.run.latency_ms.p99 / 1e3);
        Duration::try_from_secs_f64(seconds).ok().map(|longest| longest.min(LONGEST))
    }

    /// Whether a pod that was killed had gone on after SIGTERM for longer than its requests take.
    pub(super) fn ignores_sigterm(&self) -> bool {
        let longest = self.longest_of(Cause::CutAtKill).unwrap_or_default();
        self.killed().any(|pod| {
            let sigterm = pod.first(|what| *what == What::Sigterm);
            let sigkill = pod.first(|what| *what == What::Sigkill);
            let lived = sigterm.zip(sigkill).map(|(term, kill)| kill.saturating_sub(term));
            lived.is_some_and(|lived| lived > longest + TO_END)
        })
    }

    pub(super) fn killed(&self) -> impl Iterator<Item = &'a PodRecord> {
        self.ended.iter().copied().filter(|pod| pod.killed())
    }

    /// Pods of which this was seen.
    pub(super) fn pods(&self, wanted: impl Fn(&What) -> bool) -> usize {
        let seen = |pod: &&PodRecord| {
            pod.events.iter().any(|event| event.at > self.scope.from && wanted(&event.what))
        };
        self.run.pods.iter().filter(seen).count()
    }

    /// Requests that were lost for one of these causes, whatever several of them have in common.
    pub(super) fn lost(&self, causes: &[Cause]) -> u64 {
        let wanted = |cause: Cause| causes.contains(&cause) || causes.contains(&cause.root());
        let counts = self.run.causes.iter().filter(|count| wanted(count.cause));
        counts.map(|count| count.count).sum()
    }

    /// Requests that failed in the first time of a pod that was not asked to leave.
    pub(super) fn lost_to_new(&self) -> usize {
        let published = self.run.pods.iter().filter_map(|pod| {
            let ready = |what: &What| matches!(what, What::EndpointChanged(c) if c.ready());
            pod.first(ready).filter(|at| *at > self.scope.from).map(|at| at.as_secs_f64())
        });
        let published: Vec<f64> = published.collect();
        let is_new = |at: f64| published.iter().any(|since| (*since..*since + NEW).contains(&at));
        let failed = |loss: &&Loss| {
            matches!(loss.cause, Cause::Unexplained | Cause::ErrorStatus | Cause::Proxy)
                && loss.outcome != Outcome::Abandoned
        };
        self.run.losses.iter().filter(failed).filter(|loss| is_new(loss.sent)).count()
    }

    /// How many pods were ready at the beginning, and how few at the least.
    pub(super) fn fewest_ready(&self) -> (usize, usize) {
        let mut changes: Vec<(Duration, usize, bool)> = Vec::new();
        for (index, pod) in self.run.pods.iter().enumerate() {
            changes.extend(pod.events.iter().filter_map(|event| match event.what {
                What::Ready => Some((event.at, index, true)),
                What::NotReady | What::Deleted | What::Exited(_) | What::Removed => {
                    Some((event.at, index, false))
                }
                _ => None,
            }));
        }
        changes.sort_by_key(|(at, ..)| *at);
        let mut ready = vec![false; self.run.pods.len()];
        let count = |ready: &[bool]| ready.iter().filter(|ready| **ready).count();
        let (before, later) =
            changes.split_at(changes.partition_point(|(at, ..)| *at <= self.scope.from));
        for (_, index, now) in before {
            ready[*index] = *now;
        }
        let first = count(&ready);
        let mut fewest = first;
        for batch in later.chunk_by(|a, b| a.0 == b.0) {
            for (_, index, now) in batch {
                ready[*index] = *now;
            }
            fewest = fewest.min(count(&ready));
        }
        (first, fewest)
    }
}
