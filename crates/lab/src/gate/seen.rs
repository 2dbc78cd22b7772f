//! What can be seen of pods that a gate looks for.

use std::time::Duration;

use crate::timeline::{PodRecord, What};

/// Something that must not happen to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// SIGKILL had to end it.
    Killed,
    /// Its preStop hook failed, or outlasted the grace period.
    HookFailed,
    /// A container ended, and was started again.
    Restarted,
    /// A container had no memory left.
    OomKilled,
    /// A probe failed.
    ProbeFailed,
}

impl Seen {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "killed" => Self::Killed,
            "hook_failed" => Self::HookFailed,
            "restarted" => Self::Restarted,
            "oom_killed" => Self::OomKilled,
            "probe_failed" => Self::ProbeFailed,
            _ => return None,
        })
    }

    /// The pods of which it was seen after `from`.
    pub(super) fn pods(self, pods: &[PodRecord], from: Duration) -> Vec<&str> {
        let wanted = |what: &What| match self {
            Self::Killed => matches!(what, What::Sigkill),
            Self::HookFailed => matches!(what, What::HookFailed(_)),
            Self::Restarted => matches!(what, What::Restarted(_)),
            Self::OomKilled => matches!(what, What::OomKilled),
            Self::ProbeFailed => matches!(what, What::ProbeFailed { .. }),
        };
        let seen = |pod: &&PodRecord| {
            pod.events.iter().any(|event| event.at > from && wanted(&event.what))
        };
        pods.iter().filter(seen).map(|pod| &*pod.name).collect()
    }
}

/// When there was no ready endpoint any more although there had been one.
pub(super) fn without_endpoint(pods: &[PodRecord], from: Duration) -> Vec<Duration> {
    let mut changes: Vec<(Duration, usize, bool)> = Vec::new();
    for (index, pod) in pods.iter().enumerate() {
        changes.extend(pod.events.iter().filter_map(|event| match event.what {
            What::EndpointChanged(conditions) => Some((event.at, index, conditions.ready())),
            _ => None,
        }));
    }
    changes.sort_by_key(|(at, ..)| *at);
    let mut ready = vec![false; pods.len()];
    let mut any = false;
    let mut times = Vec::new();
    for batch in changes.chunk_by(|a, b| a.0 == b.0) {
        for &(_, index, now) in batch {
            ready[index] = now;
        }
        let before = std::mem::replace(&mut any, ready.contains(&true));
        if before && !any && batch[0].0 > from {
            times.push(batch[0].0);
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advice::tests::pod,
        timeline::{Conditions, Exit},
    };

    #[test]
    fn what_was_there_before_is_not_found() {
        let pods = [
            pod(
                1,
                &[(0, What::Restarted(3)), (5, What::Sigkill), (5, What::Exited(Exit::Signal(9)))],
            ),
            pod(2, &[(6, What::HookFailed("refused".to_owned())), (7, What::Sigkill)]),
        ];
        let run =
            crate::report::RunReport { pods: pods.to_vec(), ..crate::gate::tests::run("web", 2) };
        let seen = |condition: &str, from: u64| {
            let condition: crate::gate::Condition = condition.parse().expect("a condition");
            condition.seen(&run, Duration::from_secs(from))
        };
        assert_eq!(seen("restarted", 1), None);
        assert_eq!(seen("killed", 1).as_deref(), Some("2 (web-1, web-2)"));
        assert_eq!(seen("killed>1", 1).as_deref(), Some("2 (web-1, web-2)"));
        assert_eq!(seen("killed>2", 1), None);
        assert_eq!(seen("killed", 5).as_deref(), Some("1 (web-2)"));
        assert_eq!(seen("hook-failed", 1), seen("web:hook_failed>0", 1));
        assert_eq!(seen("hook-failed", 1).as_deref(), Some("1 (web-2)"));
        assert_eq!(seen("oom-killed", 1), None);
        assert_eq!(seen("loss", 1).as_deref(), Some("2 of 1000 requests"));
    }

    #[test]
    fn a_service_without_a_ready_endpoint_is_found() {
        let endpoint =
            |serving, terminating| What::EndpointChanged(Conditions { serving, terminating });
        let ready = || endpoint(true, false);
        let leaving = || endpoint(true, true);
        let gap = [pod(1, &[(0, ready()), (5, leaving())]), pod(2, &[(6, ready())])];
        let none = [pod(1, &[(0, ready()), (6, leaving())]), pod(2, &[(5, ready())])];
        // Both at once are one change of the slice.
        let same = [pod(1, &[(0, ready()), (5, leaving())]), pod(2, &[(5, ready())])];
        let times = |pods: &[PodRecord]| without_endpoint(pods, Duration::ZERO);
        assert_eq!(times(&gap), [Duration::from_secs(5)]);
        assert!(times(&none).is_empty() && times(&same).is_empty());
    }
}
