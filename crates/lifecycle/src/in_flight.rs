//! What is under way, counted exactly: requests, connections, listeners, background work.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::phase::Phase;

/// Something that the drain had to wait for and that was still there at the deadline.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct Unfinished {
    /// What kind of thing it is: `request`, `connection`, `work`.
    pub kind: &'static str,
    /// The route of a request, the name of background work, the peer of a connection.
    pub what: String,
    /// Seconds since it began.
    pub age_seconds: f64,
}

/// Names what is still under way, when the deadline has come.
///
/// The counters below only count; whoever counts can also say what it counted.
///
/// Asked from the drain's thread, while requests come and go: an answer has to be cheap, however much
/// is under way.
pub trait Census: Send + Sync {
    /// How much is unfinished at this moment.
    fn count(&self) -> usize;

    /// The oldest of it, at most so many, by name.
    fn oldest(&self, most: usize) -> Vec<Unfinished>;
}

/// Wakes the drain when a count may have reached zero.
#[derive(Debug, Default)]
pub(super) struct Idle {
    watched: AtomicBool,
    notify: Notify,
}

impl Idle {
    /// From now on every count that reaches zero is announced.
    pub(super) fn watch(&self) {
        self.watched.store(true, Ordering::SeqCst);
    }

    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }

    fn reached_zero(&self) {
        // Ordered after the decrement and before the load: either the drain sees the zero, or
        // this sees that the drain is watching.
        if self.watched.load(Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }
}

/// A number of things under way.
#[derive(Debug, Clone)]
pub struct Count {
    inner: Arc<CountInner>,
}

#[derive(Debug)]
struct CountInner {
    value: AtomicUsize,
    idle: Arc<Idle>,
}

impl Count {
    fn new(idle: &Arc<Idle>) -> Self {
        Self { inner: Arc::new(CountInner { value: AtomicUsize::new(0), idle: Arc::clone(idle) }) }
    }

    /// How many there are.
    pub fn get(&self) -> usize {
        self.inner.value.load(Ordering::SeqCst)
    }

    /// Counts one more, until the guard is dropped.
    pub fn enter(&self) -> Guard {
        self.inner.value.fetch_add(1, Ordering::SeqCst);
        Guard { count: Arc::clone(&self.inner) }
    }
}

/// One thing under way; it ends when this is dropped, also by a panic.
#[derive(Debug)]
#[must_use = "what is counted ends when its guard is dropped"]
pub struct Guard {
    count: Arc<CountInner>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.count.value.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.count.idle.reached_zero();
        }
    }
}

/// Requests that came in each phase, and when the last one came after the lame duck began.
#[derive(Debug)]
pub struct Arrivals {
    origin: Instant,
    by_phase: [AtomicU64; Phase::ALL.len()],
    /// Nanoseconds from `origin` to the last arrival that was noted; 0 for none.
    last: AtomicU64,
}

impl Arrivals {
    fn new() -> Self {
        Self { origin: Instant::now(), by_phase: Default::default(), last: AtomicU64::new(0) }
    }

    /// Counts a request of traffic (not a probe, a scrape or the hook).
    #[inline]
    pub(super) fn note(&self, phase: Phase) {
        self.by_phase[phase as usize].fetch_add(1, Ordering::Relaxed);
        // While serving nobody asks when the last one came, so the clock is not read.
        if phase >= Phase::LameDuck {
            let now = self.origin.elapsed().as_nanos() as u64;
            self.last.fetch_max(now.max(1), Ordering::SeqCst);
        }
    }

    /// How many came in this phase.
    pub fn in_phase(&self, phase: Phase) -> u64 {
        self.by_phase[phase as usize].load(Ordering::Relaxed)
    }

    /// When the last one came, if any came since the lame duck began.
    pub fn last(&self) -> Option<Instant> {
        match self.last.load(Ordering::SeqCst) {
            0 => None,
            nanos => Some(self.origin + Duration::from_nanos(nanos)),
        }
    }

    pub(super) fn forget_last(&self) {
        self.last.store(0, Ordering::SeqCst);
    }
}

/// Background work that the drain waits for.
#[derive(Debug, Default)]
struct Running {
    next: u64,
    running: Vec<(u64, String, Instant)>,
}

/// Registered background work; it is done when this is dropped.
#[derive(Debug)]
#[must_use = "the drain waits for the work until its guard is dropped"]
pub struct Work {
    id: u64,
    list: Arc<Mutex<Running>>,
    // Dropped after the entry is gone, so that a count of zero means that none is listed.
    guard: Option<Guard>,
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.running.retain(|(id, ..)| *id != self.id);
        drop(list);
        drop(self.guard.take());
    }
}

/// Everything that the drain waits for.
#[derive(Debug)]
pub struct InFlight {
    /// Requests of traffic, from their head to the last byte of their answer.
    pub requests: Count,
    /// Connections of the traffic listeners.
    pub connections: Count,
    /// Traffic listeners that still have a queue to serve.
    pub listeners: Count,
    /// Background work.
    work: Count,
    list: Arc<Mutex<Running>>,
    /// When requests came.
    pub arrivals: Arrivals,
    pub(super) idle: Arc<Idle>,
}

impl InFlight {
    pub(super) fn new() -> Self {
        let idle = Arc::new(Idle::default());
        Self {
            requests: Count::new(&idle),
            connections: Count::new(&idle),
            listeners: Count::new(&idle),
            work: Count::new(&idle),
            list: Arc::default(),
            arrivals: Arrivals::new(),
            idle,
        }
    }

    /// Background work now running.
    pub fn work(&self) -> usize {
        self.work.get()
    }

    pub(super) fn register(&self, name: String) -> Work {
        let guard = Some(self.work.enter());
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let id = list.next;
        list.next += 1;
        list.running.push((id, name, Instant::now()));
        drop(list);
        Work { id, list: Arc::clone(&self.list), guard }
    }

    /// Whether nothing is left to wait for.
    pub fn is_idle(&self) -> bool {
        // Requests last: a connection that is being served cannot go before its request.
        self.listeners.get() == 0
            && self.connections.get() == 0
            && self.requests.get() == 0
            && self.work.get() == 0
    }

    /// The background work that is not done, in the order it began, at most so much.
    pub(super) fn unfinished_work(&self, most: usize) -> Vec<Unfinished> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |(_, name, since): &(u64, String, Instant)| Unfinished {
            kind: "work",
            what: name.clone(),
            age_seconds: since.elapsed().as_secs_f64(),
        };
        list.running.iter().take(most).map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_count_until_they_drop_also_by_panic() {
        let in_flight = InFlight::new();
        let one = in_flight.requests.enter();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _two = in_flight.requests.enter();
            assert_eq!(in_flight.requests.get(), 2);
            std::panic::panic_any(());
        }));
        assert!(panicked.is_err());
        assert_eq!(in_flight.requests.get(), 1);
        assert!(!in_flight.is_idle());
        drop(one);
        assert!(in_flight.is_idle());
    }

    #[test]
    fn work_is_named_while_it_runs() {
        let in_flight = InFlight::new();
        let flush = in_flight.register("flush".to_owned());
        let other = in_flight.register("other".to_owned());
        drop(flush);
        let names: Vec<_> = in_flight.unfinished_work(9).into_iter().map(|u| u.what).collect();
        assert_eq!(names, ["other"]);
        drop(other);
        assert!(in_flight.unfinished_work(9).is_empty() && in_flight.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_arrival_is_noted_from_the_lame_duck_on() {
        let arrivals = Arrivals::new();
        tokio::time::advance(Duration::from_secs(1)).await;
        arrivals.note(Phase::Serving);
        assert_eq!(arrivals.last(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        arrivals.note(Phase::LameDuck);
        assert_eq!(arrivals.last(), Some(arrivals.origin + Duration::from_secs(2)));
        assert_eq!(arrivals.in_phase(Phase::Serving), 1);
        arrivals.forget_last();
        assert_eq!(arrivals.last(), None);
    }
}
