//! What is still in flight: named while it drains, and cut at the deadline.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{
    super::{in_flight::Unfinished, lock},
    Drain,
};

/// At most this many kinds of leftovers are named in a log line.
const NAMED: usize = 5;

/// At most this much of what is left is looked at, the oldest first: a client may open more requests
/// than anybody wants to read of.
const LISTED: usize = 100;

/// Requests that are counted, and that nobody can name.
const UNNAMED: &str = "a request that nobody can name";

impl Drain {
    pub(super) fn cut_off(&mut self) {
        let (total, cut) = self.left();
        let shared = &self.lifecycle.shared;
        shared.cut.store(total as u64, Ordering::Relaxed);
        tracing::warn!(cut = total, what = %name(&cut), "deadline: cutting what is left");
        self.cut = cut;
        self.cut_total = total;
        self.state.cut_at = Some(Instant::now());
        lock(&shared.tokens).deadline.cancel();
    }

    /// How much is left, and the oldest of it by name.
    fn left(&self) -> (usize, Vec<Unfinished>) {
        let shared = &self.lifecycle.shared;
        let census = lock(&shared.census).clone();
        let mut left: Vec<_> = census.iter().flat_map(|census| census.oldest(LISTED)).collect();
        left.extend(shared.in_flight.unfinished_work(LISTED));
        // What nobody can name has been counted all the same.
        let named: usize = census.iter().map(|census| census.count()).sum();
        let unnamed = shared.in_flight.requests.get().saturating_sub(named);
        left.extend((0..unnamed.min(LISTED)).map(|_| Unfinished {
            kind: "request",
            what: UNNAMED.to_owned(),
            age_seconds: 0.0,
        }));
        left.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds));
        left.truncate(LISTED);
        (named + unnamed + shared.in_flight.work(), left)
    }

    /// What others have cut at the deadline, who alone could see it.
    pub(super) fn take_noted(&mut self) {
        let noted = std::mem::take(&mut *lock(&self.lifecycle.shared.noted));
        self.cut_total += noted.total;
        self.lifecycle.shared.cut.store(self.cut_total as u64, Ordering::Relaxed);
        self.cut.extend(noted.named);
        self.cut.truncate(LISTED);
    }

    /// Who remains, and how long there is left.
    pub(super) fn log_progress(&self) {
        let shared = &self.lifecycle.shared;
        let (_, left) = self.left();
        let remaining = self
            .lifecycle
            .deadline_at()
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        tracing::info!(
            requests = shared.in_flight.requests.get(),
            connections = shared.in_flight.connections.get(),
            work = shared.in_flight.work(),
            seconds_left = remaining.as_secs(),
            what = %name(&left),
            "still draining"
        );
    }
}

/// The oldest of what is left, by name and number, the most frequent first.
fn name(left: &[Unfinished]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for item in left {
        match counts.iter_mut().find(|(what, _)| *what == item.what) {
            Some((_, n)) => *n += 1,
            None => counts.push((&item.what, 1)),
        }
    }
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let more = counts.len().saturating_sub(NAMED);
    let mut names: Vec<_> =
        counts.iter().take(NAMED).map(|(what, n)| format!("{n} x {what}")).collect();
    if more > 0 {
        names.push(format!("and {more} more kinds"));
    }
    names.join(", ")
}
