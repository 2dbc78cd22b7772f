//! How far another clock is from this one, from what must have happened before what.
//!
//! Nothing in a cluster tells its time to the millisecond, and no two machines' clocks agree. But a
//! message is never read before it was written: of something that happened there before something
//! here, and of something that happened there after something here, each gives a bound.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds of what is to be added to a time there to have the time here, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    low: f64,
    high: f64,
}

impl Default for Offset {
    fn default() -> Self {
        Self { low: f64::NEG_INFINITY, high: f64::INFINITY }
    }
}

impl Offset {
    /// What happened at `theirs` there was known at `here` here.
    pub fn known_by(&mut self, theirs: f64, here: f64) {
        self.high = self.high.min(here - theirs);
    }

    /// What happened at `theirs` there had been caused at `here` here.
    pub fn caused_at(&mut self, theirs: f64, here: f64) {
        self.low = self.low.max(here - theirs);
    }

    /// Narrows it by another's bounds, which are for a clock that is taken for the same.
    pub fn also(&mut self, other: Self) {
        self.low = self.low.max(other.low);
        self.high = self.high.min(other.high);
    }

    /// The same for a clock that is `ahead` seconds ahead of this one's.
    #[must_use]
    pub fn ahead(self, ahead: f64) -> Self {
        Self { low: self.low - ahead, high: self.high - ahead }
    }

    /// The best guess: what lies in the middle; what is known, where only one bound is.
    pub fn best(self) -> Option<f64> {
        match (self.low.is_finite(), self.high.is_finite()) {
            (true, true) => Some(f64::midpoint(self.low, self.high)),
            (true, false) => Some(self.low),
            (false, true) => Some(self.high),
            (false, false) => None,
        }
    }

    /// By how much the best guess can be wrong, in seconds; `None` where one bound is missing. Where
    /// the bounds contradict each other, because they came from clocks that do not agree, it is by
    /// how much they do.
    pub fn uncertainty(self) -> Option<f64> {
        let width = self.high - self.low;
        width.is_finite().then(|| (width / 2.0).abs())
    }

    /// A time there as a time here; `None` where nothing is known, or it was before the start.
    pub fn here(self, theirs: f64) -> Option<Duration> {
        Duration::try_from_secs_f64(theirs + self.best()?).ok()
    }
}

/// How well times from the cluster are known. Seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockReport {
    /// By how much the requests' times can be wrong against the pods' events: 0 where the load was
    /// sent from here, `None` where no bound was found.
    pub load_uncertainty: Option<f64>,
    /// By how much the times in the pods' own reports can be wrong.
    pub pods_uncertainty: Option<f64>,
    /// How often the watch on the cluster broke off: what happened meanwhile was seen late.
    pub watch_restarts: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_and_what_was_after_bound_the_offset() {
        let mut offset = Offset::default();
        assert_eq!((offset.best(), offset.uncertainty()), (None, None));
        // Theirs is 100 s ahead; a line takes 30 ms, then 10 ms to arrive.
        offset.known_by(105.0, 5.03);
        offset.known_by(106.0, 6.01);
        // Told to stop at 9, it heard of it 20 ms later.
        offset.caused_at(109.02, 9.0);
        let best = offset.best().expect("both bounds");
        assert!((best + 100.005).abs() < 1e-9, "{best}");
        assert!((offset.uncertainty().expect("both") - 0.015).abs() < 1e-9);
        let here = offset.here(103.0).expect("after the start");
        assert!((here.as_secs_f64() - 2.995).abs() < 1e-9);
        assert_eq!(offset.here(99.0), None, "before the start of the run");
    }

    #[test]
    fn bounds_that_contradict_each_other_are_an_uncertainty_too() {
        let mut offset = Offset::default();
        offset.known_by(100.0, 4.0);
        offset.caused_at(100.0, 5.0);
        assert_eq!(offset.uncertainty(), Some(0.5));
        assert_eq!(offset.best(), Some(-95.5));
    }

    #[test]
    fn a_clock_that_is_ahead_has_the_same_offset_less() {
        let mut offset = Offset::default();
        offset.known_by(5.0, 5.5);
        offset.caused_at(5.0, 5.3);
        let unix = offset.ahead(1_000.0);
        assert!((unix.best().expect("both bounds") + 999.6).abs() < 1e-9);
    }
}
