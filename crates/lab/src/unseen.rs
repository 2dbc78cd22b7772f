//! Why a request was lost of which nobody knows where it went.
//!
//! Behind a Service the client sees the Service's address, and a request without an answer names
//! nobody. What is known is which pods were on their way out then, when each stopped and ended, and when
//! the connection failed: a process that ends resets what is in flight at that moment, and not later.
//! Where the loss has the same cause at each pod that it can have met, that is its cause; where the
//! causes differ and have one root, it is that.

use std::time::Duration;

use websample_load::{Attempt, Outcome};

use super::{
    causes::{Cause, EXIT_CUT, NOTICED},
    timeline::{Exit, PodRecord, PodState, What},
};

/// A proxy may send connections to a pod that has been gone for so long: the slowest clouds' delay.
const BELATED: Duration = Duration::from_secs(30);

/// The end of a process is told at most this long after it: a kubelet looks once a second, and then
/// clears its network away.
const TOLD_WITHIN: Duration = Duration::from_millis(2_500);

/// A change is heard of so much later than it was made where a cluster is busy: measured on one of two
/// processors that were.
const HEARD_WITHIN: Duration = Duration::from_millis(300);

/// Whoever waits longer for an answer has been let in.
const QUICK: Duration = Duration::from_millis(100);

/// Explains a lost request with the pods that can have lost it. `exact` says of which pods it is known
/// to the millisecond when they ended, because they said so themselves. The pod comes with it where
/// there was only one.
pub fn explain_unseen(
    attempt: &Attempt,
    pods: &[PodRecord],
    exact: impl Fn(&str) -> bool,
) -> (Cause, Option<PodState>) {
    if is_unserved(attempt, pods) {
        return (Cause::NoEndpoint, None);
    }
    let met = pods.iter().filter_map(|pod| {
        let end = End::of(pod, attempt, exact(&pod.name))?;
        let (cause, sure) = end.explain(attempt)?;
        Some((pod, cause, sure))
    });
    let met: Vec<_> = met.collect();
    // What fits a pod's end in time comes before what is only possible.
    let sure = met.iter().any(|(.., sure)| *sure);
    let met: Vec<_> = met.into_iter().filter(|(.., s)| *s == sure).collect();
    let Some((_, first, _)) = met.first().copied() else {
        return (without_pods(attempt, pods), None);
    };
    let cause = if met.iter().all(|(_, cause, _)| *cause == first) {
        first
    } else if met.iter().all(|(_, cause, _)| cause.root() == first.root()) {
        first.root()
    } else if is_quick(attempt) && met.iter().any(|(_, cause, _)| is_stale(*cause)) {
        // At one pod it would have been in flight at the end, at the other it came too late. A new
        // connection that fails at once was hardly let in.
        Cause::StaleEndpoint
    } else {
        Cause::Unexplained
    };
    let only = match (&met[..], cause) {
        (_, Cause::Unexplained) => None,
        ([(pod, ..)], _) => pod.state_at(attempt.finished + HEARD_WITHIN),
        _ => None,
    };
    (cause, only)
}

/// Whether nothing was published that a proxy could have sent it to: it rejects new connections then,
/// or, where it may not say so more often, leaves them without an answer. Where its own view was older,
/// an endpoint that had gone was met; the root is the same.
fn is_unserved(attempt: &Attempt, pods: &[PodRecord]) -> bool {
    let serves = |pod: &PodRecord| {
        let mut changes = pod.events.iter().rev().filter(|event| event.at <= attempt.sent);
        let last = changes.find_map(|event| match event.what {
            What::EndpointChanged(conditions) => Some(conditions.serving),
            What::Removed => Some(false),
            _ => None,
        });
        last == Some(true)
    };
    // Where no endpoint was ever seen, nothing is known of them.
    let seen =
        |pod: &PodRecord| pod.first(|what| matches!(what, What::EndpointChanged(_))).is_some();
    matches!(attempt.outcome, Outcome::Refused | Outcome::ConnectTimeout)
        && pods.iter().any(seen)
        && !pods.iter().any(serves)
}

fn is_quick(attempt: &Attempt) -> bool {
    attempt.finished.saturating_sub(attempt.sent) < QUICK
}

fn is_stale(cause: Cause) -> bool {
    cause.root() == Cause::StaleEndpoint
}

/// The end of a pod that was on its way out when a request failed, or had just gone.
struct End {
    /// From when on its process may not have accepted any more: SIGTERM, where that is known.
    stopped: Duration,
    /// When its end was told.
    ended: Option<(Duration, Exit)>,
    /// Whether it ended at that moment, or some time before it.
    exact: bool,
    killed: bool,
}

impl End {
    fn of(pod: &PodRecord, attempt: &Attempt, exact: bool) -> Option<Self> {
        let at = attempt.finished + if exact { NOTICED } else { HEARD_WITHIN };
        let before = |found: Option<Duration>| found.filter(|found| *found <= at);
        let left = before(
            pod.first(|what| matches!(what, What::Deleted | What::HookCalled | What::Sigterm)),
        )?;
        let gone = before(pod.first(|what| *what == What::Removed));
        if gone.is_some_and(|gone| gone + BELATED < attempt.sent) {
            return None;
        }
        // Told after the failure, it may still have been before it.
        let ended = pod.events.iter().find_map(|event| match event.what {
            What::Exited(exit) if event.at >= left => Some((event.at, exit)),
            _ => None,
        });
        let hook = pod.first(|what| *what == What::HookCalled).is_some();
        let sigterm = pod.first(|what| *what == What::Sigterm);
        let stopped = match (sigterm, hook) {
            (Some(sigterm), _) => sigterm,
            // Its SIGTERM is still to come, or came at a time that nobody told.
            (None, true) => ended.map_or(left, |(ended, _)| ended.saturating_sub(TOLD_WITHIN)),
            (None, false) => left,
        };
        Some(Self { stopped, ended, exact, killed: pod.killed() })
    }

    /// When its process can have ended: from, to.
    fn window(&self) -> (Duration, Duration) {
        let Some((told, _)) = self.ended else {
            return (self.stopped.saturating_sub(self.slack()), Duration::MAX);
        };
        let early = if self.exact { NOTICED } else { TOLD_WITHIN };
        let from = told.saturating_sub(early);
        // A process that SIGKILL ended had not ended before.
        let from = if self.killed || self.exact { from } else { from.min(self.stopped) };
        (from.saturating_sub(self.slack()), told + NOTICED)
    }

    /// So much later than it happened its beginning may have been heard of.
    fn slack(&self) -> Duration {
        if self.exact { NOTICED } else { HEARD_WITHIN }
    }

    /// Why it lost the request, if it can have; true where that fits its end in time.
    fn explain(&self, attempt: &Attempt) -> Option<(Cause, bool)> {
        let Attempt { sent, finished, outcome, status, .. } = *attempt;
        // To the end of a pod a handshake is a request of which nothing is answered.
        let outcome = match outcome {
            Outcome::TlsReset => Outcome::Reset,
            Outcome::TlsTimeout => Outcome::Timeout,
            outcome => outcome,
        };
        let stopped = finished + self.slack() >= self.stopped;
        let (from, to) = self.window();
        let ending = (from..=to).contains(&finished);
        let dead = self.ended.is_some_and(|(told, _)| told <= sent);
        let quick = is_quick(attempt);
        match outcome {
            // Nobody refuses for a process that lives and listens.
            Outcome::Refused if dead => Some((Cause::DeadPod, true)),
            Outcome::Refused if stopped && self.exact && !self.killed => {
                Some((Cause::ClosedListener, true))
            }
            Outcome::Refused if stopped && !self.killed => Some((Cause::StaleEndpoint, true)),
            Outcome::ConnectTimeout | Outcome::Timeout if status.is_none() => {
                // Its network goes with its process; nobody outside sees the moment, but by what
                // vanishes.
                let ended = self.ended.is_some_and(|(told, _)| told <= finished + NOTICED);
                ended.then_some((Cause::GoneAddress, true))
            }
            Outcome::TlsFailed | Outcome::TlsUntrusted => Some((Cause::Tls, true)),
            Outcome::Status(_) => Some((Cause::RefusedByLeavingPod, true)),
            Outcome::ResetReused if quick => Some((Cause::IdleClosed, true)),
            Outcome::Reset if ending && quick && sent >= self.stopped => {
                let cause = if self.exact { Cause::AcceptQueue } else { Cause::StaleEndpoint };
                Some((cause, true))
            }
            Outcome::Reset if stopped && quick && self.exact && !dead && sent >= self.stopped => {
                Some((Cause::AcceptQueue, true))
            }
            Outcome::Reset | Outcome::ResetReused | Outcome::Truncated if ending => {
                Some((self.cut(), true))
            }
            // What answers in its stead, such as a proxy, resets what was sent after its end.
            Outcome::Reset if dead => Some((Cause::DeadPod, false)),
            _ => None,
        }
    }

    fn cut(&self) -> Cause {
        match self.ended {
            _ if self.killed => Cause::CutAtKill,
            // This project's own: others may mean anything by it.
            Some((_, Exit::Code(EXIT_CUT))) if self.exact => Cause::CutAtDeadline,
            _ => Cause::CutAtExit,
        }
    }
}

/// No pod was leaving: the Service's own doing, or the server's.
fn without_pods(attempt: &Attempt, pods: &[PodRecord]) -> Cause {
    let published = |pod: &PodRecord| {
        let mut changes = pod.events.iter().rev().filter(|event| event.at <= attempt.finished);
        changes.find_map(|event| match event.what {
            What::EndpointChanged(conditions) => Some(conditions.ready()),
            _ => None,
        })
    };
    match attempt.outcome {
        Outcome::Refused if !pods.iter().any(|pod| published(pod) == Some(true)) => {
            Cause::NoEndpoint
        }
        Outcome::Status(_) => Cause::ErrorStatus,
        Outcome::Timeout | Outcome::ConnectTimeout | Outcome::TlsTimeout => Cause::TooSlow,
        Outcome::TlsFailed | Outcome::TlsUntrusted => Cause::Tls,
        // Whoever closed it.
        Outcome::ResetReused => Cause::IdleClosed,
        _ => Cause::Unexplained,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{Conditions, Event, Exit};

    fn lost(outcome: Outcome) -> Attempt {
        let at = Duration::from_secs;
        Attempt {
            seq: 0,
            stream: 0,
            intended: at(10),
            sent: at(10),
            finished: at(10),
            outcome,
            status: None,
            peer: None,
            reused: false,
            retryable: false,
            version: None,
            instance: None,
            proxied: None,
            bytes_in: 0,
            bytes_out: 0,
            error: None,
        }
    }

    fn pod(n: u8, events: &[(u64, What)]) -> PodRecord {
        let first = [(0, What::Created), (1, What::Started), (2, What::Ready)];
        PodRecord {
            name: format!("pod-{n}").into(),
            version: "v1".into(),
            address: ([10, 0, 0, n], 5_000).into(),
            events: first
                .iter()
                .chain(events)
                .map(|(at, what)| Event { at: Duration::from_secs(*at), what: what.clone() })
                .collect(),
        }
    }

    #[test]
    fn a_loss_has_the_cause_that_it_has_at_every_pod_it_can_have_met() {
        let ready = What::EndpointChanged(Conditions { serving: true, terminating: false });
        let stays = || pod(1, &[(2, ready.clone())]);
        let closing = |n| pod(n, &[(9, What::Deleted)]);
        let unready = |n| {
            let not = Conditions { serving: false, terminating: true };
            pod(n, &[(2, ready.clone()), (8, What::Deleted), (9, What::EndpointChanged(not))])
        };
        let dead = |n| pod(n, &[(8, What::Deleted), (9, What::Exited(Exit::Code(143)))]);
        let gone = |n, at| {
            let exit = What::Exited(Exit::Code(143));
            pod(n, &[(1, What::Deleted), (2, exit), (at, What::Removed)])
        };
        for (outcome, pods, cause, named) in [
            (Outcome::Refused, vec![stays(), closing(2)], Cause::ClosedListener, true),
            (Outcome::Refused, vec![closing(2), closing(3)], Cause::ClosedListener, false),
            (Outcome::Refused, vec![stays(), dead(2)], Cause::DeadPod, true),
            // One has closed its listener, the other is dead: nobody can tell, and it is the same to them.
            (Outcome::Refused, vec![closing(2), dead(3)], Cause::StaleEndpoint, false),
            (Outcome::Refused, vec![stays()], Cause::Unexplained, false),
            (Outcome::Refused, vec![pod(1, &[])], Cause::NoEndpoint, false),
            (Outcome::ConnectTimeout, vec![stays(), dead(2)], Cause::GoneAddress, true),
            (Outcome::ConnectTimeout, vec![stays(), gone(2, 3)], Cause::GoneAddress, true),
            // Published, and then not any more, before it was sent: no proxy update would have helped.
            (Outcome::ConnectTimeout, vec![unready(2)], Cause::NoEndpoint, false),
            (Outcome::Refused, vec![unready(2), unready(3)], Cause::NoEndpoint, false),
            (Outcome::ConnectTimeout, vec![unready(2), stays()], Cause::TooSlow, false),
            (Outcome::ConnectTimeout, vec![stays()], Cause::TooSlow, false),
            (Outcome::Timeout, vec![stays()], Cause::TooSlow, false),
            (Outcome::Status(500), vec![stays()], Cause::ErrorStatus, false),
            (Outcome::Reset, vec![stays(), closing(2)], Cause::AcceptQueue, true),
            // What answers in its stead, such as a proxy, resets what was sent after its end.
            (Outcome::Reset, vec![stays(), gone(2, 3), dead(3)], Cause::DeadPod, false),
        ] {
            let (found, pod) = explain_unseen(&lost(outcome), &pods, |_| true);
            assert_eq!(found, cause, "{outcome} {pods:?}");
            assert_eq!(pod.is_some(), named, "{outcome} {pods:?}");
        }
    }

    #[test]
    fn what_failed_long_after_a_pods_end_was_not_waiting_for_it() {
        let exit = |code| What::Exited(Exit::Code(code));
        let dead = pod(2, &[(8, What::Deleted), (9, exit(143))]);
        let dies_later = pod(3, &[(10, What::Deleted), (11, exit(143))]);
        let pods = [dead, dies_later];
        let reset =
            |millis| Attempt { finished: Duration::from_millis(millis), ..lost(Outcome::Reset) };
        // In flight when the second one ended: the first one would have reset it at once.
        let found = |millis| {
            let (cause, pod) = explain_unseen(&reset(millis), &pods, |_| true);
            (cause, pod.map(|pod| pod.pod.to_string()))
        };
        assert_eq!(found(11_010), (Cause::CutAtExit, Some("pod-3".to_owned())));
        assert_eq!(found(15_000), (Cause::DeadPod, Some("pod-2".to_owned())));
    }

    #[test]
    fn what_ended_at_an_unknown_time_is_told_by_what_is_known() {
        let exit = |code| What::Exited(Exit::Code(code));
        // SIGTERM at 8, and its end was told at 11.
        let foreign = pod(2, &[(8, What::Deleted), (8, What::Sigterm), (11, exit(0))]);
        let killed = pod(
            3,
            &[
                (1, What::Deleted),
                (1, What::Sigterm),
                (31, What::Sigkill),
                (31, What::Exited(Exit::Signal(9))),
            ],
        );
        let hooked = pod(4, &[(9, What::Deleted), (9, What::HookCalled)]);
        let pods = [foreign, killed];
        let found = |outcome, sent, finished| {
            let lost = Attempt {
                sent: Duration::from_millis(sent),
                finished: Duration::from_millis(finished),
                ..lost(outcome)
            };
            explain_unseen(&lost, &pods, |_| false).0
        };
        // Its listener was closed or its process ended: which, nobody knows.
        assert_eq!(found(Outcome::Refused, 9_500, 9_501), Cause::StaleEndpoint);
        assert_eq!(found(Outcome::Refused, 11_500, 11_501), Cause::DeadPod);
        // Sent before SIGTERM, and in flight at the end; or let in, and answered by the end.
        assert_eq!(found(Outcome::Reset, 7_000, 10_500), Cause::CutAtExit);
        assert_eq!(found(Outcome::ResetReused, 9_000, 10_500), Cause::CutAtExit);
        assert_eq!(found(Outcome::Reset, 9_500, 9_501), Cause::StaleEndpoint);
        assert_eq!(found(Outcome::ResetReused, 9_500, 9_501), Cause::IdleClosed);
        // A hook that is a program may close the listener itself.
        let refused = Attempt {
            sent: Duration::from_millis(11_500),
            finished: Duration::from_millis(11_501),
            ..lost(Outcome::Refused)
        };
        assert_eq!(explain_unseen(&refused, &[hooked], |_| false).0, Cause::StaleEndpoint);
        // One that SIGKILL ended was there until then.
        assert_eq!(found(Outcome::Reset, 25_000, 30_900), Cause::CutAtKill);
        assert_eq!(found(Outcome::Reset, 20_000, 21_000), Cause::DeadPod, "no other ended then");
    }

    #[test]
    fn a_pod_that_was_gone_for_long_has_no_part_in_it() {
        let gone = pod(2, &[(3, What::Deleted), (4, What::Removed)]);
        let late = Attempt {
            sent: Duration::from_secs(100),
            finished: Duration::from_secs(105),
            ..lost(Outcome::ConnectTimeout)
        };
        let (cause, pod) = explain_unseen(&late, std::slice::from_ref(&gone), |_| true);
        assert_eq!((cause, pod.is_some()), (Cause::TooSlow, false));
    }
}
