//! The EndpointSlice controller's decisions: what is published about the pods (facts 4.1).

use std::{sync::Arc, time::Duration};

use super::{
    replica_set::PodPhase,
    store::{Pod, State},
};
use crate::timeline::Conditions;

/// A pod's address with its conditions.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Serving, terminating, and so ready.
    pub conditions: Conditions,
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.pod.id == other.pod.id && self.conditions == other.conditions
    }
}

/// The published endpoints of the Service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EndpointSlice {
    /// Counts the publications.
    pub generation: u64,
    /// When it was published, from the start of the run.
    pub published: Duration,
    /// The endpoints, in order of the pods' creation.
    pub endpoints: Vec<Endpoint>,
    /// What this one changed, as a text: random delays are drawn from it.
    pub change: String,
}

/// The endpoints of these pods: all that have an address (facts 4.1).
pub(super) fn derive(state: &State) -> Vec<Endpoint> {
    state
        .pods
        .values()
        .filter(|(_, status)| status.phase == PodPhase::Running)
        .map(|(pod, status)| Endpoint {
            pod: Arc::clone(pod),
            conditions: Conditions {
                serving: status.ready_since.is_some(),
                terminating: status.deleted.is_some(),
            },
        })
        .collect()
}

/// The pods whose endpoint differs, with their conditions now; `None` for one that is gone.
pub(super) fn differences(
    before: &[Endpoint],
    after: &[Endpoint],
) -> Vec<(Arc<Pod>, Option<Conditions>)> {
    let find = |list: &[Endpoint], id| {
        list.iter().find(|endpoint| endpoint.pod.id == id).map(|endpoint| endpoint.conditions)
    };
    let gone = before.iter().filter(|one| find(after, one.pod.id).is_none());
    let gone = gone.map(|one| (Arc::clone(&one.pod), None));
    let changed = after.iter().filter(|one| find(before, one.pod.id) != Some(one.conditions));
    gone.chain(changed.map(|one| (Arc::clone(&one.pod), Some(one.conditions)))).collect()
}

/// Names a change, for draws.
pub(super) fn name(differences: &[(Arc<Pod>, Option<Conditions>)]) -> String {
    let parts: Vec<_> = differences
        .iter()
        .map(|(pod, conditions)| format!("{} {conditions:?}", pod.name))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{address::PodAddress, store::PodStatus},
        *,
    };

    /// A pod at 127.9.9.(id+1), for tests without processes.
    pub(in super::super) fn pod(id: u64) -> Arc<Pod> {
        let ip = std::net::IpAddr::from([127, 9, 9, id as u8 + 1]);
        Arc::new(Pod {
            id,
            name: format!("pod-{id}").into(),
            version: "v1".into(),
            address: PodAddress { app: (ip, 5000).into(), admin: (ip, 9000).into() },
            replica_set: 0,
            command: Arc::default(),
            harm: tokio::sync::watch::Sender::default(),
            deletion: tokio_util::sync::CancellationToken::new(),
            sandbox_gone: false.into(),
        })
    }

    pub(in super::super) fn status(phase: PodPhase, ready: bool, deleted: bool) -> PodStatus {
        PodStatus {
            created: Duration::ZERO,
            phase,
            ready_since: ready.then_some(Duration::ZERO),
            deleted: deleted.then_some(Duration::ZERO),
            restarts: 0,
            handoffs: 0,
        }
    }

    #[test]
    fn rule_4_1_conditions() {
        // (phase, Ready, deleted) -> (serving, terminating, ready), or no endpoint
        let table = [
            (PodPhase::Pending, false, false, None),
            (PodPhase::Running, false, false, Some((false, false, false))),
            (PodPhase::Running, true, false, Some((true, false, true))),
            (PodPhase::Running, true, true, Some((true, true, false))),
            (PodPhase::Running, false, true, Some((false, true, false))),
        ];
        for (phase, ready, deleted, expected) in table {
            let mut state = State::default();
            state.pods.insert(0, (pod(0), status(phase, ready, deleted)));
            let conditions = derive(&state).first().map(|endpoint| endpoint.conditions);
            let conditions = conditions.map(|c| (c.serving, c.terminating, c.ready()));
            assert_eq!(conditions, expected, "{phase:?} {ready} {deleted}");
        }
    }
}
