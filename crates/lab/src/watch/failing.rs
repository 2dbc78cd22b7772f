//! What a gate looks for in somebody else's rollout.

use std::time::Duration;

use clap::ValueEnum;

use crate::timeline::{PodRecord, What};

/// What `--fail-on` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Failing {
    /// A request was lost; needs --url.
    Loss,
    /// SIGKILL had to end a pod.
    Killed,
    /// A preStop hook failed, or outlasted the grace period.
    HookFailed,
    /// A container ended, and was started again.
    Restarted,
    /// A container had no memory left.
    OomKilled,
    /// A probe failed.
    ProbeFailed,
    /// The Service had no ready endpoint left.
    NoEndpoint,
}

impl Failing {
    /// What of this was seen after `from`, in words; `None` if it was not.
    pub(super) fn seen(self, pods: &[PodRecord], from: Duration) -> Option<String> {
        if self == Self::NoEndpoint {
            return without_endpoint(pods, from).map(|at| {
                format!("no ready endpoint {:.1} s after the watch began", at.as_secs_f64())
            });
        }
        let wanted = |what: &What| match self {
            Self::Killed => matches!(what, What::Sigkill),
            Self::HookFailed => matches!(what, What::HookFailed(_)),
            Self::Restarted => matches!(what, What::Restarted(_)),
            Self::OomKilled => matches!(what, What::OomKilled),
            Self::ProbeFailed => matches!(what, What::ProbeFailed { .. }),
            // The requests tell, not the pods.
            Self::Loss | Self::NoEndpoint => false,
        };
        let names: Vec<&str> = pods
            .iter()
            .filter(|pod| pod.events.iter().any(|event| event.at > from && wanted(&event.what)))
            .map(|pod| &*pod.name)
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Its name, as it is written.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// When there was no ready endpoint any more although there had been one.
pub(super) fn without_endpoint(pods: &[PodRecord], from: Duration) -> Option<Duration> {
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
    for batch in changes.chunk_by(|a, b| a.0 == b.0) {
        for &(_, index, now) in batch {
            ready[index] = now;
        }
        let before = std::mem::replace(&mut any, ready.contains(&true));
        if before && !any && batch[0].0 > from {
            return Some(batch[0].0);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{Conditions, Event, Exit};

    fn pod(n: u8, events: &[(u64, What)]) -> PodRecord {
        PodRecord {
            name: format!("web-{n}").into(),
            version: "a".into(),
            address: ([10, 0, 0, n], 80).into(),
            events: events
                .iter()
                .map(|(at, what)| Event { at: Duration::from_secs(*at), what: what.clone() })
                .collect(),
        }
    }

    #[test]
    fn what_was_there_before_is_not_found() {
        let pods = [
            pod(
                1,
                &[(0, What::Restarted(3)), (5, What::Sigkill), (5, What::Exited(Exit::Signal(9)))],
            ),
            pod(2, &[(6, What::HookFailed("refused".to_owned())), (7, What::Sigkill)]),
        ];
        let seen = |failing: Failing| failing.seen(&pods, Duration::from_secs(1));
        assert_eq!(seen(Failing::Restarted), None);
        assert_eq!(seen(Failing::Killed).as_deref(), Some("web-1, web-2"));
        assert_eq!(seen(Failing::HookFailed).as_deref(), Some("web-2"));
        assert_eq!(seen(Failing::OomKilled), None);
        assert_eq!(Failing::HookFailed.name(), "hook-failed");
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
        assert!(Failing::NoEndpoint.seen(&gap, Duration::ZERO).is_some());
        assert_eq!(Failing::NoEndpoint.seen(&none, Duration::ZERO), None);
        assert_eq!(Failing::NoEndpoint.seen(&same, Duration::ZERO), None);
    }
}
