//! The API server's part: the objects, in one place that everybody watches.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    address::PodAddress,
    deployment::{ProgressCondition, ReplicaSet},
    error::ClusterError,
    replica_set::{ActivePod, PodPhase},
    spec::CommandTemplate,
};

/// What of a pod never changes, and what its agents share.
#[derive(Debug)]
pub struct Pod {
    /// In order of creation.
    pub id: u64,
    /// Its name, such as `websample-v1-7c9f4-x2k8p`.
    pub name: Arc<str>,
    /// The version it runs.
    pub version: Arc<str>,
    /// Where it listens.
    pub address: PodAddress,
    pub(super) replica_set: usize,
    pub(super) command: Arc<CommandTemplate>,
    /// What its kubelet is to see of its container.
    pub(super) harm: watch::Sender<Harm>,
    /// Tells its kubelet that it is deleted.
    pub(super) deletion: CancellationToken,
    pub(super) sandbox_gone: AtomicBool,
}

impl Pod {
    /// Whether packets to it vanish.
    pub fn sandbox_gone(&self) -> bool {
        self.sandbox_gone.load(Ordering::Acquire)
    }
}

/// What befalls a container, though nobody has deleted its pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Harm {
    /// So often its process was killed, as the kernel does for want of memory.
    pub(super) crashes: u32,
    /// So often its liveness probe has failed up to the threshold.
    pub(super) unhealthy: u32,
    /// So often it was told to hand over to a successor.
    pub(super) handoffs: u32,
    /// Its node shuts down.
    pub(super) node_shuts_down: bool,
}

/// What of a pod changes.
#[derive(Debug, Clone)]
pub(super) struct PodStatus {
    pub(super) created: Duration,
    pub(super) phase: PodPhase,
    pub(super) ready_since: Option<Duration>,
    pub(super) deleted: Option<Duration>,
    pub(super) restarts: u32,
    /// So many of its processes have handed over to their successor, and have ended.
    pub(super) handoffs: u32,
}

/// A ReplicaSet's specification.
#[derive(Debug, Clone)]
pub(super) struct ReplicaSetObject {
    pub(super) template: Template,
    pub(super) spec: u32,
}

/// What a ReplicaSet's pods run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) version: Arc<str>,
    pub(super) command: Arc<CommandTemplate>,
    /// The annotation that `kubectl rollout restart` sets.
    pub(super) restarted: u32,
}

/// How old pods are replaced by new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Strategy {
    #[default]
    RollingUpdate,
    Recreate,
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pods: BTreeMap<u64, (Arc<Pod>, PodStatus)>,
    /// The oldest first.
    pub(super) replica_sets: Vec<ReplicaSetObject>,
    /// The Deployment's `spec.replicas`.
    pub(super) replicas: u32,
    pub(super) strategy: Strategy,
    /// The index of the one that is wanted.
    pub(super) current: Option<usize>,
    /// What the Deployment's template says.
    pub(super) template: Option<Template>,
    pub(super) progress: Option<ProgressCondition>,
    /// The first thing that cannot be recovered from.
    pub(super) failure: Option<ClusterError>,
    pub(super) next_pod: u64,
}

impl State {
    /// The pods of a ReplicaSet that are neither terminating nor failed (facts 3.8, `IsPodActive`).
    pub(super) fn active(&self, replica_set: usize) -> Vec<ActivePod> {
        let is_active =
            |status: &PodStatus| status.deleted.is_none() && status.phase != PodPhase::Failed;
        let active = || self.pods.values().filter(|(_, status)| is_active(status));
        // One node: every pod of the Deployment is on it.
        let colocated = active().count();
        active()
            .filter(|(pod, _)| pod.replica_set == replica_set)
            .map(|(pod, status)| ActivePod {
                id: pod.id,
                assigned: true,
                phase: status.phase,
                ready_since: status.ready_since,
                deletion_cost: 0,
                colocated,
                restarts: status.restarts,
                created: status.created,
            })
            .collect()
    }

    /// A ReplicaSet as the Deployment controller reads it.
    pub(super) fn replica_set(&self, id: usize, min_ready: Duration, now: Duration) -> ReplicaSet {
        let active = self.active(id);
        let available = active.iter().filter(|pod| pod.available(min_ready, now)).count();
        ReplicaSet {
            id,
            spec: self.replica_sets[id].spec,
            current: active.len() as u32,
            available: available as u32,
        }
    }
}

/// The objects, shared. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Store(Arc<watch::Sender<State>>);

impl Store {
    pub(super) fn new(replicas: u32) -> Self {
        Self(Arc::new(watch::Sender::new(State { replicas, ..State::default() })))
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.0.borrow())
    }

    /// Changes the objects and wakes everybody who watches.
    pub(super) fn update(&self, update: impl FnOnce(&mut State)) {
        self.0.send_modify(update);
    }

    /// Changes a pod's status; nothing if the pod is gone.
    pub(super) fn update_pod(&self, id: u64, update: impl FnOnce(&mut PodStatus)) {
        self.0.send_if_modified(|state| match state.pods.get_mut(&id) {
            Some((_, status)) => {
                update(status);
                true
            }
            None => false,
        });
    }

    /// Notes what cannot be recovered from; the first one counts.
    pub(super) fn fail(&self, error: ClusterError) {
        self.update(|state| {
            state.failure.get_or_insert(error);
        });
    }

    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}
