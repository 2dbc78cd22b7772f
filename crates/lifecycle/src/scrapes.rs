//! How long the last scrape is worth waiting for, learned from the scrapes seen.

use std::{collections::VecDeque, fmt, net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::Lifecycle;

/// Gaps remembered of each scraper: one that was late makes unequal ones, and the longest counts.
const REMEMBERED: usize = 4;

/// Scrapers remembered; more than these, and the one that has been away for longest is forgotten.
const SCRAPERS: usize = 8;

/// A scrape of the metrics on its way; [`landed`](Self::landed) when its answer was sent.
#[must_use = "a scrape counts once it has landed"]
pub struct Scrape {
    lifecycle: Lifecycle,
    from: Option<IpAddr>,
    began: Instant,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Scrape {
    pub(super) fn begin(lifecycle: Lifecycle, from: Option<IpAddr>) -> Self {
        Self { lifecycle, from, began: Instant::now() }
    }

    /// The answer was sent completely.
    pub fn landed(self) {
        let Self { lifecycle, from, began } = self;
        lifecycle.note_scrape(from, began);
    }
}

/// The scrapes of this server's metrics that were answered completely.
#[derive(Debug, Default)]
pub struct Scrapes {
    total: u64,
    scrapers: Vec<Scraper>,
}

/// Who scrapes: a pair of Prometheus servers are two, and each is owed the last values.
#[derive(Debug)]
struct Scraper {
    from: Option<IpAddr>,
    last: Instant,
    gaps: VecDeque<Duration>,
}

impl Scrapes {
    /// Notes a scrape whose answer was sent completely and shows the values of `began`.
    ///
    /// Not of the moment it landed: what was read before the drain's end shows no drained server,
    /// however late it arrives.
    pub fn landed(&mut self, from: Option<IpAddr>, began: Instant) {
        self.total += 1;
        if let Some(known) = self.scrapers.iter_mut().find(|scraper| scraper.from == from) {
            return known.came_again(began);
        }
        if self.scrapers.len() == SCRAPERS
            && let Some(oldest) = self.scrapers.iter_mut().min_by_key(|scraper| scraper.last)
        {
            *oldest = Scraper::new(from, began);
            return;
        }
        self.scrapers.push(Scraper::new(from, began));
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How long after `drained_at` to wait for the last scrape; `None` when all that are due have
    /// landed, or none is to be expected.
    ///
    /// One scrape of each who comes regularly is waited for, twice as long as it usually stays
    /// away. Whoever came only once may never come again: it counts where nobody is regular.
    pub fn linger(&self, drained_at: Instant, limit: Duration) -> Option<Duration> {
        let regular = self.scrapers.iter().any(|scraper| scraper.interval().is_some());
        let counts = |scraper: &&Scraper| scraper.interval().is_some() || !regular;
        let lingers = self.scrapers.iter().filter(counts);
        lingers.filter_map(|scraper| scraper.linger(drained_at, limit)).max()
    }
}

impl Scraper {
    fn new(from: Option<IpAddr>, last: Instant) -> Self {
        Self { from, last, gaps: VecDeque::new() }
    }

    fn came_again(&mut self, now: Instant) {
        // Two on their way at once may land in either order.
        let gap = now.saturating_duration_since(self.last);
        self.last = self.last.max(now);
        if self.gaps.len() == REMEMBERED {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// The scrape interval as far as it is known.
    fn interval(&self) -> Option<Duration> {
        self.gaps.iter().max().copied()
    }

    fn linger(&self, drained_at: Instant, limit: Duration) -> Option<Duration> {
        if self.last >= drained_at {
            return None;
        }
        let expected = self.interval().map_or(limit, |interval| interval * 2);
        // Those that stopped coming are not waited for.
        (drained_at - self.last <= expected).then(|| expected.min(limit))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Scrapes by two scrapers, at these seconds, and the linger of a server drained at another.
    fn linger(first: &[u64], second: &[u64], drained: u64) -> Option<u64> {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut all: Vec<_> = first.iter().map(|s| (*s, 1)).collect();
        all.extend(second.iter().map(|s| (*s, 2)));
        all.sort_unstable();
        let mut scrapes = Scrapes::default();
        for (s, who) in all {
            scrapes.landed(Some(Ipv4Addr::new(10, 0, 0, who).into()), at(s));
        }
        scrapes.linger(at(drained), Duration::from_secs(20)).map(|linger| linger.as_secs())
    }

    #[test]
    fn waits_only_where_a_scrape_is_due() {
        let cases: [(&[u64], u64, Option<u64>); 9] = [
            // Nobody scrapes.
            (&[], 10, None),
            // One scrape: the interval is not known yet.
            (&[5], 10, Some(20)),
            // One scrape, so long ago that it was somebody's look at the metrics.
            (&[5], 26, None),
            // Every 5 s: twice the interval.
            (&[0, 5], 7, Some(10)),
            // Every 15 s: the limit.
            (&[0, 15], 20, Some(20)),
            // One scrape was late or lost: the longest gap counts.
            (&[0, 1, 5, 6], 7, Some(8)),
            // That was long ago.
            (&[0, 9, 10, 11, 12, 13], 14, Some(2)),
            // They stopped coming.
            (&[0, 5], 16, None),
            // The last one has landed.
            (&[0, 5, 10], 7, None),
        ];
        for (landed, drained, expected) in cases {
            assert_eq!(linger(landed, &[], drained), expected, "{landed:?} {drained}");
        }
    }

    #[test]
    fn each_of_two_scrapers_is_waited_for() {
        // Both every 5 s; drained at 8 s.
        for (first, second, expected) in [
            (&[0, 5][..], &[2, 7][..], Some(10)),
            // The first has its last scrape, the second not yet.
            (&[0, 5, 10], &[2, 7], Some(10)),
            (&[0, 5, 10], &[2, 7, 12], None),
            // Different intervals: the longer one.
            (&[4, 5, 6, 7], &[0, 6], Some(12)),
            // One of them is no more.
            (&[0, 1, 2], &[1, 6], Some(10)),
            // Somebody had a look, once.
            (&[0, 5, 10], &[7], None),
        ] {
            assert_eq!(linger(first, second, 8), expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn only_so_many_scrapers_are_remembered() {
        let start = Instant::now();
        let mut scrapes = Scrapes::default();
        for who in 0..100 {
            scrapes.landed(Some(Ipv4Addr::new(10, 0, 0, who).into()), start);
        }
        assert_eq!((scrapes.scrapers.len(), scrapes.total()), (SCRAPERS, 100));
    }
}
