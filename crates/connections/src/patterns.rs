//! The patterns of an application's routes: the names that its requests are counted under.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Whether a path, the second, is of a pattern, as a framework writes it.
pub type Fits = fn(&str, &str) -> bool;

/// The name of requests that no pattern matched.
pub const UNMATCHED: &str = "unmatched";

/// A pattern, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route(usize);

impl Route {
    /// The one at a place.
    pub const fn at(index: usize) -> Self {
        Self(index)
    }

    /// Its place, for tables that run parallel to the list.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// The patterns known to all workers: those that were declared, and behind them those that responses
/// have named.
#[derive(Debug)]
pub struct Patterns {
    list: RwLock<Vec<String>>,
    declared: Vec<Declared>,
    fits: Fits,
}

#[derive(Debug)]
struct Declared {
    pattern: String,
    /// Whether it stands for more than one path.
    has_parameters: bool,
    route: Route,
}

impl Patterns {
    /// Patterns that are known before any request came.
    pub fn new(known: impl IntoIterator<Item = String>, fits: Fits) -> Self {
        let patterns = Self { list: RwLock::default(), declared: Vec::new(), fits };
        let mut declared: Vec<_> = known
            .into_iter()
            .map(|pattern| {
                let route = patterns.place(&pattern);
                Declared { has_parameters: pattern.contains('{'), pattern, route }
            })
            .collect();
        // The one with the most text before its first parameter names a path.
        declared.sort_by_key(|declared| std::cmp::Reverse(fixed(&declared.pattern)));
        Self { declared, ..patterns }
    }

    /// The declared pattern that fits a path; those may not be added to, so no lock is needed.
    pub fn declared(&self, path: &str) -> Option<Route> {
        let fits = |declared: &&Declared| {
            if declared.has_parameters {
                (self.fits)(&declared.pattern, path)
            } else {
                declared.pattern == path
            }
        };
        self.declared.iter().find(fits).map(|declared| declared.route)
    }

    /// The place of a pattern, which is added if it is new.
    pub fn place(&self, pattern: &str) -> Route {
        let find = |list: &[String]| list.iter().position(|known| known == pattern).map(Route);
        let found = find(&self.read());
        found.unwrap_or_else(|| {
            let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
            // Another worker may have been faster.
            find(&list).unwrap_or_else(|| {
                list.push(pattern.to_owned());
                Route(list.len() - 1)
            })
        })
    }

    /// The pattern at a place.
    pub fn get(&self, Route(index): Route) -> String {
        self.read().get(index).map_or(UNMATCHED, String::as_str).to_owned()
    }

    /// The most specific pattern that fits a path, if any does.
    pub fn fitting(&self, path: &str) -> Option<String> {
        let list = self.read();
        let known =
            list.iter().filter(|pattern| *pattern != UNMATCHED && (self.fits)(pattern, path));
        known.max_by_key(|pattern| fixed(pattern)).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<String>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of a pattern stands before its first parameter.
fn fixed(pattern: &str) -> usize {
    pattern.find('{').unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One segment at the end may be a parameter.
    fn fits(pattern: &str, path: &str) -> bool {
        let Some((before, _)) = pattern.split_once('{') else { return pattern == path };
        path.strip_prefix(before).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
    }

    #[test]
    fn the_most_specific_pattern_names_a_path() {
        let known = ["/{any}", "/sleep/{seconds}", "/sleep/x{n}", "/sleep/1", UNMATCHED];
        let patterns = Patterns::new(known.map(str::to_owned), fits);
        for (path, expected) in [
            ("/sleep/5", Some("/sleep/{seconds}")),
            ("/sleep/x5", Some("/sleep/x{n}")),
            ("/sleep/1", Some("/sleep/1")),
            ("/echo", Some("/{any}")),
            ("/a/b", None),
        ] {
            assert_eq!(patterns.fitting(path).as_deref(), expected, "{path}");
            let declared = patterns.declared(path).map(|route| patterns.get(route));
            assert_eq!(declared.as_deref(), expected, "{path}");
        }
        assert_eq!(Patterns::new([], fits).fitting("/x"), None);
    }

    #[test]
    fn a_pattern_has_one_place() {
        let patterns = Patterns::new([], fits);
        let (a, b) = (patterns.place("/a"), patterns.place("/b"));
        assert_eq!((patterns.place("/a"), patterns.place("/b")), (a, b));
        assert_eq!(patterns.get(b), "/b");
        assert_ne!(a, b);
        assert_eq!(patterns.declared("/a"), None, "only responses have named it");
    }
}
