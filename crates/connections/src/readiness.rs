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
//! still come when they should have moved away, if there are so many that none for
//! [`Delay::quiet`] means something. Then [`OnDrain::Auto`] lets the kubelet's answer hold as long as there
//! is time left to fail it and to be taken out before the lame duck ends.

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

/// Requests in [`Delay::quiet`] by which it is no chance that none comes for so long: where they come
/// independently, that is one chance in nine million.
const DENSE: u32 = 16;

/// Gaps remembered: while a container is not ready, the kubelet also asks between its periods, so the
/// longest counts.
const REMEMBERED: usize = 4;

/// What readiness answers once a termination has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDrain {
    /// 503.
    Fail,
    /// 200 still: for a Service that falls back to terminating pods when no other is left.
    Keep,
    /// 503, but 200 to the kubelet while many requests come and there is time to take the pod out before
    /// the lame duck is over at the latest: three probe periods, as they were seen, and [`Delay::min`] and
    /// [`Delay::quiet`] before [`Delay::max`].
    #[default]
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
    last: Option<Ask>,
    gaps: VecDeque<Duration>,
}

/// One of its probes.
#[derive(Debug, Clone, Copy)]
struct Ask {
    at: Instant,
    /// Requests that had come by then.
    arrivals: u64,
}

/// What the kubelet's probes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// How often it asks.
    period: Duration,
    /// From the probe before to this one.
    gap: Duration,
    /// Requests that came meanwhile.
    arrivals: u64,
}

impl Kubelet {
    /// Notes a probe; what is known since there was one before.
    fn asked(&mut self, ask: Ask) -> Option<Seen> {
        let last = self.last.replace(ask)?;
        let gap = ask.at.saturating_duration_since(last.at);
        if self.gaps.len() == REMEMBERED {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
        let period = self.gaps.iter().max().copied().unwrap_or(gap);
        Some(Seen { period, gap, arrivals: ask.arrivals.saturating_sub(last.arrivals) })
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
        let seen = self.seen(lifecycle, call, now);
        match (phase, self.on_drain) {
            (phase, _) if phase.is_ready() => true,
            // Whoever asks for the address by a connection that is still open means the other process.
            _ if lifecycle.is_handed_over() => true,
            (Phase::LameDuck, OnDrain::Keep) => true,
            (Phase::LameDuck, OnDrain::Auto) => {
                let began = lifecycle.subscribe().borrow().at;
                let since = now.saturating_duration_since(began);
                seen.is_some_and(|seen| holds(since, seen, &lifecycle.policy().delay))
            }
            _ => false,
        }
    }

    /// What the kubelet's probes tell, where it is the kubelet that asks and anybody wants to know.
    fn seen(&self, lifecycle: &Lifecycle, call: &impl Call, at: Instant) -> Option<Seen> {
        if self.on_drain != OnDrain::Auto || !call.header("user-agent")?.starts_with(KUBELET) {
            return None;
        }
        let arrivals = &lifecycle.in_flight().arrivals;
        let arrivals = Phase::ALL.map(|phase| arrivals.in_phase(phase)).iter().sum();
        let mut kubelet = self.kubelet.lock().unwrap_or_else(PoisonError::into_inner);
        kubelet.asked(Ask { at, arrivals })
    }
}

/// Whether many requests come, and, so long after the start of the lame duck, there is time left to take
/// the pod out later.
fn holds(since: Duration, seen: Seen, delay: &Delay) -> bool {
    let failed = seen.period.saturating_mul(FAILURE_THRESHOLD);
    // delay.min is how long the proxies take; then it is quiet before the listeners close.
    let out = failed.saturating_add(delay.min).saturating_add(delay.quiet);
    let arrivals = u32::try_from(seen.arrivals).unwrap_or(u32::MAX);
    let dense = delay.quiet.saturating_mul(arrivals) >= seen.gap.saturating_mul(DENSE);
    dense && arrivals > 0 && since.saturating_add(out) < delay.max
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn seen(period: u64, arrivals: u64) -> Seen {
        Seen { period: s(period), gap: s(period), arrivals }
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
            let holds = holds(s(since), seen(period, 1_000), &delay);
            assert_eq!(holds, expected, "{since} s, every {period} s");
        }
        assert!(!holds(Duration::MAX, seen(u64::MAX, 1), &delay));
        let fixed = Delay { min: s(5), quiet: s(1), max: s(5) };
        assert!(!holds(s(0), seen(1, 1_000), &fixed), "a delay that is never longer");
    }

    #[test]
    fn it_holds_only_while_a_pause_is_no_chance() {
        let delay = Delay { min: s(5), quiet: s(1), max: s(15) };
        for (arrivals, expected) in [(0, false), (15, false), (16, true), (u64::MAX, true)] {
            assert_eq!(holds(s(0), seen(1, arrivals), &delay), expected, "{arrivals} in a second");
        }
        let quick = Delay { quiet: s(0), ..delay };
        assert!(!holds(s(0), seen(1, 1_000_000), &quick), "no pause says anything");
    }

    #[test]
    fn the_longest_of_the_last_gaps_counts() {
        let start = Instant::now();
        let mut kubelet = Kubelet::default();
        let mut longest = Vec::new();
        for at in [0, 1, 2, 12, 13, 14, 15, 16] {
            let seen = kubelet.asked(Ask { at: start + s(at), arrivals: 10 * at });
            longest.push(seen.map(|seen| seen.period.as_secs()));
            assert!(seen.is_none_or(|seen| seen.arrivals == 10 * seen.gap.as_secs()));
        }
        let expected = [None, Some(1), Some(1), Some(10), Some(10), Some(10), Some(10), Some(1)];
        assert_eq!(longest, expected);
    }
}
