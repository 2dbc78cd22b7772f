//! What happened to every pod, and when: one stream of events, recorded as it is published.
//!
//! All times are measured from the start of the run, the same instant the load generator
//! counts from, so a lost request can be joined with the state of the pod it went to
//! ([`Timeline::pod_at`]) and with what a proxy believed then ([`Timeline::in_table`]).

mod event;
mod pod;
mod read;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::broadcast, time::Instant};

pub use self::{
    event::{Conditions, Event, Exit, What},
    pod::{PodPhase, PodRecord, PodState},
};

/// How many events a subscriber may fall behind before it loses the oldest.
const STREAM_CAPACITY: usize = 4096;

/// An event of the stream, with the pod it happened to.
#[derive(Debug, Clone)]
pub struct PodEvent {
    /// The pod's name.
    pub pod: Arc<str>,
    /// The version it runs.
    pub version: Arc<str>,
    /// What happened, and when.
    pub event: Event,
}

/// Records and publishes what happens to the pods of one cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Timeline {
    start: Instant,
    stream: broadcast::Sender<PodEvent>,
    records: Arc<Mutex<Records>>,
}

#[derive(Debug, Default)]
struct Records {
    pods: Vec<PodRecord>,
    by_name: HashMap<Arc<str>, usize>,
    by_address: HashMap<SocketAddr, usize>,
    ended: bool,
}

impl Timeline {
    /// A timeline whose times count from `start`.
    pub fn new(start: Instant) -> Self {
        Self { start, stream: broadcast::channel(STREAM_CAPACITY).0, records: Arc::default() }
    }

    /// The instant that all times count from.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Time since the start of the run; zero before it.
    pub fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Begins a pod's history with its creation. A pod has its address to itself.
    pub fn created(&self, name: &Arc<str>, version: &Arc<str>, address: SocketAddr) {
        self.begin(name, version, address);
        self.record(name, What::Created);
    }

    /// The same for a pod whose creation was heard of later than it happened, or whose address is still to
    /// come: it is given as an unspecified one.
    pub fn created_at(
        &self,
        name: &Arc<str>,
        version: &Arc<str>,
        address: SocketAddr,
        at: Duration,
    ) {
        self.begin(name, version, address);
        self.record_at(name, at, What::Created);
    }

    fn begin(&self, name: &Arc<str>, version: &Arc<str>, address: SocketAddr) {
        let records = &mut *self.lock();
        let index = records.pods.len();
        records.pods.push(PodRecord {
            name: Arc::clone(name),
            version: Arc::clone(version),
            address,
            events: Vec::new(),
        });
        records.by_name.insert(Arc::clone(name), index);
        if !address.ip().is_unspecified() {
            records.by_address.insert(address, index);
        }
    }

    /// The address of a pod that was created without one.
    pub fn addressed(&self, pod: &str, address: SocketAddr) {
        let records = &mut *self.lock();
        let Some(&index) = records.by_name.get(pod) else { return };
        records.pods[index].address = address;
        records.by_address.insert(address, index);
    }

    /// Records and publishes an event of a pod that was created before.
    pub fn record(&self, pod: &Arc<str>, what: What) {
        self.record_when(pod, || self.now(), what);
    }

    /// The same for an event that was heard of later than it happened.
    pub fn record_at(&self, pod: &Arc<str>, at: Duration, what: What) {
        self.record_when(pod, || at, what);
    }

    /// The same, unless such a thing was recorded of the pod already.
    pub fn tell_once(&self, pod: &Arc<str>, at: Duration, what: What) {
        let known = {
            let records = self.lock();
            let record = records.by_name.get(pod).map(|&index| &records.pods[index]);
            record.is_some_and(|record| record.first(|known| known.name() == what.name()).is_some())
        };
        if !known {
            self.record_at(pod, at, what);
        }
    }

    /// Moves the last such event of a pod to when it really happened, if that was earlier.
    pub fn correct(&self, pod: &str, at: Duration, matches: impl Fn(&What) -> bool) {
        let records = &mut *self.lock();
        let Some(&index) = records.by_name.get(pod) else { return };
        let events = &mut records.pods[index].events;
        let last = events.iter().rposition(|event| matches(&event.what));
        if let Some(last) = last.filter(|&last| events[last].at > at) {
            events[last].at = at;
            events.sort_by_key(|event| event.at);
        }
    }

    fn record_when(&self, pod: &Arc<str>, at: impl FnOnce() -> Duration, what: What) {
        let mut records = self.lock();
        if records.ended {
            return;
        }
        let Some(&index) = records.by_name.get(pod) else { return };
        // Taken under the lock, so that a pod's events are in the order of their times.
        let event = Event { at: at(), what };
        let record = &mut records.pods[index];
        let place = record.events.partition_point(|known| known.at <= event.at);
        record.events.insert(place, event.clone());
        let version = Arc::clone(&record.version);
        // An error only says that nobody listens.
        let _ = self.stream.send(PodEvent { pod: Arc::clone(pod), version, event });
    }

    /// Records nothing from now on: the run is over, and how its pods are cleared away is no
    /// part of it.
    pub fn end(&self) {
        self.lock().ended = true;
    }

    /// Every event from now on. A subscriber that falls far behind misses the oldest ones;
    /// the record does not.
    pub fn subscribe(&self) -> broadcast::Receiver<PodEvent> {
        self.stream.subscribe()
    }

    /// The history of every pod so far, in order of creation.
    pub fn pods(&self) -> Vec<PodRecord> {
        self.lock().pods.clone()
    }

    /// Where the pod of this name listens.
    pub fn address_of(&self, pod: &str) -> Option<SocketAddr> {
        let records = self.lock();
        records.by_name.get(pod).map(|&index| records.pods[index].address)
    }

    /// Reads the histories of all pods so far, in order of creation, without copying them. Nothing
    /// can be recorded meanwhile: `read` must be quick and must not wait for a cluster.
    pub fn read<R>(&self, read: impl FnOnce(&[PodRecord]) -> R) -> R {
        read(&self.lock().pods)
    }

    /// The version of the pod with this address.
    pub fn version_at(&self, address: SocketAddr) -> Option<Arc<str>> {
        let records = self.lock();
        let index = *records.by_address.get(&address)?;
        Some(Arc::clone(&records.pods[index].version))
    }

    /// The state of the pod with this address at a moment; `None` if there was none.
    pub fn pod_at(&self, address: SocketAddr, at: Duration) -> Option<PodState> {
        let records = self.lock();
        records.pods[*records.by_address.get(&address)?].state_at(at)
    }

    /// Whether this consumer would have sent a new connection to that address then.
    pub fn in_table(&self, consumer: &str, address: SocketAddr, at: Duration) -> bool {
        let records = self.lock();
        let pod = records.by_address.get(&address);
        pod.is_some_and(|&index| records.pods[index].routed_by(consumer, at))
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds with a microsecond's precision: more digits only make reports longer.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests;
