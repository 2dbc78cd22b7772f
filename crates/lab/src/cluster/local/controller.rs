//! The Deployment and ReplicaSet controllers at work: reads, decides, carries out.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    deployment::{self, ProgressCondition, ReplicaSet},
    error::ClusterError,
    kubelet,
    node::Node,
    replica_set::{PodPhase, slow_start, victims},
    seed::Seed,
    store::{Pod, PodStatus, ReplicaSetObject, State, Strategy, Template},
};
use crate::timeline::What;

/// From one controller's write to another one's sync of it. Each hop counts: a pod becomes Ready,
/// its ReplicaSet's status says so, the Deployment scales, the ReplicaSet deletes. That is why the
/// proxies hear of a new pod first, sync, and only after their pause hear of the deletion.
const HOP: Duration = Duration::from_millis(15);

/// Drives the Deployment towards its template, for as long as the cluster lives.
pub(super) async fn run(node: Arc<Node>) {
    let mut changes = node.store.watch();
    let mut progress = Tracker { last: None, since: Instant::now() };
    loop {
        changes.mark_unchanged();
        // Orders are carried out before the next sync reads what came of them.
        let ordered = scale(&node);
        if ordered {
            sleep(HOP).await;
        }
        if reconcile_replica_sets(&node).await || ordered {
            sleep(HOP).await;
            continue;
        }
        progress.observe(&node);
        // Time alone makes a Ready pod available, and a rollout late.
        let next = next_available(&node);
        tokio::select! {
            gone = changes.changed() => if gone.is_err() { return },
            () = sleep_until(progress.since + node.spec.progress_deadline + HOP),
                if progress.pending(&node) => {}
            () = sleep(next.unwrap_or_default()), if next.is_some() => {}
        }
        // To the ReplicaSet's status, and on to the Deployment.
        sleep(2 * HOP).await;
    }
}

/// The new ReplicaSet and the old ones as they are now; `None` without a template.
pub(super) fn replica_sets(node: &Node, state: &State) -> Option<(ReplicaSet, Vec<ReplicaSet>)> {
    let current = state.current?;
    let now = node.timeline.now();
    let read = |id| state.replica_set(id, node.spec.min_ready, now);
    let old = (0..state.replica_sets.len()).filter(|id| *id != current).map(read).collect();
    Some((read(current), old))
}

/// One sync of the Deployment; whether it ordered anything.
fn scale(node: &Node) -> bool {
    let (template, known, bounds) = node.store.read(|state| {
        let find = |template: &Template| {
            state.replica_sets.iter().position(|set| set.template == *template)
        };
        let known = state.template.as_ref().and_then(find);
        (state.template.clone(), known, node.bounds(state))
    });
    let Some(template) = template else { return false };
    if let Some(ordered) = recreate(node, known) {
        return ordered;
    }
    if known.is_none() || known != node.store.read(|state| state.current) {
        node.store.update(|state| {
            let id = known.unwrap_or_else(|| {
                state.replica_sets.push(ReplicaSetObject { template, spec: 0 });
                state.replica_sets.len() - 1
            });
            state.current = Some(id);
            if known.is_none()
                && let Some((_, old)) = replica_sets(node, state)
            {
                state.replica_sets[id].spec = deployment::initial_replicas(bounds, &old);
            }
        });
        return true;
    }
    let orders = node.store.read(|state| {
        let sets = replica_sets(node, state);
        sets.map(|(new, old)| deployment::sync(bounds, &new, &old)).unwrap_or_default()
    });
    obey(node, &orders);
    !orders.is_empty()
}

/// The strategy Recreate's first half: whether it ordered anything, while old pods are there.
fn recreate(node: &Node, new: Option<usize>) -> Option<bool> {
    let orders = node.store.read(|state| {
        if state.strategy != Strategy::Recreate {
            return None;
        }
        let now = node.timeline.now();
        let ids = (0..state.replica_sets.len()).filter(|id| Some(*id) != new);
        let old: Vec<_> = ids.map(|id| state.replica_set(id, node.spec.min_ready, now)).collect();
        let pods = state.pods.values().filter(|(pod, _)| Some(pod.replica_set) != new).count();
        deployment::clear(&old, pods)
    })?;
    obey(node, &orders);
    Some(!orders.is_empty())
}

fn obey(node: &Node, orders: &[deployment::Scale]) {
    if orders.is_empty() {
        return;
    }
    node.store.update(|state| {
        for order in orders {
            state.replica_sets[order.id].spec = order.to;
        }
    });
}

/// Creates and deletes pods until every ReplicaSet has as many as it is told; whether it did.
async fn reconcile_replica_sets(node: &Arc<Node>) -> bool {
    let mut acted = false;
    let count = node.store.read(|state| state.replica_sets.len());
    for id in 0..count {
        let (spec, active) =
            node.store.read(|state| (state.replica_sets[id].spec, state.active(id)));
        let current = active.len() as u32;
        if current > spec {
            delete(node, &victims(active, (current - spec) as usize));
            acted = true;
        }
        for batch in slow_start(spec.saturating_sub(current)) {
            for _ in 0..batch {
                if let Err(error) = create(node, id) {
                    node.store.fail(error);
                    return false;
                }
            }
            sleep(HOP).await;
            acted = true;
        }
    }
    acted
}

/// All at once (facts 3.10); those that are being deleted stay so.
pub(super) fn delete(node: &Node, ids: &[u64]) {
    node.store.update(|state| {
        for id in ids {
            if let Some((pod, status)) = state.pods.get_mut(id)
                && status.deleted.is_none()
            {
                status.deleted = Some(node.timeline.now());
                node.timeline.record(&pod.name, What::Deleted);
                pod.deletion.cancel();
            }
        }
    });
}

fn create(node: &Arc<Node>, replica_set: usize) -> Result<(), ClusterError> {
    let address = node.addresses.next()?;
    let (id, template) =
        node.store.read(|state| (state.next_pod, state.replica_sets[replica_set].template.clone()));
    let name = pod_name(&node.spec.name, &template, id, node.seed);
    let pod = Arc::new(Pod {
        id,
        name: name.into(),
        version: template.version,
        address,
        replica_set,
        command: template.command,
        harm: watch::Sender::default(),
        deletion: CancellationToken::new(),
        sandbox_gone: false.into(),
    });
    node.timeline.created(&pod.name, &pod.version, address.app);
    let status = PodStatus {
        created: node.timeline.now(),
        phase: PodPhase::Pending,
        ready_since: None,
        deleted: None,
        restarts: 0,
        handoffs: 0,
    };
    node.store.update(|state| {
        state.next_pod = id + 1;
        state.pods.insert(id, (Arc::clone(&pod), status));
    });
    node.spawn(kubelet::run(Arc::clone(node), pod));
    Ok(())
}

/// `NAME-VERSION-TEMPLATE-SUFFIX`, in letters that a host name may have.
fn pod_name(deployment: &str, template: &Template, id: u64, seed: Seed) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let version: String = template.version.chars().map(keep).collect();
    let seen = match template.restarted {
        0 => template.version.to_string(),
        restarted => format!("{}/{restarted}", template.version),
    };
    let hash = seed.child("template").child(&seen).suffix(5);
    let suffix = seed.child("pod").child(&id.to_string()).suffix(5);
    format!("{deployment}-{version}-{hash}-{suffix}").to_ascii_lowercase()
}

/// How long until a Ready pod has been so for minReadySeconds.
fn next_available(node: &Node) -> Option<Duration> {
    let now = node.timeline.now();
    let min_ready = node.spec.min_ready;
    node.store.read(|state| {
        let since = state.pods.values().filter_map(|(_, status)| status.ready_since);
        since
            .filter_map(|since| (since + min_ready).checked_sub(now))
            .filter(|d| !d.is_zero())
            .min()
    })
}

/// Follows whether a rollout moves.
struct Tracker {
    last: Option<(ReplicaSet, Vec<ReplicaSet>)>,
    since: Instant,
}

impl Tracker {
    fn observe(&mut self, node: &Node) {
        let (sets, bounds) =
            node.store.read(|state| (replica_sets(node, state), node.bounds(state)));
        let Some(sets) = sets else { return };
        let complete = deployment::complete(bounds, &sets.0, &sets.1);
        if self.last.as_ref() != Some(&sets) {
            self.last = Some(sets);
            self.since = Instant::now();
        }
        let deadline = node.spec.progress_deadline;
        let progress = Some(deployment::progress(complete, self.since.elapsed(), deadline));
        if node.store.read(|state| state.progress != progress) {
            node.store.update(|state| state.progress = progress);
        }
    }

    fn pending(&self, node: &Node) -> bool {
        self.last.is_some()
            && node.store.read(|state| state.progress == Some(ProgressCondition::Progressing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_names_look_like_a_deployments_and_follow_from_the_seed() {
        let template = |version: &str| Template {
            version: version.into(),
            command: Arc::default(),
            restarted: 0,
        };
        let name = |version, id| pod_name("websample", &template(version), id, Seed::new(1));
        assert_eq!(name("v1", 0), name("v1", 0));
        let parts: Vec<_> = name("v1", 0).split('-').map(str::to_owned).collect();
        assert_eq!((parts[0].as_str(), parts[1].as_str()), ("websample", "v1"));
        assert_eq!((parts[2].len(), parts[3].len()), (5, 5));
        assert_ne!(name("v1", 0), name("v1", 1));
        assert!(name("a/b C", 0).starts_with("websample-a-b-c-"));
    }
}
