//! The clock that wakes the engine when requests are due.
//!
//! The runtime's own timer counts in milliseconds and rounds up, which alone would use up
//! most of the permitted delay; a thread that sleeps until the next due time wakes within
//! some tens of microseconds, and costs nothing while it sleeps.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::schedule::Schedule;

/// Requests closer together than this are sent as one batch: waking more often costs more
/// than it gains.
const BATCH: Duration = Duration::from_micros(250);

/// Wakes its owner at each due time of a schedule, until dropped.
#[derive(Debug)]
pub(super) struct Pacer {
    due: Arc<Notify>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pacer {
    pub(super) fn start(schedule: Schedule, origin: Instant) -> io::Result<Self> {
        let due = Arc::new(Notify::new());
        let stopped = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("load-pacer".to_owned()).spawn({
            let (due, stopped) = (Arc::clone(&due), Arc::clone(&stopped));
            move || tick(schedule, origin, &due, &stopped)
        })?;
        Ok(Self { due, stopped, thread: Some(thread) })
    }

    /// Waits for the next due time. Ticks that were not waited for count as one.
    pub(super) async fn tick(&self) {
        self.due.notified().await;
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that could panic, and nothing is lost if it did.
            let _ = thread.join();
        }
    }
}

fn tick(mut schedule: Schedule, origin: Instant, due: &Notify, stopped: &AtomicBool) {
    let mut earliest = Duration::ZERO;
    while let Some(next) = schedule.next_at() {
        let wake = next.max(earliest);
        loop {
            if stopped.load(Ordering::Acquire) {
                return;
            }
            let left = (origin + wake).saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        let now = origin.elapsed();
        while schedule.pop(now).is_some() {}
        earliest = now + BATCH;
        due.notify_one();
    }
    // One more, so that the owner sees that the schedule has ended.
    due.notify_one();
}
