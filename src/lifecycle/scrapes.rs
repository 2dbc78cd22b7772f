//! How long the last scrape is worth waiting for, learned from the scrapes seen.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Gaps remembered; two scrapers in turn make unequal ones, and the longest counts.
const REMEMBERED: usize = 4;

/// The scrapes of this server's metrics that were answered completely.
#[derive(Debug, Default)]
pub(crate) struct Scrapes {
    total: u64,
    last: Option<Instant>,
    gaps: VecDeque<Duration>,
}

impl Scrapes {
    /// Notes a scrape whose answer was sent completely.
    pub(crate) fn landed(&mut self, now: Instant) {
        self.total += 1;
        if let Some(last) = self.last.replace(now) {
            if self.gaps.len() == REMEMBERED {
                self.gaps.pop_front();
            }
            self.gaps.push_back(now - last);
        }
    }

    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// When the last one landed.
    #[cfg(feature = "lab")]
    pub(crate) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// The scrape interval as far as it is known.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.gaps.iter().max().copied()
    }

    /// How long after `drained_at` to wait for the last scrape; `None` when it has landed or
    /// none is to be expected.
    pub(crate) fn linger(&self, drained_at: Instant, limit: Duration) -> Option<Duration> {
        let last = self.last?;
        if last >= drained_at {
            return None;
        }
        let Some(interval) = self.interval() else { return Some(limit) };
        // Scrapers that stopped coming are not waited for.
        if drained_at - last > interval * 2 {
            return None;
        }
        Some((interval * 2).min(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_only_where_a_scrape_is_due() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let limit = Duration::from_secs(20);
        let cases: [(&[u64], u64, Option<u64>); 7] = [
            // Nobody scrapes.
            (&[], 10, None),
            // One scrape: the interval is not known yet.
            (&[5], 10, Some(20)),
            // Every 5 s: twice the interval.
            (&[0, 5], 7, Some(10)),
            // Every 15 s: the limit.
            (&[0, 15], 20, Some(20)),
            // A pair of scrapers: the longest gap counts.
            (&[0, 1, 5, 6], 7, Some(8)),
            // They stopped coming.
            (&[0, 5], 16, None),
            // The last one has landed.
            (&[0, 5, 10], 7, None),
        ];
        for (landed, drained, expected) in cases {
            let mut scrapes = Scrapes::default();
            for s in landed {
                scrapes.landed(at(*s));
            }
            let expected = expected.map(Duration::from_secs);
            assert_eq!(scrapes.linger(at(drained), limit), expected, "{landed:?} {drained}");
        }
    }
}
