//! When every request is due: the n-th of a stream at n / rate, whatever the answers do.

use std::time::Duration;

/// One request of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) stream: usize,
    pub(super) intended: Duration,
}

/// The streams' requests in the order in which they are due.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    streams: Vec<Cadence>,
    /// No request is due at or after this.
    end: Duration,
}

#[derive(Debug, Clone)]
struct Cadence {
    rate: f64,
    sent: u64,
    next: Duration,
}

impl Schedule {
    pub(super) fn new(rates: impl IntoIterator<Item = f64>, end: Option<Duration>) -> Self {
        let streams =
            rates.into_iter().map(|rate| Cadence { rate, sent: 0, next: Duration::ZERO }).collect();
        Self { streams, end: end.unwrap_or(Duration::MAX) }
    }

    /// When the next request is due; `None` once the schedule has ended.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.peek().map(|due| due.intended)
    }

    /// The next request, if it is due by `now`.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Due> {
        let due = self.peek().filter(|due| due.intended <= now)?;
        self.streams[due.stream].advance();
        Some(due)
    }

    fn peek(&self) -> Option<Due> {
        let (stream, cadence) =
            self.streams.iter().enumerate().min_by_key(|(_, cadence)| cadence.next)?;
        (cadence.next < self.end).then_some(Due { stream, intended: cadence.next })
    }
}

impl Cadence {
    fn advance(&mut self) {
        self.sent += 1;
        // Always from the start, never from the last one: no error adds up.
        self.next =
            Duration::try_from_secs_f64(self.sent as f64 / self.rate).unwrap_or(Duration::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(schedule: &mut Schedule, now: Duration) -> Vec<(usize, u128)> {
        std::iter::from_fn(|| schedule.pop(now))
            .map(|due| (due.stream, due.intended.as_millis()))
            .collect()
    }

    #[test]
    fn streams_are_merged_in_order_of_time() {
        let mut schedule = Schedule::new([10.0, 5.0], None);
        assert_eq!(
            drain(&mut schedule, Duration::from_millis(400)),
            [(0, 0), (1, 0), (0, 100), (0, 200), (1, 200), (0, 300), (0, 400), (1, 400)]
        );
        assert_eq!(schedule.next_at(), Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_duration_holds_exactly_rate_times_duration_requests() {
        let mut schedule = Schedule::new([5_000.0], Some(Duration::from_secs(2)));
        assert_eq!(drain(&mut schedule, Duration::from_secs(60)).len(), 10_000);
        assert_eq!(schedule.next_at(), None);
    }

    #[test]
    fn what_is_overdue_keeps_its_intended_time() {
        let mut schedule = Schedule::new([1.0], None);
        let late = drain(&mut schedule, Duration::from_secs(3));
        assert_eq!(late, [(0, 0), (0, 1_000), (0, 2_000), (0, 3_000)]);
    }
}
