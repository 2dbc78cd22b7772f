//! Lost requests, each with its cause and with what the proxy believed then, and what they add
//! up to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use websample_load::{Attempt, Outcome};

use super::{
    causes::{Cause, explain_with},
    timeline::{PodState, Timeline},
    unseen::explain_unseen,
};

/// A lost request, explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Seconds from the start of the run to its failure.
    pub at: f64,
    /// Seconds from the start of the run to its sending.
    pub sent: f64,
    /// The stream's name.
    pub stream: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The pod it went to.
    pub pod: Option<Arc<str>>,
    /// Seconds from the pod's deletion to the failure.
    pub after_deletion: Option<f64>,
    /// Seconds from the pod's SIGTERM to the failure.
    pub after_sigterm: Option<f64>,
    /// Whether the proxy still sent new connections to the pod when the request was sent; `None`
    /// where no pod is known, on a cluster whose proxies do not tell, and in reports from before this was kept.
    #[serde(default)]
    pub routed: Option<bool>,
    /// Why.
    pub cause: Cause,
}

impl Loss {
    /// Explains a lost attempt.
    pub fn new(attempt: &Attempt, stream: &Arc<str>, timeline: &Timeline, consumer: &str) -> Self {
        let (cause, state) = explain_with(attempt, timeline);
        let pod = attempt.proxied.and_then(|proxied| proxied.upstream).or(attempt.peer);
        let routed = |_: &PodState| Some(timeline.in_table(consumer, pod?, attempt.sent));
        let routed = state.as_ref().and_then(routed);
        Self::of(attempt, stream, cause, state.as_ref(), routed)
    }

    /// The same on a cluster whose proxies keep to themselves what they believe, and which pod a
    /// connection went to. `exact` says which pods have told themselves when they ended.
    pub fn on_cluster(
        attempt: &Attempt,
        stream: &Arc<str>,
        timeline: &Timeline,
        exact: impl Fn(&str) -> bool,
    ) -> Self {
        let (cause, state) = match attempt.peer {
            Some(_) => explain_with(attempt, timeline),
            None => timeline.read(|pods| explain_unseen(attempt, pods, exact)),
        };
        Self::of(attempt, stream, cause, state.as_ref(), None)
    }

    fn of(
        attempt: &Attempt,
        stream: &Arc<str>,
        cause: Cause,
        state: Option<&PodState>,
        routed: Option<bool>,
    ) -> Self {
        let since =
            |event: Option<Duration>| Some(attempt.finished.as_secs_f64() - event?.as_secs_f64());
        Self {
            at: attempt.finished.as_secs_f64(),
            sent: attempt.sent.as_secs_f64(),
            stream: Arc::clone(stream),
            outcome: attempt.outcome,
            pod: state.map(|state| Arc::clone(&state.pod)),
            after_deletion: state.and_then(|state| since(state.deleted)),
            after_sigterm: state.and_then(|state| since(state.sigterm)),
            routed,
            cause,
        }
    }
}

/// Losses by cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseCount {
    /// Why.
    pub cause: Cause,
    /// How many.
    pub count: u64,
    /// How each of them ended.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// The latest of them came this many seconds after its pod's SIGTERM: was sent then, where
    /// that decided it, else failed.
    pub latest_after_sigterm: Option<f64>,
}

/// Adds all losses up by cause, the most frequent first. Those that were counted and not kept, beyond
/// what anybody looks at one by one, have no cause that was seen.
pub fn count_all(losses: &[Loss], all: &BTreeMap<Outcome, u64>) -> Vec<CauseCount> {
    let mut counts = count(losses);
    let mut rest: BTreeMap<Outcome, u64> =
        all.iter().filter(|(outcome, _)| outcome.is_lost()).map(|(o, n)| (*o, *n)).collect();
    for loss in losses {
        if let Some(left) = rest.get_mut(&loss.outcome) {
            *left = left.saturating_sub(1);
        }
    }
    rest.retain(|_, left| *left > 0);
    if rest.is_empty() {
        return counts;
    }
    let index = counts.iter().position(|count| count.cause == Cause::Unexplained);
    let index = index.unwrap_or_else(|| {
        counts.push(CauseCount::none(Cause::Unexplained));
        counts.len() - 1
    });
    for (outcome, left) in rest {
        counts[index].count += left;
        *counts[index].outcomes.entry(outcome).or_default() += left;
    }
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts
}

impl CauseCount {
    fn none(cause: Cause) -> Self {
        Self { cause, count: 0, outcomes: BTreeMap::new(), latest_after_sigterm: None }
    }
}

/// Adds losses up by cause, the most frequent first.
pub fn count(losses: &[Loss]) -> Vec<CauseCount> {
    let mut counts: Vec<CauseCount> = Vec::new();
    for loss in losses {
        let index = counts.iter().position(|c| c.cause == loss.cause).unwrap_or_else(|| {
            counts.push(CauseCount::none(loss.cause));
            counts.len() - 1
        });
        let count = &mut counts[index];
        count.count += 1;
        *count.outcomes.entry(loss.outcome).or_default() += 1;
        let waited = if loss.cause.is_misdirected() { loss.at - loss.sent } else { 0.0 };
        let after = loss.after_sigterm.map(|after| after - waited);
        let latest = count.latest_after_sigterm;
        count.latest_after_sigterm =
            after.map(|after| latest.map_or(after, |latest| latest.max(after))).or(latest);
    }
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_add_up_to_what_was_lost_however_much_was_kept() {
        let loss = Loss {
            at: 1.0,
            sent: 0.5,
            stream: "s".into(),
            outcome: Outcome::Refused,
            pod: None,
            after_deletion: None,
            after_sigterm: None,
            routed: None,
            cause: Cause::ClosedListener,
        };
        let all = BTreeMap::from([(Outcome::Ok, 9), (Outcome::Refused, 5), (Outcome::Reset, 2)]);
        let counts = count_all(&[loss.clone(), loss.clone()], &all);
        let by_cause: Vec<_> = counts.iter().map(|count| (count.cause, count.count)).collect();
        assert_eq!(by_cause, [(Cause::Unexplained, 5), (Cause::ClosedListener, 2)]);
        assert_eq!(
            counts[0].outcomes,
            BTreeMap::from([(Outcome::Refused, 3), (Outcome::Reset, 2)])
        );
        assert_eq!(count_all(&[loss], &BTreeMap::from([(Outcome::Refused, 1)])).len(), 1);
    }

    #[test]
    fn a_lost_request_counts_from_its_sending_where_that_decided_it() {
        let loss = |cause, sent: f64, at: f64| Loss {
            at,
            sent,
            stream: "s".into(),
            outcome: Outcome::ConnectTimeout,
            pod: None,
            after_deletion: None,
            // SIGTERM came at 10.
            after_sigterm: Some(at - 10.0),
            routed: Some(true),
            cause,
        };
        let counts = count(&[
            loss(Cause::GoneAddress, 10.8, 15.8),
            loss(Cause::GoneAddress, 10.5, 15.5),
            loss(Cause::CutAtKill, 12.0, 40.0),
        ]);
        let latest = counts.iter().map(|count| count.latest_after_sigterm.unwrap_or_default());
        let latest: Vec<_> = latest.map(|seconds| (seconds * 10.0).round()).collect();
        assert_eq!(latest, [8.0, 300.0], "{counts:?}");
    }
}
