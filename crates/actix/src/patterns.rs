//! How actix writes the patterns of routes.
//!
//! Which pattern matches a request is known only when its handler has answered. One that is cut
//! before that is named by the patterns of the requests before it, on whichever worker they were.

use actix_web::dev::ResourceDef;

/// Whether a path is of a pattern.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    ResourceDef::new(pattern).is_match(path)
}

#[cfg(test)]
mod tests {
    use websample_connections::patterns::Patterns;

    use super::*;

    #[test]
    fn the_most_specific_pattern_names_a_path() {
        let known = ["/{path:.*}", "/sleep/{seconds}", "/echo"].map(str::to_owned);
        let patterns = Patterns::new(known, fits);
        for (path, expected) in [
            ("/sleep/5", Some("/sleep/{seconds}")),
            ("/echo", Some("/echo")),
            ("/echo/2", Some("/{path:.*}")),
            ("/", Some("/{path:.*}")),
        ] {
            assert_eq!(patterns.fitting(path).as_deref(), expected, "{path}");
        }
    }
}
