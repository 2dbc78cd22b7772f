//! Why a request was lost of which nobody knows where it went.
//!
//! Behind a Service the client sees the Service's address, and a request without an answer names
//! nobody. What is known is which pods were on their way out then: where the loss has the same
//! cause at each of them, that is its cause.

use std::time::Duration;

use websample_load::{Attempt, Outcome};

use super::{
    causes::{Cause, NOTICED, explain},
    timeline::{PodPhase, PodRecord, PodState, What},
};

/// A proxy may send connections to a pod that has been gone for so long: the slowest clouds' delay.
const BELATED: Duration = Duration::from_secs(30);

/// A client notices the end of the process that it waits for at once; what it noticed later than
/// this was another's, however badly the clocks agree.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Explains a lost request with the pods that can have lost it. The pod comes with it where there
/// was only one.
pub fn explain_unseen(attempt: &Attempt, pods: &[PodRecord]) -> (Cause, Option<PodState>) {
    let states: Vec<PodState> = pods.iter().filter_map(|pod| leaving(attempt, pod)).collect();
    let causes = states.iter().map(|state| explain(attempt, Some(state)));
    let mut causes = causes.filter(|cause| *cause != Cause::Unexplained);
    let Some(first) = causes.next() else {
        return (without_pods(attempt, pods), None);
    };
    if !causes.all(|cause| cause == first) {
        return (Cause::Unexplained, None);
    }
    let only = if let [only] = &states[..] { Some(only.clone()) } else { None };
    (first, only)
}

/// The pod as it was when the request failed, if it was on its way out or just gone.
fn leaving(attempt: &Attempt, pod: &PodRecord) -> Option<PodState> {
    let at = attempt.finished + NOTICED;
    let mut state = pod.state_at(at).filter(|state| state.deleted.is_some())?;
    let gone = pod.first(|what| *what == What::Removed).filter(|gone| *gone <= at);
    if gone.is_some_and(|gone| gone + BELATED < attempt.sent) {
        return None;
    }
    if let PodPhase::Dead { since, .. } = state.phase
        && attempt.sent <= since
        && attempt.finished > since + AT_ONCE
    {
        return None;
    }
    // Its network goes with its process; nobody outside sees the moment, but by what vanishes.
    let vanished = matches!(attempt.outcome, Outcome::ConnectTimeout | Outcome::Timeout);
    if let (true, PodPhase::Dead { since, .. }) = (vanished, state.phase) {
        state.phase = PodPhase::SandboxGone { since };
    }
    Some(state)
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
        Outcome::Timeout | Outcome::ConnectTimeout => Cause::TooSlow,
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
        let dead = |n| pod(n, &[(8, What::Deleted), (9, What::Exited(Exit::Code(143)))]);
        let gone = |n, at| {
            let exit = What::Exited(Exit::Code(143));
            pod(n, &[(1, What::Deleted), (2, exit), (at, What::Removed)])
        };
        for (outcome, pods, cause, named) in [
            (Outcome::Refused, vec![stays(), closing(2)], Cause::ClosedListener, true),
            (Outcome::Refused, vec![closing(2), closing(3)], Cause::ClosedListener, false),
            (Outcome::Refused, vec![stays(), dead(2)], Cause::DeadPod, true),
            // One has closed its listener, the other is dead: nobody can tell.
            (Outcome::Refused, vec![closing(2), dead(3)], Cause::Unexplained, false),
            (Outcome::Refused, vec![stays()], Cause::Unexplained, false),
            (Outcome::Refused, vec![pod(1, &[])], Cause::NoEndpoint, false),
            (Outcome::ConnectTimeout, vec![stays(), dead(2)], Cause::GoneAddress, true),
            (Outcome::ConnectTimeout, vec![stays(), gone(2, 3)], Cause::GoneAddress, true),
            (Outcome::ConnectTimeout, vec![stays()], Cause::TooSlow, false),
            (Outcome::Timeout, vec![stays()], Cause::TooSlow, false),
            (Outcome::Status(500), vec![stays()], Cause::ErrorStatus, false),
            (Outcome::Reset, vec![stays(), closing(2)], Cause::AcceptQueue, true),
            // What answers in its stead, such as a proxy, resets what was sent after its end.
            (Outcome::Reset, vec![stays(), gone(2, 3), dead(3)], Cause::DeadPod, false),
        ] {
            let (found, pod) = explain_unseen(&lost(outcome), &pods);
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
        // In flight when the second one ended, or sent to the first one: either can be.
        assert_eq!(explain_unseen(&reset(11_010), &pods).0, Cause::Unexplained);
        let (cause, pod) = explain_unseen(&reset(15_000), &pods);
        assert_eq!((cause, pod.map(|pod| pod.pod)), (Cause::DeadPod, Some("pod-2".into())));
    }

    #[test]
    fn a_pod_that_was_gone_for_long_has_no_part_in_it() {
        let gone = pod(2, &[(3, What::Deleted), (4, What::Removed)]);
        let late = Attempt {
            sent: Duration::from_secs(100),
            finished: Duration::from_secs(105),
            ..lost(Outcome::ConnectTimeout)
        };
        let (cause, pod) = explain_unseen(&late, std::slice::from_ref(&gone));
        assert_eq!((cause, pod.is_some()), (Cause::TooSlow, false));
    }
}
