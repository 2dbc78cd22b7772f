//! The patterns of an application's routes, as far as they are known.
//!
//! Which pattern matches a request is known only when its handler has answered. One that is cut
//! before that is named by the patterns of the requests before it, on whichever worker they were.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use actix_web::dev::ResourceDef;

/// The name of requests that no pattern matched.
pub(super) const UNMATCHED: &str = "unmatched";

/// A pattern, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Route(usize);

impl Route {
    /// The pattern at a place that [`Self::index`] gave.
    pub(super) const fn at(index: usize) -> Self {
        Self(index)
    }

    /// Its place, for tables that run parallel to the list.
    pub(super) const fn index(self) -> usize {
        self.0
    }
}

/// The patterns known to all workers.
#[derive(Debug, Default)]
pub(super) struct Patterns(RwLock<Vec<String>>);

impl Patterns {
    /// Patterns that are known before any request came.
    pub(super) fn new(known: impl IntoIterator<Item = String>) -> Self {
        Self(RwLock::new(known.into_iter().collect()))
    }

    /// The place of a pattern, which is added if it is new.
    pub(super) fn place(&self, pattern: &str) -> Route {
        let find = |list: &[String]| list.iter().position(|known| known == pattern).map(Route);
        let found = find(&self.read());
        found.unwrap_or_else(|| {
            let mut list = self.0.write().unwrap_or_else(PoisonError::into_inner);
            // Another worker may have been faster.
            find(&list).unwrap_or_else(|| {
                list.push(pattern.to_owned());
                Route(list.len() - 1)
            })
        })
    }

    /// The pattern at a place.
    pub(super) fn get(&self, Route(index): Route) -> String {
        self.read().get(index).map_or(UNMATCHED, String::as_str).to_owned()
    }

    /// The most specific pattern that fits a path, if any does.
    pub(super) fn fitting(&self, path: &str) -> Option<String> {
        let list = self.read();
        let fits = |pattern: &&String| ResourceDef::new(pattern.as_str()).is_match(path);
        // The one with the most text before its first parameter.
        let fixed = |pattern: &&String| pattern.find('{').unwrap_or(usize::MAX);
        list.iter().filter(|pattern| *pattern != UNMATCHED).filter(fits).max_by_key(fixed).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<String>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_names_a_path() {
        let known = ["/{path:.*}", "/sleep/{seconds}", "/echo", UNMATCHED].map(str::to_owned);
        let patterns = Patterns::new(known);
        for (path, expected) in [
            ("/sleep/5", Some("/sleep/{seconds}")),
            ("/echo", Some("/echo")),
            ("/echo/2", Some("/{path:.*}")),
            ("/", Some("/{path:.*}")),
        ] {
            assert_eq!(patterns.fitting(path).as_deref(), expected, "{path}");
        }
        assert_eq!(Patterns::default().fitting("/x"), None);
    }

    #[test]
    fn a_pattern_has_one_place() {
        let patterns = Patterns::default();
        let (a, b) = (patterns.place("/a"), patterns.place("/b"));
        assert_eq!((patterns.place("/a"), patterns.place("/b")), (a, b));
        assert_eq!(patterns.get(b), "/b");
        assert_ne!(a, b);
    }
}
