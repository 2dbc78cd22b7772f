//! Advice in words.

use std::fmt::Write as _;

use serde_json::Value;
use websample_manifest::yaml;

use super::{Advice, Judged, Remedy};
use crate::summary::printable;

/// What ends what was lost, and what the manifest has to do with what was seen.
pub(crate) fn text(advice: &Advice) -> String {
    let mut out = String::new();
    for group in grouped(&advice.remedies) {
        let Some(first) = group.first() else { continue };
        let causes: Vec<_> = group
            .iter()
            .map(|remedy| format!("{} {}", remedy.count, remedy.cause.name()))
            .collect();
        let words = printable_lines(&first.words, "  ");
        let _ = writeln!(out, "Against {}: {words}", causes.join(", "));
        for patch in &first.patches {
            let _ = writeln!(out, "  {}:", title(patch));
            let change = printable_lines(yaml(&change(patch)).trim_end(), "    ");
            let _ = writeln!(out, "    {change}");
        }
    }
    if !advice.findings.is_empty() {
        out.push_str("What the check says of the manifest, and what was seen of it:\n");
    }
    for judged in &advice.findings {
        let Judged { severity, rule, evidence, .. } = judged;
        let _ = writeln!(out, "  {severity:<7} {rule} ({}): {evidence}", of(judged));
    }
    for note in &advice.notes {
        let _ = writeln!(out, "  {}", printable(note));
    }
    out
}

/// What a finding is about: the container, where it is about one.
fn of(judged: &Judged) -> String {
    printable(judged.container.as_ref().unwrap_or(&judged.object))
}

/// Those beside each other that come to the same.
pub(crate) fn grouped(remedies: &[Remedy]) -> Vec<Vec<&Remedy>> {
    let mut groups: Vec<Vec<&Remedy>> = Vec::new();
    for remedy in remedies {
        let same = |known: &&mut Vec<&Remedy>| {
            known.first().is_some_and(|first| {
                (&first.words, &first.patches) == (&remedy.words, &remedy.patches)
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(remedy),
            None => groups.push(vec![remedy]),
        }
    }
    groups
}

/// Which object a patch changes.
pub(crate) fn title(patch: &Value) -> String {
    let text = |value: &Value| printable(value.as_str().unwrap_or_default());
    let metadata = &patch["metadata"];
    let namespace = match text(&metadata["namespace"]).as_str() {
        "" => String::new(),
        name => format!("{name}/"),
    };
    format!("{} {namespace}{}", text(&patch["kind"]), text(&metadata["name"]))
}

/// What a patch changes, without which object that is.
pub(crate) fn change(patch: &Value) -> Value {
    let mut change = patch.clone();
    if let Some(object) = change.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        let is_empty = metadata.is_some_and(|metadata| {
            metadata.remove("name");
            metadata.remove("namespace");
            metadata.is_empty()
        });
        if is_empty {
            object.remove("metadata");
        }
    }
    change
}

/// Lines that a terminal may have, all but the first behind these spaces.
fn printable_lines(text: &str, indent: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join(&format!("\n{indent}"))
}
