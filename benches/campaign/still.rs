//! Times at which this machine stood still: a virtual machine that is paused, or whose processors its host
//! gives to others, shows no server, no client and no clock of the lab what it promised them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// Who slept and wakes so late was not kept by other processes: the scheduler prefers who has slept.
const STILL: Duration = Duration::from_millis(500);

/// Watches the clock from a thread that does nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Mutex<Vec<(Instant, Duration)>>>);

impl Watch {
    pub(crate) fn start() -> Self {
        let watch = Self(Arc::default());
        let times = Arc::downgrade(&watch.0);
        thread::spawn(move || {
            loop {
                let asleep = Instant::now();
                thread::sleep(LOOK);
                let late = asleep.elapsed().saturating_sub(LOOK);
                // As long as anybody asks.
                let Some(times) = times.upgrade() else { return };
                if late >= STILL {
                    lock(&times).push((Instant::now(), late));
                }
            }
        });
        watch
    }

    /// The longest that it has stood still since then, if it has.
    pub(crate) fn since(&self, begin: Instant) -> Option<Duration> {
        let times = lock(&self.0);
        times.iter().filter(|(end, _)| *end >= begin).map(|(_, late)| *late).max()
    }
}

fn lock(times: &Mutex<Vec<(Instant, Duration)>>) -> MutexGuard<'_, Vec<(Instant, Duration)>> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}
