//! Losses that nobody promised to avoid, each by the condition that was not met: docs/promise.md.
//!
//! Where it can be, a condition is held against what happened, and not against what was drawn: on a busy
//! machine a proxy may move later than it was to.

use std::time::Duration;

use websample_kubernetes::Fenceposts;
use websample_lab::{
    causes::Cause,
    cluster::local::{PreStop, Propagation},
    disruption::Disruption,
    gate,
    losses::Loss,
    report::RunReport,
    timeline::{PodRecord, What},
};
use websample_load::{Mix, Outcome, Protocol, StreamSpec};

use super::{
    judge::{longest_request, sleep_of},
    run::Ran,
    trial::{Trial, Unexpected},
};

/// In seconds: a WebSocket whose peer is silent for so long is told to leave.
const SILENT: f64 = 0.1;

/// In seconds: a SYN without an answer is sent again.
const SYN_AGAIN: f64 = 1.0;

/// In seconds: no request of a load that is sent in time is lost so slowly.
const SLOW: f64 = 1.0;

/// Why a loss is not covered by the promise; `None` if it is.
pub(super) fn excuse(loss: &Loss, trial: &Trial, run: &RunReport, ran: &Ran) -> Option<String> {
    // Nobody promises to answer in time where nothing has a processor; and a head that its client, or a
    // proxy, could not send within limits.header_timeout is late.
    let late = gate::invalid(std::slice::from_ref(run)).is_some();
    let slow = (late && loss.at - loss.sent > SLOW)
        .then(|| format!("slow, in a rollout whose load was late ({})", loss.cause.name()));
    unmet(loss, trial, run, ran).map(str::to_owned).or(slow)
}

/// The condition that was not met.
fn unmet(loss: &Loss, trial: &Trial, run: &RunReport, ran: &Ran) -> Option<&'static str> {
    let pod = run.pods.iter().find(|pod| Some(&pod.name) == loss.pod.as_ref());
    let stream = stream(loss, trial);
    let told = loss.pod.as_ref().is_some_and(|name| ran.told.iter().any(|told| **told == **name));
    // It promises nothing; on a busy machine the lab hears of a process's end after its clients do, and
    // takes it for another cause.
    if trial.event == Disruption::Crash {
        return Some("a crash");
    }
    // Nobody rejects its first SYN, and a second later, or two, another finds an endpoint that goes at once.
    let waited = loss.outcome == Outcome::Refused && loss.at - loss.sent >= SYN_AGAIN;
    match if waited { Cause::NoEndpoint } else { loss.cause } {
        Cause::NoEndpoint if may_be_without(trial) => return Some("no pod was there"),
        Cause::NoEndpoint if run.pods.iter().any(timed_out) => {
            return Some("no pod was there: a probe got no answer in time");
        }
        // The proxy's own words for it.
        Cause::Proxy if may_be_without(trial) => return Some("no pod was there"),
        // Of a pod that somebody else has told to go the lab does not know that it is leaving.
        Cause::RefusedByLeavingPod | Cause::ErrorStatus
            if stream.as_ref().is_some_and(|stream| stream.protocol == Protocol::WebSocket)
                && loss.outcome == Outcome::Status(503) =>
        {
            return Some("a WebSocket sent elsewhere");
        }
        Cause::CutAtExit
            if stream.as_ref().is_some_and(|stream| stream.protocol == Protocol::WebSocket)
                && loss.at - loss.sent > SILENT =>
        {
            return Some("a WebSocket whose client was silent before its close");
        }
        Cause::IdleClosed | Cause::CutAtExit
            if loss.outcome == Outcome::ResetReused
                && stream.as_ref().is_some_and(|stream| idles(stream, trial, run)) =>
        {
            return Some("an idle connection, used first after delay.min");
        }
        Cause::CutAtDeadline | Cause::CutAtKill if !fits(trial) => {
            return Some("a request longer than the deadline");
        }
        Cause::CutAtKill if trial.event == Disruption::NodeShutdown => {
            return Some("a node that gave less than the grace period");
        }
        // Envoy keeps connections that it has opened and not used, and they are closed after
        // limits.header_timeout, in a drain or not.
        Cause::IdleClosed if trial.through.is_some() && loss.after_deletion.is_none() => {
            return Some("a proxy used an idle connection as it was closed");
        }
        Cause::ProxyClosed => return Some("the proxy closed its client's connection"),
        _ => {}
    }
    let pod = pod?;
    if told && forced(pod) {
        return Some("a signal in draining forced the exit");
    }
    if told && !moves_by_readiness(trial) {
        return Some("told by nobody of the cluster, whose probe was slower than delay.min");
    }
    if trial.event == Disruption::NodeShutdown && trial.on_drain != "fail" {
        return Some("a kubelet that took the node controller's word back");
    }
    let stays = matches!(trial.event, Disruption::Liveness | Disruption::NodeShutdown);
    if stays && !moves_by_readiness(trial) {
        return Some("a probe slower than delay.min");
    }
    // SIGTERM within 3 s of a hook's answer shares the hook's clock.
    if told && trial.signal.is_some_and(|signal| signal.what == Unexpected::Hook) {
        return Some("a stray hook");
    }
    moved_late(pod, trial, loss).then_some("the proxy moved after delay.min")
}

/// Whether a readiness probe of a pod timed out, which on a busy machine takes it out.
fn timed_out(pod: &PodRecord) -> bool {
    pod.events.iter().any(|event| match &event.what {
        What::ProbeFailed { probe, reason } => {
            *probe == "readiness" && reason.starts_with("no answer within")
        }
        _ => false,
    })
}

/// Whether a pod's process ended by a signal that forced it.
pub(super) fn forced(pod: &PodRecord) -> bool {
    pod.exit().is_some_and(|exit| matches!(exit.status(), 130 | 143))
}

/// Whether there may be a time without any pod that serves.
pub(super) fn may_be_without(trial: &Trial) -> bool {
    let replicas = i64::from(trial.replicas);
    let least = match trial.event {
        Disruption::Recreate | Disruption::ScaleToZeroAndBack | Disruption::DeleteAll => 0,
        Disruption::Update | Disruption::Restart | Disruption::Rollback => {
            let parse = |text: &str| text.parse().expect("a number or a percentage");
            let (surge, unavailable) = (parse(&trial.surge), parse(&trial.unavailable));
            let bounds = Fenceposts::resolve(trial.replicas, surge, unavailable);
            i64::from(bounds.min_available())
        }
        Disruption::ScaleIn => (replicas + 1) / 2,
        Disruption::NodeShutdown => replicas / 2,
        _ => replicas - 1,
    };
    // Whom a signal nobody expects takes out comes on top.
    least - i64::from(trial.signal.is_some()) <= 0
}

/// Whether the longest request has time enough between the lame duck and the deadline.
pub(super) fn fits(trial: &Trial) -> bool {
    let ms = Duration::from_millis;
    let grace = Duration::from_secs(trial.grace).saturating_sub(sleep_of(&trial.pre_stop));
    let delay = ms(trial.delay_max_ms) + ms(trial.close_spread_ms) + ms(trial.margin_ms);
    delay + longest_request(&trial.mix) < grace
}

/// Whether a pod that fails its readiness is out of the proxy's table within `delay.min`.
fn moves_by_readiness(trial: &Trial) -> bool {
    let seen = trial.probe_period_ms * u64::from(trial.failure_threshold + 1);
    trial.on_drain != "keep"
        && moves_within(trial).saturating_add(Duration::from_millis(seen))
            < Duration::from_millis(trial.delay_min_ms)
}

/// How long the proxy takes at most, as it was drawn.
fn moves_within(trial: &Trial) -> Duration {
    match trial.propagation.parse() {
        Ok(Propagation::Proxy) => Duration::from_millis(1_200),
        Ok(Propagation::Ingress) => Duration::from_millis(4_400),
        Ok(Propagation::Range(range)) => range.end,
        _ => Duration::MAX,
    }
}

/// The stream of a loss.
fn stream(loss: &Loss, trial: &Trial) -> Option<StreamSpec> {
    let mix: Mix = trial.mix.join(", ").parse().ok()?;
    mix.streams().iter().find(|stream| stream.name() == *loss.stream).cloned()
}

/// Whether a connection of the stream may be used first after `delay.min`: the load uses each in its turn.
fn idles(stream: &StreamSpec, trial: &Trial, run: &RunReport) -> bool {
    let round = stream.connections as f64 / stream.rate;
    let late = (run.send_delay_ms.max + run.latency_ms.p99) / 1e3;
    stream.protocol == Protocol::KeepAlive && 2.0 * round + late >= trial.delay_min_ms as f64 / 1e3
}

/// Whether the proxy sent to the pod when `delay.min` of its termination was over.
fn moved_late(pod: &PodRecord, trial: &Trial, loss: &Loss) -> bool {
    let least = Duration::from_millis(trial.delay_min_ms);
    let sent = Duration::from_secs_f64(loss.sent);
    let hooked = matches!(trial.pre_stop.parse(), Ok(PreStop::Http { .. }));
    let begins = |what: &What| match what {
        What::HookCalled => hooked,
        What::Sigterm => !hooked,
        _ => false,
    };
    let mut began = pod.events.iter().filter(|event| begins(&event.what) && event.at <= sent);
    let Some(began) = began.next_back() else { return false };
    // Of a pod that has just come, it may also have heard so late.
    let over = began.at + least;
    pod.routed_anywhere_at(over) || (loss.routed == Some(true) && sent >= over)
}

/// What the record of a pod is asked besides.
trait Routed {
    /// Whether any consumer that had it in its table at this time still has.
    fn routed_anywhere_at(&self, at: Duration) -> bool;
}

impl Routed for PodRecord {
    fn routed_anywhere_at(&self, at: Duration) -> bool {
        let consumers = self.events.iter().filter_map(|event| match &event.what {
            What::ProxyChanged { consumer, .. } => Some(consumer),
            _ => None,
        });
        consumers.into_iter().any(|consumer| self.routed_by(consumer, at))
    }
}
