//! A node that shuts down: its kubelet ends the pods in time, by the rules of Kubernetes 1.36's
//! `nodeshutdown_manager.go`, and nobody has deleted them.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use websample_kubernetes::termination::effective_grace;

use super::{
    kubelet::Agent,
    probe::ProbeKind,
    prober::{ProbeEvent, Prober},
    process::Process,
    replica_set::PodPhase,
};
use crate::timeline::What;

/// What pods without a priority are given at the most: the documentation's `shutdownGracePeriod: 30s`,
/// less its `shutdownGracePeriodCriticalPods: 10s` (`migrateConfig`). A pod's own grace only shortens it.
const PERIOD: Duration = Duration::from_secs(20);
/// The node says at once that it is not ready. The node controller looks at all nodes this often, and
/// then marks the node's pods as not ready, once (`MarkPodsNotReady`).
const MONITOR_MILLIS: std::ops::Range<u64> = 0..5_000;
/// The kubelet, which knows better, puts its own view in place of that at its next look at all pods
/// (`syncBatch`, `needsReconcile`).
const RECONCILE_MILLIS: std::ops::Range<u64> = 0..10_000;

impl Agent {
    /// Ends the container. Its pod stays an endpoint that is ready, for as long as its readiness says so
    /// and the node controller does not know better; it is replaced once it has failed.
    pub(super) async fn shut_down(&self, process: &Process, prober: &mut Prober) {
        let reason = "NodeShutdown".to_owned();
        let message = "the node shuts down; its kubelet ends the pods".to_owned();
        self.node.timeline.record(&self.pod.name, What::Warning { reason, message });
        // One clock for all pods of the node.
        let node = self.node.seed.child("node shutdown");
        let now = Instant::now();
        let marked = node.child("monitor").millis(MONITOR_MILLIS);
        let mut reconciled = node.child("reconcile").millis(RECONCILE_MILLIS);
        if reconciled < marked {
            reconciled += Duration::from_millis(RECONCILE_MILLIS.end);
        }
        let mut next = Some((now + marked, false));
        let mut healthy = self.is_ready();
        let grace = effective_grace(self.node.spec.grace.min(PERIOD));
        let seed = self.seed.child("shutdown");
        let mut killing = std::pin::pin!(self.kill(process, grace, seed));
        loop {
            let (at, restores) = next.unwrap_or((now, false));
            tokio::select! {
                biased;
                () = &mut killing => break,
                () = sleep_until(at), if next.is_some() => {
                    self.set_ready(restores && healthy);
                    next = (!restores).then_some((now + reconciled, true));
                }
                event = prober.next() => match event {
                    ProbeEvent::Changed { kind: ProbeKind::Readiness, healthy: is } => {
                        healthy = is;
                        self.set_ready(is);
                    }
                    ProbeEvent::Failed { kind, reason } => self.probe_failed(kind, reason),
                    ProbeEvent::Changed { .. } => {}
                },
            }
        }
        // Not before: a pod whose containers may run is not told to have failed (`mergePodStatus`).
        self.node.store.update_pod(self.pod.id, |status| status.phase = PodPhase::Failed);
        self.set_ready(false);
    }

    fn is_ready(&self) -> bool {
        self.node.store.read(|state| {
            let pod = state.pods.get(&self.pod.id);
            pod.is_some_and(|(_, status)| status.ready_since.is_some())
        })
    }
}
