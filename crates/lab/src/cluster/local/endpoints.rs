//! The EndpointSlice controller: what is published about the pods, and when (facts 4.1, 4.2).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    consumer::Consumer,
    replica_set::PodPhase,
    seed::Seed,
    store::{Pod, State, Store},
};
use crate::timeline::{Conditions, Timeline, What};

/// From a change of a pod to its publication (facts 9: 16-50 ms): what the controller's watch
/// and queue take, and then its write.
const NOTICE_MILLIS: std::ops::Range<u64> = 0..34;
const WRITE: Duration = Duration::from_millis(16);

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
fn derive(state: &State) -> Vec<Endpoint> {
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
fn differences(before: &[Endpoint], after: &[Endpoint]) -> Vec<(Arc<Pod>, Option<Conditions>)> {
    let find = |list: &[Endpoint], id| {
        list.iter().find(|endpoint| endpoint.pod.id == id).map(|endpoint| endpoint.conditions)
    };
    let gone = before.iter().filter(|one| find(after, one.pod.id).is_none());
    let gone = gone.map(|one| (Arc::clone(&one.pod), None));
    let changed = after.iter().filter(|one| find(before, one.pod.id) != Some(one.conditions));
    gone.chain(changed.map(|one| (Arc::clone(&one.pod), Some(one.conditions)))).collect()
}

/// Names a change, for draws.
fn name(differences: &[(Arc<Pod>, Option<Conditions>)]) -> String {
    let parts: Vec<_> = differences
        .iter()
        .map(|(pod, conditions)| format!("{} {conditions:?}", pod.name))
        .collect();
    parts.join(", ")
}

/// A consumer, and how it is told.
type Follower = (Arc<Consumer>, mpsc::UnboundedSender<Arc<EndpointSlice>>);

/// Publishes the endpoints to whoever consumes them.
#[derive(Debug)]
pub(super) struct Publisher {
    latest: watch::Sender<Arc<EndpointSlice>>,
    /// Each consumer is told every change: none may be skipped.
    consumers: Mutex<Vec<Follower>>,
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self { latest: watch::Sender::new(Arc::default()), consumers: Mutex::default() }
    }

    /// What is published, always the latest.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<EndpointSlice>> {
        self.latest.subscribe()
    }

    /// What is published now and every publication after it, for this consumer.
    pub(super) fn follow(
        &self,
        consumer: &Arc<Consumer>,
    ) -> (Arc<EndpointSlice>, mpsc::UnboundedReceiver<Arc<EndpointSlice>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut consumers = self.lock();
        consumers.push((Arc::clone(consumer), sender));
        (self.latest.borrow().clone(), receiver)
    }

    /// Who follows.
    pub(super) fn consumers(&self) -> Vec<Arc<Consumer>> {
        self.lock().iter().map(|(consumer, _)| Arc::clone(consumer)).collect()
    }

    /// Waits until what is published follows from the pods.
    pub(super) async fn in_step_with(&self, store: &Store) {
        let (mut pods, mut latest) = (store.watch(), self.watch());
        loop {
            let published = Arc::clone(&latest.borrow_and_update());
            if published.endpoints == derive(&pods.borrow_and_update()) {
                return;
            }
            tokio::select! {
                changed = pods.changed() => if changed.is_err() { return },
                changed = latest.changed() => if changed.is_err() { return },
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Follower>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, slice: EndpointSlice) {
        let slice = Arc::new(slice);
        let mut consumers = self.lock();
        self.latest.send_replace(Arc::clone(&slice));
        consumers.retain(|(_, consumer)| consumer.send(Arc::clone(&slice)).is_ok());
    }

    /// Publishes what follows from the pods, a moment after each change of them.
    pub(super) async fn run(&self, store: &Store, timeline: &Timeline, seed: Seed) {
        let mut pods = store.watch();
        let mut published = EndpointSlice::default();
        loop {
            let next = derive(&pods.borrow_and_update());
            let change = differences(&published.endpoints, &next);
            if change.is_empty() {
                if pods.changed().await.is_err() {
                    return;
                }
                continue;
            }
            sleep(seed.child(&name(&change)).millis(NOTICE_MILLIS)).await;
            // As a controller's sync does, it takes along what is true by now.
            let next = derive(&pods.borrow_and_update());
            sleep(WRITE).await;
            let change = differences(&published.endpoints, &next);
            for (pod, conditions) in &change {
                if let Some(conditions) = conditions {
                    timeline.record(&pod.name, What::EndpointChanged(*conditions));
                }
            }
            published = EndpointSlice {
                generation: published.generation + 1,
                published: timeline.now(),
                endpoints: next,
                change: name(&change),
            };
            self.publish(published.clone());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::time::Instant;

    use super::{
        super::{address::PodAddress, consumer::Fallback, store::PodStatus},
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
            deletion: tokio_util::sync::CancellationToken::new(),
            sandbox_gone: false.into(),
        })
    }

    fn status(phase: PodPhase, ready: bool, deleted: bool) -> PodStatus {
        PodStatus {
            created: Duration::ZERO,
            phase,
            ready_since: ready.then_some(Duration::ZERO),
            deleted: deleted.then_some(Duration::ZERO),
            restarts: 0,
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

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_published_16_to_50_ms_later() {
        let (store, timeline) = (Store::new(), Timeline::new(Instant::now()));
        let publisher = Arc::new(Publisher::new());
        let consumer = Arc::new(Consumer::new("proxy", Fallback::None));
        let (_, mut slices) = publisher.follow(&consumer);
        let running = {
            let (publisher, store, timeline) =
                (Arc::clone(&publisher), store.clone(), timeline.clone());
            tokio::spawn(async move { publisher.run(&store, &timeline, Seed::new(3)).await })
        };
        store.update(|state| {
            let ready = status(PodPhase::Running, true, false);
            state.pods.extend([(0, (pod(0), ready.clone())), (1, (pod(1), ready))]);
        });
        let first = slices.recv().await.unwrap();
        assert!(first.endpoints.iter().all(|endpoint| endpoint.conditions.ready()));
        tokio::time::advance(Duration::from_secs(5)).await;
        let before = timeline.now();
        store.update_pod(1, |status| status.deleted = Some(before));
        let second = slices.recv().await.unwrap();
        assert!(second.endpoints[0].conditions.ready() && !second.endpoints[1].conditions.ready());
        assert!(second.endpoints[1].conditions.serving, "rule 1.10: deletion is not NotReady");
        let took = second.published.saturating_sub(before);
        assert!((16..=50).contains(&took.as_millis()), "{took:?}");
        running.abort();
    }
}
