//! How axum writes the patterns of routes.

/// Whether a path is of a pattern, as axum writes it (`/users/{id}`, `/files/{*path}`) or actix
/// (`/{path:.*}`).
pub(super) fn fits(pattern: &str, path: &str) -> bool {
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
    use websample_connections::patterns::Patterns;

    use super::*;

    #[test]
    fn the_most_specific_pattern_names_a_path() {
        let known = ["/{path:.*}", "/sleep/{seconds}", "/echo", "/a/{b}/c.{d}", "/x{n}.json"];
        let patterns = Patterns::new(known.map(str::to_owned), fits);
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
            let declared = patterns.declared(path).map(|route| patterns.get(route));
            assert_eq!(declared.as_deref(), expected, "{path}");
        }
        assert!(fits("/helloworld.Greeter/{*method}", "/helloworld.Greeter/SayHello"));
    }
}
