//! The EndpointSlice controller at work: when the endpoints are published, and to whom (facts 4.2).

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
    endpoints::{EndpointSlice, derive, differences, name},
    seed::Seed,
    store::Store,
};
use crate::timeline::{Timeline, What};

/// From a change of a pod to its publication (facts 9: 16-50 ms): what the controller's watch
/// and queue take, and then its write.
const NOTICE_MILLIS: std::ops::Range<u64> = 0..34;
const WRITE: Duration = Duration::from_millis(16);

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
mod tests {
    use tokio::time::Instant;

    use super::{
        super::{
            consumer::Fallback,
            endpoints::tests::{pod, status},
            replica_set::PodPhase,
        },
        *,
    };

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_published_16_to_50_ms_later() {
        let (store, timeline) = (Store::new(1), Timeline::new(Instant::now()));
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
