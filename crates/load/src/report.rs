//! What a run came to: counts and distributions, by stream and in all.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hdrhistogram::Histogram;

use super::{
    attempt::{Attempt, Outcome, Version},
    mix::Mix,
};

/// An error text beyond this many different ones is counted, not kept.
const MAX_ERRORS: usize = 100;

/// Durations in a histogram of nanoseconds: three significant digits up to an hour.
#[derive(Clone)]
pub struct Distribution {
    histogram: Histogram<u64>,
    total: u128,
    min: Duration,
    max: Duration,
}

impl Default for Distribution {
    fn default() -> Self {
        const HOUR: u64 = 3_600_000_000_000;
        Self {
            // The bounds are constants that the constructor accepts.
            histogram: Histogram::new_with_bounds(1, HOUR, 3)
                .unwrap_or_else(|_| unreachable!("1 ns to 1 h at 3 digits are valid bounds")),
            total: 0,
            min: Duration::MAX,
            max: Duration::ZERO,
        }
    }
}

impl Distribution {
    /// Adds one duration.
    pub fn add(&mut self, value: Duration) {
        self.histogram.saturating_record(value.as_nanos() as u64);
        self.total += value.as_nanos();
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds all durations of another distribution.
    pub fn merge(&mut self, other: &Self) {
        // Fails only for histograms of different bounds.
        let _ = self.histogram.add(&other.histogram);
        self.total += other.total;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The smallest; zero without any.
    pub fn min(&self) -> Duration {
        if self.count() == 0 { Duration::ZERO } else { self.min }
    }

    /// The largest, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The sum of all, exactly.
    pub fn total(&self) -> Duration {
        nanos(self.total)
    }

    /// The mean, exactly.
    pub fn mean(&self) -> Duration {
        match u128::from(self.count()) {
            0 => Duration::ZERO,
            count => nanos(self.total / count),
        }
    }

    /// The duration that this share of all does not exceed; `quantile` from 0 to 1.
    pub fn quantile(&self, quantile: f64) -> Duration {
        if self.count() == 0 {
            return Duration::ZERO;
        }
        // The histogram rounds up to its bucket's end; nothing was longer than the longest.
        Duration::from_nanos(self.histogram.value_at_quantile(quantile)).min(self.max)
    }

    /// How many are longer than this, to the histogram's three digits.
    pub fn count_above(&self, limit: Duration) -> u64 {
        let within = self.histogram.count_between(0, limit.as_nanos() as u64);
        self.count() - within
    }

    /// The histogram itself, in nanoseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }
}

fn nanos(total: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new((total / SECOND) as u64, (total % SECOND) as u32)
}

impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distribution")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

/// Counts and distributions of a number of attempts.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// All requests that were due.
    pub requests: u64,
    /// How they ended.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Those that a user would have noticed.
    pub lost: u64,
    /// Those of them that a client which retries by Go's net/http rule would have lost too,
    /// taking every retry for a success.
    pub lost_with_retries: u64,
    /// Complete answers by status; 0 stands for none, as in vegeta.
    pub status_codes: BTreeMap<u16, u64>,
    /// Answers by version.
    pub versions: BTreeMap<Version, u64>,
    /// Bytes of response bodies.
    pub bytes_in: u64,
    /// Bytes of request bodies.
    pub bytes_out: u64,
    /// From the intended send to the end, of all that were sent, failed ones included.
    pub latency: Distribution,
    /// From the intended to the real send.
    pub send_delay: Distribution,
    /// Error texts and how often each came.
    pub errors: BTreeMap<Arc<str>, u64>,
    /// Errors with other texts than the first hundred.
    pub other_errors: u64,
    /// When the first request was due.
    pub first: Option<Duration>,
    /// When the last request was due.
    pub last: Duration,
    /// When the last one ended.
    pub end: Duration,
}

impl Tally {
    /// Counts one attempt.
    pub fn add(&mut self, attempt: &Attempt) {
        self.requests += 1;
        *self.outcomes.entry(attempt.outcome).or_default() += 1;
        if attempt.outcome.is_lost() {
            self.lost += 1;
            self.lost_with_retries += u64::from(!attempt.retryable);
        }
        *self.status_codes.entry(attempt.complete_status().unwrap_or(0)).or_default() += 1;
        if let Some(version) = &attempt.version {
            // By reference first: the name is known from the second answer on.
            match self.versions.get_mut(version) {
                Some(count) => *count += 1,
                None => {
                    self.versions.insert(version.clone(), 1);
                }
            }
        }
        self.bytes_in += attempt.bytes_in;
        if attempt.outcome != Outcome::Unsent {
            self.bytes_out += attempt.bytes_out;
            self.latency.add(attempt.latency());
            self.send_delay.add(attempt.send_delay());
        }
        if let Some(error) = &attempt.error {
            self.add_error(error, 1);
        }
        self.first = Some(self.first.map_or(attempt.intended, |first| first.min(attempt.intended)));
        self.last = self.last.max(attempt.intended);
        self.end = self.end.max(attempt.finished);
    }

    /// Counts what another tally holds.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.lost += other.lost;
        self.lost_with_retries += other.lost_with_retries;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.other_errors += other.other_errors;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        for (status, count) in &other.status_codes {
            *self.status_codes.entry(*status).or_default() += count;
        }
        for (version, count) in &other.versions {
            *self.versions.entry(version.clone()).or_default() += count;
        }
        for (error, count) in &other.errors {
            self.add_error(error, *count);
        }
        self.latency.merge(&other.latency);
        self.send_delay.merge(&other.send_delay);
        self.first = match (self.first, other.first) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.last = self.last.max(other.last);
        self.end = self.end.max(other.end);
    }

    /// How many ended this way.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// From the first to the last due request.
    pub fn duration(&self) -> Duration {
        self.last.saturating_sub(self.first.unwrap_or_default())
    }

    /// How long the last answer was waited for after the last request was due.
    pub fn wait(&self) -> Duration {
        self.end.saturating_sub(self.last)
    }

    /// The share of requests that succeeded, from 0 to 1.
    pub fn success(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.count(Outcome::Ok) as f64 / self.requests as f64 }
    }

    fn add_error(&mut self, text: &Arc<str>, count: u64) {
        if let Some(known) = self.errors.get_mut(text) {
            *known += count;
        } else if self.errors.len() < MAX_ERRORS {
            self.errors.insert(Arc::clone(text), count);
        } else {
            self.other_errors += count;
        }
    }
}

/// A run's result.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// What was sent.
    pub mix: Mix,
    /// The wall clock's time at the origin of all times in the attempts.
    pub started: SystemTime,
    /// Each stream's part, in the mix's order.
    pub streams: Vec<Tally>,
    /// All streams together.
    pub total: Tally,
    /// The most requests that were outstanding at once.
    pub peak_in_flight: usize,
}

impl LoadReport {
    pub(super) fn new(
        mix: Mix,
        started: SystemTime,
        offset: Duration,
        streams: Vec<Tally>,
        peak_in_flight: usize,
    ) -> Self {
        let mut total = Tally::default();
        for stream in &streams {
            total.merge(stream);
        }
        Self { mix, started: started - offset, streams, total, peak_in_flight }
    }

    /// The largest delay between intended and real send: whether the rate was kept.
    pub fn largest_send_delay(&self) -> Duration {
        self.total.send_delay.max()
    }
}
