//! The Deployment controller's decisions, without effects (facts section 3).

use std::time::Duration;

use websample_kubernetes::Fenceposts;

/// A ReplicaSet as the controller sees it. Terminating pods count nowhere (facts 3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaSet {
    /// Tells ReplicaSets apart; grows with their age, so the lowest is the oldest.
    pub id: usize,
    /// `spec.replicas`: how many pods it is told to have.
    pub spec: u32,
    /// `status.replicas`: how many pods it has.
    pub current: u32,
    /// `status.availableReplicas`: how many have been Ready for minReadySeconds.
    pub available: u32,
}

/// An order to a ReplicaSet: have this many pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Which one.
    pub id: usize,
    /// Its new `spec.replicas`.
    pub to: u32,
}

/// What one sync does: one thing only, up before down (facts 3.2, `rolloutRolling`).
///
/// Empty where there is nothing to do now: done, or waiting for pods.
pub fn sync(bounds: Fenceposts, new: &ReplicaSet, old: &[ReplicaSet]) -> Vec<Scale> {
    if let Some(scale) = scale_new(bounds, new, old) {
        return vec![scale];
    }
    scale_old(bounds, new, old)
}

/// What one sync does with the strategy Recreate (`rolloutRecreate`): old ReplicaSets have no pods any
/// more; `None` once nothing of them runs, terminating pods included, and the new one may be born.
pub fn clear(old: &[ReplicaSet], old_pods: usize) -> Option<Vec<Scale>> {
    let told: Vec<_> =
        old.iter().filter(|set| set.spec > 0).map(|set| Scale { id: set.id, to: 0 }).collect();
    (!told.is_empty() || old_pods > 0).then_some(told)
}

/// With how many replicas a new ReplicaSet is born (facts 3.3).
pub fn initial_replicas(bounds: Fenceposts, old: &[ReplicaSet]) -> u32 {
    let unborn = ReplicaSet { id: usize::MAX, spec: 0, current: 0, available: 0 };
    new_replicas(bounds, &unborn, old)
}

/// Whether the rollout is over (`DeploymentComplete`): all pods are new ones and available.
pub fn complete(bounds: Fenceposts, new: &ReplicaSet, old: &[ReplicaSet]) -> bool {
    let replicas = bounds.replicas;
    new.spec == replicas
        && new.current == replicas
        && new.available == replicas
        && old.iter().all(|set| set.spec == 0 && set.current == 0)
}

/// Facts 3.3 (`NewRSNewReplicas`).
fn new_replicas(bounds: Fenceposts, new: &ReplicaSet, old: &[ReplicaSet]) -> u32 {
    let total = new.spec + old.iter().map(|set| set.spec).sum::<u32>();
    let room = bounds.max_total().saturating_sub(total);
    new.spec + room.min(bounds.replicas.saturating_sub(new.spec))
}

fn scale_new(bounds: Fenceposts, new: &ReplicaSet, old: &[ReplicaSet]) -> Option<Scale> {
    let to =
        if new.spec > bounds.replicas { bounds.replicas } else { new_replicas(bounds, new, old) };
    (to != new.spec).then_some(Scale { id: new.id, to })
}

/// Facts 3.4 and 3.5 (`reconcileOldReplicaSets`).
fn scale_old(bounds: Fenceposts, new: &ReplicaSet, old: &[ReplicaSet]) -> Vec<Scale> {
    let total = new.spec + old.iter().map(|set| set.spec).sum::<u32>();
    let new_unavailable = new.spec.saturating_sub(new.available);
    let gate = total.saturating_sub(bounds.min_available()).saturating_sub(new_unavailable);
    if gate == 0 {
        return Vec::new();
    }
    let mut oldest_first = old.to_vec();
    oldest_first.sort_by_key(|set| set.id);
    clean_up_unhealthy(gate, &mut oldest_first);
    // The availability that was read, not what the clean-up will make of it.
    let available = new.available + old.iter().map(|set| set.available).sum::<u32>();
    let mut spare = available.saturating_sub(bounds.min_available());
    for set in &mut oldest_first {
        let take = set.spec.min(spare);
        set.spec -= take;
        spare -= take;
    }
    let was = |id| old.iter().find(|set| set.id == id).map(|set| set.spec);
    oldest_first
        .iter()
        .filter(|set| was(set.id) != Some(set.spec))
        .map(|set| Scale { id: set.id, to: set.spec })
        .collect()
}

/// Pods that serve nobody go first (facts 3.5, `cleanupUnhealthyReplicas`).
fn clean_up_unhealthy(mut gate: u32, oldest_first: &mut [ReplicaSet]) {
    for set in oldest_first {
        let take = set.spec.saturating_sub(set.available).min(gate);
        set.spec -= take;
        gate -= take;
    }
}

/// The Progressing condition (facts 3.7): it only reports, nothing is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressCondition {
    /// `NewReplicaSetAvailable`: the rollout is over.
    Complete,
    /// Something moved less than the deadline ago.
    Progressing,
    /// `ProgressDeadlineExceeded`.
    DeadlineExceeded,
}

/// The Progressing condition for a rollout that last moved so long ago.
pub fn progress(
    complete: bool,
    since_last_progress: Duration,
    deadline: Duration,
) -> ProgressCondition {
    if complete {
        ProgressCondition::Complete
    } else if since_last_progress > deadline {
        ProgressCondition::DeadlineExceeded
    } else {
        ProgressCondition::Progressing
    }
}

#[cfg(test)]
mod tests;
