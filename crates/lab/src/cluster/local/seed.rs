//! Every random choice of a cluster, from one number.
//!
//! A draw is named by what it is for (`kubelet/websample-v1-…/hook`), not by when it is
//! made, so the timing of threads cannot change it.

use std::{ops::Range, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// The root of a tree of named random choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The root for this number.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed for one purpose.
    #[must_use]
    pub fn child(self, name: &str) -> Self {
        Self(mix(self.0 ^ fnv1a(name.as_bytes())))
    }

    /// A generator of its own.
    pub fn rng(self) -> StdRng {
        StdRng::seed_from_u64(self.0)
    }

    /// A duration from `range`, uniformly; its start where the range is empty.
    pub fn duration(self, range: &Range<Duration>) -> Duration {
        if range.is_empty() { range.start } else { self.rng().random_range(range.clone()) }
    }

    /// A duration from so many milliseconds, uniformly.
    pub fn millis(self, range: Range<u64>) -> Duration {
        self.duration(&(Duration::from_millis(range.start)..Duration::from_millis(range.end)))
    }

    /// One of several, each as likely as the others; `None` where there is none.
    pub fn one_of<T>(self, all: &[T]) -> Option<&T> {
        if all.is_empty() { None } else { all.get(self.rng().random_range(0..all.len())) }
    }

    /// True with this probability.
    pub fn chance(self, probability: f64) -> bool {
        self.rng().random_bool(probability.clamp(0.0, 1.0))
    }

    /// The n-th number below `bound` of an endless sequence, without state: many threads may
    /// draw from one sequence. Zero where `bound` is zero.
    pub fn nth_below(self, n: u64, bound: usize) -> usize {
        let word = mix(self.0.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        ((u128::from(word) * bound as u128) >> 64) as usize
    }

    /// Letters and digits that make no words, as Kubernetes puts at the end of names.
    pub fn suffix(self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut rng = self.rng();
        (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
    }
}

/// FNV-1a; the standard library's hasher may change between compilers.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_not_order_decide_a_draw() {
        let root = Seed::new(7);
        let first = root.child("kubelet").child("a").millis(0..1000);
        let _ = root.child("other").millis(0..1000);
        assert_eq!(root.child("kubelet").child("a").millis(0..1000), first);
        assert_ne!(root.child("kubelet").child("b").millis(0..1000), first);
        assert_ne!(Seed::new(8).child("kubelet").child("a").millis(0..1000), first);
    }

    #[test]
    fn the_sequence_is_uniform() {
        let seed = Seed::new(1).child("service");
        let mut counts = [0_u32; 4];
        for n in 0..40_000 {
            counts[seed.nth_below(n, 4)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(seed.nth_below(3, 0), 0);
    }

    #[test]
    fn an_empty_range_is_its_start() {
        assert_eq!(Seed::new(1).millis(5..5), Duration::from_millis(5));
    }
}
