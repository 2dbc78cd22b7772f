//! What readiness answers once a termination has begun.
//!
//! It is a question of who asks. A load balancer that asks by itself has no other sign: it is told at
//! once. The kubelet's answer becomes the `serving` condition of the endpoint, and Kubernetes knows of a
//! deletion without it; of two other cases it does not:
//!
//! - All pods of a Service go. kube-proxy falls back to endpoints that terminate, as long as they are
//!   serving, so that readiness had better hold until new pods are there.
//! - A container is killed for its liveness probe. Its pod stays an endpoint, so that only readiness can
//!   take it out before its listener closes.
//!
//! A server cannot tell one from the other: both begin with the hook and SIGTERM. It sees that requests
//! still come when they should have moved away. [`OnDrain::Auto`] lets the kubelet's answer hold as long
//! as there is time left to fail it and to be taken out before the lame duck ends.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use websample_lifecycle::{Delay, Lifecycle, Phase};

use super::hook::Call;

/// How the kubelet's probes begin to name themselves (kubernetes/pkg/probe/http).
const KUBELET: &[u8] = b"kube-probe/";

/// So many failed probes in a row take a pod out, by Kubernetes' default.
const FAILURE_THRESHOLD: u32 = 3;

/// Gaps remembered: while a container is not ready, the kubelet also asks between its periods, so the
/// longest counts.
const REMEMBERED: usize = 4;

/// What readiness answers once a termination has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDrain {
    /// 503.
    #[default]
    Fail,
    /// 200 still: for a Service that falls back to terminating pods when no other is left.
    Keep,
    /// 503, but 200 to the kubelet for as long as there is time to take the pod out before the lame
    /// duck is over at the latest: three probe periods, as they were seen, and
    /// [`Delay::min`] and [`Delay::quiet`] before [`Delay::max`].
    Auto,
}

/// Answers for readiness.
#[derive(Debug, Clone)]
pub struct Readiness {
    on_drain: OnDrain,
    kubelet: Arc<Mutex<Kubelet>>,
}

/// When the kubelet has asked.
#[derive(Debug, Default)]
struct Kubelet {
    last: Option<Instant>,
    gaps: VecDeque<Duration>,
}

impl Kubelet {
    fn asked(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            if self.gaps.len() == REMEMBERED {
                self.gaps.pop_front();
            }
            self.gaps.push_back(now.saturating_duration_since(last));
        }
    }
}

impl Readiness {
    /// Readiness that nobody has asked for yet.
    pub fn new(on_drain: OnDrain) -> Self {
        Self { on_drain, kubelet: Arc::default() }
    }

    /// Whether the caller is to be told, in this phase, that requests may be sent here.
    pub(super) fn is_ready(&self, phase: Phase, lifecycle: &Lifecycle, call: &impl Call) -> bool {
        let now = Instant::now();
        let period = self.period(call, now);
        match (phase, self.on_drain) {
            (phase, _) if phase.is_ready() => true,
            (Phase::LameDuck, OnDrain::Keep) => true,
            (Phase::LameDuck, OnDrain::Auto) => {
                let began = lifecycle.subscribe().borrow().at;
                let since = now.saturating_duration_since(began);
                period.is_some_and(|period| holds(since, period, &lifecycle.policy().delay))
            }
            _ => false,
        }
    }

    /// How often the kubelet asks, where it is the kubelet that does and anybody wants to know.
    fn period(&self, call: &impl Call, now: Instant) -> Option<Duration> {
        if self.on_drain != OnDrain::Auto || !call.header("user-agent")?.starts_with(KUBELET) {
            return None;
        }
        let mut kubelet = self.kubelet.lock().unwrap_or_else(PoisonError::into_inner);
        kubelet.asked(now);
        kubelet.gaps.iter().max().copied()
    }
}

/// Whether, so long after the start of the lame duck, there is time left to take the pod out later.
fn holds(since: Duration, period: Duration, delay: &Delay) -> bool {
    let seen = period.saturating_mul(FAILURE_THRESHOLD);
    // delay.min is how long the proxies take; then it is quiet before the listeners close.
    let out = seen.saturating_add(delay.min).saturating_add(delay.quiet);
    since.saturating_add(out) < delay.max
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_holds_while_there_is_time_to_be_taken_out() {
        let delay = Delay { min: s(5), quiet: s(1), max: s(15) };
        for (since, period, expected) in [
            (0, 1, true),
            (5, 1, true),
            (6, 1, false),
            (14, 1, false),
            (0, 2, true),
            (3, 2, false),
            // Kubernetes' default period leaves no time at all.
            (0, 10, false),
        ] {
            assert_eq!(holds(s(since), s(period), &delay), expected, "{since} s, every {period} s");
        }
        assert!(!holds(Duration::MAX, Duration::MAX, &delay));
        let fixed = Delay { min: s(5), quiet: s(1), max: s(5) };
        assert!(!holds(s(0), s(1), &fixed), "a delay that is never longer");
    }

    #[test]
    fn the_longest_of_the_last_gaps_counts() {
        let start = Instant::now();
        let mut kubelet = Kubelet::default();
        let mut longest = Vec::new();
        for at in [0, 1, 2, 12, 13, 14, 15, 16] {
            kubelet.asked(start + s(at));
            longest.push(kubelet.gaps.iter().max().map(Duration::as_secs));
        }
        let expected = [None, Some(1), Some(1), Some(10), Some(10), Some(10), Some(10), Some(1)];
        assert_eq!(longest, expected);
    }
}
