//! The ReplicaSet controller's decisions, without effects: who goes, and how fast pods come
//! (facts 3.9 and 3.10).

use std::{cmp::Reverse, time::Duration};

/// How far a pod's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodPhase {
    /// No container has run yet.
    Pending,
    /// Its node does not answer. (Cannot happen on one machine; it has its place in the order.)
    Unknown,
    /// Its container has been started.
    Running,
    /// Its containers have ended, and will not be restarted.
    Failed,
}

/// A pod that is not terminating, as the ReplicaSet controller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivePod {
    /// Tells pods apart; grows with the order of creation.
    pub id: u64,
    /// Whether it has been given a node.
    pub assigned: bool,
    /// How far it has come.
    pub phase: PodPhase,
    /// Since when it is Ready.
    pub ready_since: Option<Duration>,
    /// The annotation `controller.kubernetes.io/pod-deletion-cost`.
    pub deletion_cost: i32,
    /// How many active pods of the same Deployment share its node.
    pub colocated: usize,
    /// How often its container was restarted.
    pub restarts: u32,
    /// When it was created.
    pub created: Duration,
}

impl ActivePod {
    /// Ready for at least `min_ready` (facts 3.7).
    pub fn available(&self, min_ready: Duration, now: Duration) -> bool {
        self.ready_since.is_some_and(|since| now.saturating_sub(since) >= min_ready)
    }
}

/// The `count` pods that go, in the order of facts 3.9 (`ActivePodsWithRanks`).
pub fn victims(mut pods: Vec<ActivePod>, count: usize) -> Vec<u64> {
    pods.sort_by_key(|pod| {
        (
            pod.assigned,
            pod.phase,
            pod.ready_since.is_some(),
            pod.deletion_cost,
            Reverse(pod.colocated),
            // Ready for less time means ready since later.
            Reverse(pod.ready_since),
            Reverse(pod.restarts),
            // Newer first; the id settles what Kubernetes leaves open.
            Reverse(pod.created),
            Reverse(pod.id),
        )
    });
    pods.truncate(count);
    pods.into_iter().map(|pod| pod.id).collect()
}

/// The sizes of the batches in which `count` pods are created: 1, 2, 4, … (facts 3.10,
/// `slowStartBatch`). A batch begins when the one before it has succeeded.
pub fn slow_start(count: u32) -> impl Iterator<Item = u32> {
    let mut left = count;
    let mut size = 1_u32;
    std::iter::from_fn(move || {
        let batch = size.min(left);
        left -= batch;
        size = size.saturating_mul(2);
        (batch > 0).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(id: u64) -> ActivePod {
        ActivePod {
            id,
            assigned: true,
            phase: PodPhase::Running,
            ready_since: Some(Duration::from_secs(10)),
            deletion_cost: 0,
            colocated: 4,
            restarts: 0,
            created: Duration::from_secs(1),
        }
    }

    #[test]
    fn rule_3_9_the_order_of_victims() {
        let at = Duration::from_secs;
        // Each goes before the plain pod, and the list is in the order of precedence.
        let order = [
            ActivePod { assigned: false, ..pod(1) },
            ActivePod { phase: PodPhase::Pending, ..pod(2) },
            ActivePod { phase: PodPhase::Unknown, ..pod(3) },
            ActivePod { ready_since: None, ..pod(4) },
            ActivePod { deletion_cost: -1, ..pod(5) },
            ActivePod { colocated: 5, ..pod(6) },
            ActivePod { ready_since: Some(at(11)), ..pod(7) },
            ActivePod { restarts: 1, ..pod(8) },
            ActivePod { created: at(2), ..pod(9) },
            pod(0),
        ];
        let expected: Vec<u64> = order.iter().map(|pod| pod.id).collect();
        let mut shuffled = order.to_vec();
        shuffled.reverse();
        assert_eq!(victims(shuffled.clone(), 10), expected);
        shuffled.rotate_left(3);
        assert_eq!(victims(shuffled, 3), expected[..3]);
    }

    #[test]
    fn rule_3_9_each_criterion_yields_to_the_ones_before_it() {
        let unready = ActivePod { ready_since: None, deletion_cost: 100, ..pod(1) };
        let cheap = ActivePod { deletion_cost: -100, ..pod(2) };
        assert_eq!(victims(vec![cheap, unready], 1), [1]);
    }

    #[test]
    fn rule_3_10_slow_start() {
        let batches = |count| slow_start(count).collect::<Vec<_>>();
        assert_eq!(batches(0), [0_u32; 0]);
        assert_eq!(batches(1), [1]);
        assert_eq!(batches(5), [1, 2, 2]);
        assert_eq!(batches(7), [1, 2, 4]);
        assert_eq!(batches(20), [1, 2, 4, 8, 5]);
    }

    #[test]
    fn rule_3_7_available_is_ready_for_long_enough() {
        let seconds = Duration::from_secs;
        assert!(pod(1).available(Duration::ZERO, seconds(10)));
        assert!(!pod(1).available(seconds(5), seconds(14)));
        assert!(pod(1).available(seconds(5), seconds(15)));
        assert!(!ActivePod { ready_since: None, ..pod(1) }.available(Duration::ZERO, seconds(99)));
    }
}
