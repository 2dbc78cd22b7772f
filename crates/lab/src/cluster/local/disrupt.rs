//! The ways in which pods go besides a rolling update: what people, autoscalers, nodes and probes do
//! to a Deployment.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    ClusterError, LocalCluster, controller,
    store::{Harm, Pod, PodStatus, State, Strategy, Template},
};

/// `kubectl drain` asks again after this where a budget has refused an eviction (`evictPods`).
pub const EVICTION_RETRY: Duration = Duration::from_secs(5);

impl LocalCluster {
    /// `kubectl rollout restart`: the same again, in new pods.
    ///
    /// # Errors
    /// As [`Self::start`]; so have all of these.
    pub async fn restart(&self) -> Result<(), ClusterError> {
        let Some(template) = self.template() else { return Ok(()) };
        self.replace(Template { restarted: template.restarted + 1, ..template }).await
    }

    /// Rolls out a version until half of its pods are ready, and then the one from before.
    pub async fn rollback(&self, version: &str) -> Result<(), ClusterError> {
        let Some(before) = self.template() else { return Ok(()) };
        let update = Template { version: version.into(), ..before.clone() };
        self.node.store.update(|state| state.template = Some(update.clone()));
        let half = |state: &State| {
            let current = state.current.filter(|id| state.replica_sets[*id].template == update);
            let ready = |(pod, status): &&(Arc<Pod>, PodStatus)| {
                Some(pod.replica_set) == current && is_ready(status)
            };
            2 * state.pods.values().filter(ready).count() >= state.replicas as usize
        };
        self.until(half).await?;
        self.replace(before).await
    }

    /// Replaces the pods by those of another version, without ever having both.
    pub async fn recreate(&self, version: &str) -> Result<(), ClusterError> {
        self.node.store.update(|state| state.strategy = Strategy::Recreate);
        self.rollout(version).await
    }

    /// Has so many replicas from now on.
    pub async fn scale(&self, replicas: u32) -> Result<(), ClusterError> {
        self.node.store.update(|state| {
            state.replicas = replicas;
            // What it says is of the replicas from before.
            state.progress = None;
        });
        self.steady().await
    }

    /// No replicas, and once no pod is left that is not terminating, all of them again.
    pub async fn scale_to_zero_and_back(&self) -> Result<(), ClusterError> {
        self.node.store.update(|state| state.replicas = 0);
        self.until(|state| state.pods.values().all(|(_, status)| status.deleted.is_some())).await?;
        self.scale(self.node.spec.replicas).await
    }

    /// Deletes all pods at once; the Deployment makes new ones.
    pub async fn delete_all(&self) -> Result<(), ClusterError> {
        controller::delete(&self.node, &self.ids());
        self.steady().await
    }

    /// Deletes a pod, as somebody does who knows its name; nothing where there is none.
    pub fn delete(&self, pod: &str) {
        controller::delete(&self.node, self.id_of(pod).as_slice());
    }

    /// Evicts a pod, if the budget of [`evict`](Self::evict) allows it now; one that is gone is evicted.
    pub fn try_evict(&self, pod: &str) -> bool {
        let Some(id) = self.id_of(pod) else { return true };
        let granted = self.node.store.read(|state| self.grants(state));
        if granted {
            controller::delete(&self.node, &[id]);
        }
        granted
    }

    /// Evicts every pod, one at a time, as a PodDisruptionBudget of `maxUnavailable: 1` has it: an
    /// eviction is granted while all replicas are available. Who is refused asks again as soon as it
    /// may be granted, or after `retry`.
    pub async fn evict(&self, retry: Option<Duration>) -> Result<(), ClusterError> {
        // The API grants evictions one by one, so the order is that of the requests.
        let mut left = self.ids();
        while let Some(next) = left.first().copied() {
            if self.node.store.read(|state| self.grants(state)) {
                controller::delete(&self.node, &[next]);
                left.remove(0);
                continue;
            }
            match retry {
                Some(retry) => sleep(retry).await,
                None => self.until(|state| self.grants(state)).await?,
            }
            self.unless_failed()?;
        }
        self.steady().await
    }

    /// Shuts a node down on which half of the pods are, rounded up; the Deployment makes others
    /// elsewhere, once these have ended.
    pub async fn shut_node_down(&self) -> Result<(), ClusterError> {
        let pods: Vec<Arc<Pod>> = self.node.store.read(|state| {
            let half = state.pods.len().div_ceil(2);
            state.pods.values().take(half).map(|(pod, _)| Arc::clone(pod)).collect()
        });
        for pod in &pods {
            pod.harm.send_modify(|harm| harm.node_shuts_down = true);
        }
        self.until(|state| pods.iter().all(|pod| !state.pods.contains_key(&pod.id))).await?;
        self.steady().await
    }

    /// Kills each container in turn for its liveness probe, the next once the one before is ready
    /// again.
    pub async fn fail_liveness(&self) -> Result<(), ClusterError> {
        self.harm_each(|harm| harm.unhealthy += 1).await
    }

    /// Ends each process in turn by SIGKILL, the next once the one before is ready again.
    pub async fn crash(&self) -> Result<(), ClusterError> {
        self.harm_each(|harm| harm.crashes += 1).await
    }

    /// Has each process in turn hand over to a successor, without its pod or its port being closed; the
    /// next once the one before has ended.
    pub async fn hand_over(&self) -> Result<(), ClusterError> {
        let spec = &self.node.spec;
        let longest = spec.ready_deadline + spec.grace;
        for id in self.ids() {
            let pod = self.node.store.read(|state| Some(Arc::clone(&state.pods.get(&id)?.0)));
            let Some(pod) = pod else { continue };
            pod.harm.send_modify(|harm| harm.handoffs += 1);
            let told = pod.harm.borrow().handoffs;
            let handed_over = self.until(|state| {
                let pod = state.pods.get(&id);
                pod.is_none_or(|(_, status)| status.handoffs >= told && is_ready(status))
            });
            let Ok(handed_over) = timeout(longest, handed_over).await else {
                let reason = format!(
                    "it has said and done nothing within {}",
                    humantime::format_duration(longest)
                );
                return Err(ClusterError::NotHandedOver { pod: Arc::clone(&pod.name), reason });
            };
            handed_over?;
        }
        self.steady().await
    }

    async fn harm_each(&self, harm: impl Fn(&mut Harm)) -> Result<(), ClusterError> {
        for id in self.ids() {
            let pod = self.node.store.read(|state| {
                let (pod, status) = state.pods.get(&id)?;
                Some((Arc::clone(pod), status.restarts))
            });
            let Some((pod, restarts)) = pod else { continue };
            pod.harm.send_modify(&harm);
            self.until(|state| {
                let pod = state.pods.get(&id);
                pod.is_none_or(|(_, status)| status.restarts > restarts && is_ready(status))
            })
            .await?;
        }
        self.steady().await
    }

    /// Whether a budget of one unavailable pod allows an eviction (`trySubtract`).
    fn grants(&self, state: &State) -> bool {
        let (now, min_ready) = (self.node.timeline.now(), self.node.spec.min_ready);
        let available =
            |id: usize| state.active(id).iter().filter(|pod| pod.available(min_ready, now)).count();
        let available: usize = (0..state.replica_sets.len()).map(available).sum();
        available >= state.replicas as usize
    }

    fn template(&self) -> Option<Template> {
        self.node.store.read(|state| state.template.clone())
    }

    fn ids(&self) -> Vec<u64> {
        self.node.store.read(|state| state.pods.keys().copied().collect())
    }

    fn id_of(&self, name: &str) -> Option<u64> {
        self.node.store.read(|state| {
            let mut pods = state.pods.values();
            pods.find(|(pod, _)| *pod.name == *name).map(|(pod, _)| pod.id)
        })
    }

    fn unless_failed(&self) -> Result<(), ClusterError> {
        self.node.store.read(|state| state.failure.clone()).map_or(Ok(()), Err)
    }
}

fn is_ready(status: &PodStatus) -> bool {
    status.ready_since.is_some() && status.deleted.is_none()
}
