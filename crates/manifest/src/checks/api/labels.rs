//! Labels that are none (apimachinery: `ValidateLabels`).

use super::super::{super::rule::Rule, Findings};
use crate::{
    objects::{Objects, Origin},
    template,
};

/// How long a value, or the name in a key, may be.
const LONGEST: usize = 63;

/// How long what stands before the slash of a key may be.
const LONGEST_PREFIX: usize = 253;

pub(super) fn check(objects: &Objects, found: &mut Findings) {
    for origin in objects.origins() {
        for path in places(origin) {
            let Some((label, why)) = refused(origin, path) else { continue };
            let message = format!("{path} has the label {label}, which {why}: the API refuses it");
            let fix = "letters, digits, '-', '_' and '.', with a letter or digit at both ends";
            found.object(Rule::ApiRefuses, origin, path, message, fix);
        }
    }
}

/// Where an object has labels of its own, or selects by some that have to be well-formed.
fn places(origin: &Origin) -> impl Iterator<Item = &'static str> {
    // Of other kinds the API does not know a template; of budgets it takes selectors of any kind.
    let template = ["Deployment", "StatefulSet", "DaemonSet"].contains(&origin.kind.as_str());
    let own = Some("metadata.labels");
    let pods = template.then_some("spec.template.metadata.labels");
    let selected = (origin.kind == "Service").then_some("spec.selector");
    own.into_iter().chain(pods).chain(selected)
}

/// The first of the labels at `path` that is none, and why.
fn refused(origin: &Origin, path: &str) -> Option<(String, &'static str)> {
    let labels = origin.node.at(path)?;
    labels.keys().find_map(|key| {
        let value = labels.get(key)?.text().unwrap_or_default();
        // What somebody renders later may be anything.
        if template::placeholder(value).or(template::placeholder(key)).is_some() {
            return None;
        }
        let why = no_key(key).or_else(|| no_value(value))?;
        Some((format!("{key}: {value}"), why))
    })
}

/// Why a text is no key of a label (apimachinery: `IsQualifiedName`), if it is none.
fn no_key(key: &str) -> Option<&'static str> {
    let (prefix, name) =
        key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_domain = |prefix: &str| {
        prefix.len() <= LONGEST_PREFIX
            && prefix.split('.').all(|part| {
                part.starts_with(small)
                    && part.ends_with(small)
                    && part.chars().all(|c| small(c) || c == '-')
            })
    };
    if name.is_empty() {
        Some("has a key without a name")
    } else if prefix.is_some_and(|prefix| !is_domain(prefix)) {
        Some("has a key whose beginning is no name of a domain")
    } else {
        no_value(name)
    }
}

/// Why a text is no value of a label (apimachinery: `IsValidLabelValue`), if it is none.
fn no_value(value: &str) -> Option<&'static str> {
    let end = |c: char| c.is_ascii_alphanumeric();
    if value.is_empty() {
        None
    } else if value.len() > LONGEST {
        Some("is longer than 63 characters")
    } else if !value.chars().all(|c| end(c) || "-_.".contains(c)) {
        Some("has more than letters, digits, '-', '_' and '.'")
    } else if !(value.starts_with(end) && value.ends_with(end)) {
        Some("begins or ends with something else than a letter or digit")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_none() {
        let long = "n".repeat(64);
        for (key, value, fits) in [
            ("app", "web", true),
            ("app.kubernetes.io/name", "Web_1.2-x", true),
            ("app", "", true),
            ("app", &long[..63], true),
            ("app", &long, false),
            (&long, "web", false),
            ("app", "yoda@example.com", false),
            ("app", "-web", false),
            ("app", "web.", false),
            ("", "web", false),
            ("example.com/", "web", false),
            ("/app", "web", false),
            ("Example.com/app", "web", false),
            ("example..com/app", "web", false),
            ("a/b/c", "web", false),
        ] {
            assert_eq!(no_key(key).or(no_value(value)).is_none(), fits, "{key}: {value}");
        }
    }
}
