//! Times at which a processor of this machine stood still: a virtual machine that is paused, or whose
//! processors its host gives to others, keeps no promise, whatever runs on it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_setaffinity};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// Who slept and wakes so late was not kept by other processes: the scheduler prefers who has slept.
const STILL: Duration = Duration::from_millis(500);

/// Watches the clock from threads that do nothing else, one on each processor: of two, one may stand still
/// alone, and then ends what runs on it so much later.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Times>);

/// When it stood still, and how long.
type Times = Mutex<Vec<(Instant, Duration)>>;

impl Watch {
    pub(crate) fn start() -> Self {
        let watch = Self(Arc::default());
        for processor in 0..thread::available_parallelism().map_or(1, usize::from) {
            let times = Arc::downgrade(&watch.0);
            thread::spawn(move || {
                let mut only = CpuSet::new();
                only.set(processor);
                // Where the processors have other numbers it sees less.
                let _ = sched_setaffinity(None, &only);
                look(&times);
            });
        }
        watch
    }

    /// The longest that it has stood still since then, if it has.
    pub(crate) fn since(&self, begin: Instant) -> Option<Duration> {
        let times = lock(&self.0);
        times.iter().filter(|(end, _)| *end >= begin).map(|(_, late)| *late).max()
    }
}

/// Looks at the clock for as long as anybody asks.
fn look(times: &Weak<Times>) {
    loop {
        let asleep = Instant::now();
        thread::sleep(LOOK);
        let late = asleep.elapsed().saturating_sub(LOOK);
        let Some(times) = times.upgrade() else { return };
        if late >= STILL {
            lock(&times).push((Instant::now(), late));
        }
    }
}

fn lock(times: &Times) -> MutexGuard<'_, Vec<(Instant, Duration)>> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}
