//! The patterns of an application's routes: the names that its requests are counted under.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The name of requests that no pattern matched.
pub(super) const UNMATCHED: &str = "unmatched";

/// A pattern, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Route(usize);

impl Route {
    /// The one at a place.
    pub(super) const fn at(index: usize) -> Self {
        Self(index)
    }

    /// Its place, for tables that run parallel to the list.
    pub(super) const fn index(self) -> usize {
        self.0
    }
}

/// The patterns known to all workers: those that were declared, and behind them those that responses
/// have named.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    list: RwLock<Vec<String>>,
    declared: Vec<Declared>,
}

#[derive(Debug)]
struct Declared {
    pattern: String,
    /// Whether it stands for more than one path.
    has_parameters: bool,
    route: Route,
}

impl Declared {
    #[inline]
    fn fits(&self, path: &str) -> bool {
        if self.has_parameters { fits(&self.pattern, path) } else { self.pattern == path }
    }
}

impl Patterns {
    /// Patterns that are known before any request came.
    pub(super) fn new(known: impl IntoIterator<Item = String>) -> Self {
        let patterns = Self::default();
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
    pub(super) fn declared(&self, path: &str) -> Option<Route> {
        self.declared.iter().find(|declared| declared.fits(path)).map(|declared| declared.route)
    }

    /// The place of a pattern, which is added if it is new.
    pub(super) fn place(&self, pattern: &str) -> Route {
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
    pub(super) fn get(&self, Route(index): Route) -> String {
        self.read().get(index).map_or(UNMATCHED, String::as_str).to_owned()
    }

    /// The most specific pattern that fits a path, if any does.
    pub(super) fn fitting(&self, path: &str) -> Option<String> {
        let list = self.read();
        let known = list.iter().filter(|pattern| *pattern != UNMATCHED && fits(pattern, path));
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

/// Whether a path is of a pattern, as axum writes it (`/users/{id}`, `/files/{*path}`) or actix
/// (`/{path:.*}`).
fn fits(pattern: &str, path: &str) -> bool {
    let Some(open) = pattern.find('{') else { return pattern == path };
    let (before, parameter) = pattern.split_at(open);
    let Some(rest) = path.strip_prefix(before) else { return false };
    let Some((name, behind)) = parameter[1..].split_once('}') else { return false };
    if name.starts_with('*') || name.ends_with(".*") {
        return behind.is_empty();
    }
    let end = rest.find('/').unwrap_or(rest.len());
    // What stands behind a parameter in its own segment has to be there.
    let (segment, others) = rest.split_at(end);
    let (same, further) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    segment.len() > same.len() && segment.ends_with(same) && fits(further, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_names_a_path() {
        let known =
            ["/{path:.*}", "/sleep/{seconds}", "/echo", "/a/{b}/c.{d}", "/x{n}.json", UNMATCHED];
        let patterns = Patterns::new(known.map(str::to_owned));
        for (path, expected) in [
            ("/sleep/5", Some("/sleep/{seconds}")),
            ("/sleep/", Some("/{path:.*}")),
            ("/echo", Some("/echo")),
            ("/echo/2", Some("/{path:.*}")),
            ("/a/1/c.2", Some("/a/{b}/c.{d}")),
            ("/a/1/c.", Some("/{path:.*}")),
            ("/x7.json", Some("/x{n}.json")),
            ("/x.json", Some("/{path:.*}")),
            ("/", Some("/{path:.*}")),
            ("", None),
        ] {
            assert_eq!(patterns.fitting(path).as_deref(), expected, "{path}");
            let declared = patterns.declared(path).map(|route| patterns.get(route));
            assert_eq!(declared.as_deref(), expected, "{path}");
        }
        assert_eq!(Patterns::default().fitting("/x"), None);
        assert!(fits("/helloworld.Greeter/{*method}", "/helloworld.Greeter/SayHello"));
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
