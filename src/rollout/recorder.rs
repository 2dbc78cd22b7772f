//! What the requests of an experiment add up to, a second at a time, and every lost one whole.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use super::load::{Attempt, Outcome};

/// Requests without an answer have no version; they are counted under this.
const NO_VERSION: &str = "none";

/// Lost requests kept whole. More than these are still counted, by outcome and by second.
const MAX_LOSSES: usize = 100_000;

/// The requests that ended in one second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Second {
    /// Which, from the start of the run.
    pub at: u64,
    /// Answers by version.
    pub versions: BTreeMap<String, u64>,
    /// Those that were lost, by outcome.
    pub lost: BTreeMap<Outcome, u64>,
}

/// Collects attempts as they end.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: u64,
    lost: u64,
    seconds: Vec<Second>,
    losses: Vec<Attempt>,
}

/// How far an experiment's load has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that have ended.
    pub requests: u64,
    /// Those that were lost.
    pub lost: u64,
}

impl Recorder {
    /// Counts one attempt.
    pub fn add(&self, attempt: Attempt) {
        let inner = &mut *self.lock();
        inner.requests += 1;
        let at = attempt.finished.as_secs();
        // Seconds come almost in order; a slow request never ends before it was recorded.
        while inner.seconds.last().is_none_or(|last| last.at < at) {
            let next = inner.seconds.last().map_or(at, |last| last.at + 1);
            inner.seconds.push(Second { at: next, ..Second::default() });
        }
        let first = inner.seconds[0].at;
        let index = at.saturating_sub(first) as usize;
        let second = &mut inner.seconds[index];
        let lost = attempt.outcome.is_lost();
        if lost {
            *second.lost.entry(attempt.outcome).or_default() += 1;
        }
        match &attempt.version {
            Some(version) => *second.versions.entry(version.to_string()).or_default() += 1,
            None => *second.versions.entry(NO_VERSION.to_owned()).or_default() += 1,
        }
        if lost {
            inner.lost += 1;
            if inner.losses.len() < MAX_LOSSES {
                inner.losses.push(attempt);
            }
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let inner = self.lock();
        Counts { requests: inner.requests, lost: inner.lost }
    }

    /// Everything: the seconds, and the lost requests in the order in which they ended.
    pub fn take(&self) -> (Vec<Second>, Vec<Attempt>) {
        let inner = &mut *self.lock();
        (std::mem::take(&mut inner.seconds), std::mem::take(&mut inner.losses))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rollout::load::Version;

    fn ended(millis: u64, outcome: Outcome) -> Attempt {
        Attempt {
            seq: 0,
            stream: 0,
            intended: Duration::ZERO,
            sent: Duration::ZERO,
            finished: Duration::from_millis(millis),
            outcome,
            status: None,
            peer: None,
            reused: false,
            retryable: false,
            version: (outcome == Outcome::Ok).then(|| Version::Named("v1".into())),
            proxied: None,
            bytes_in: 0,
            bytes_out: 0,
            error: None,
        }
    }

    #[test]
    fn every_second_is_there_and_every_loss_is_kept() {
        let recorder = Recorder::default();
        for (millis, outcome) in [
            (2_100, Outcome::Ok),
            (5_000, Outcome::Refused),
            (4_900, Outcome::Ok),
            (5_999, Outcome::Ok),
        ] {
            recorder.add(ended(millis, outcome));
        }
        assert_eq!(recorder.counts(), Counts { requests: 4, lost: 1 });
        let (seconds, losses) = recorder.take();
        assert_eq!(seconds.iter().map(|s| s.at).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(seconds[3].versions["v1"], 1);
        assert_eq!(seconds[3].lost[&Outcome::Refused], 1);
        assert_eq!(seconds[2].versions["v1"], 1);
        assert_eq!(losses.len(), 1);
    }
}
