//! One document, for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::{
    finding::Finding,
    front::Front,
    problem::Unusable,
    report::{CheckReport, Checked, Ending, Ignored, Replacing},
    rule::{PAGE, Severity},
};

/// The report as JSON; durations are in seconds, `null` is unknown.
pub fn json(report: &CheckReport) -> Value {
    json!({
        "ok": report.count(Severity::Error) == 0 && report.problems.is_empty(),
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "notes": report.count(Severity::Note),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "problems": report.problems,
        "ignored": report.ignored.iter().map(ignored).collect::<Vec<_>>(),
        "checked": report.checked.iter().map(checked).collect::<Vec<_>>(),
        "skipped": report.skipped,
    })
}

/// A document as it is printed. JSON asks for control characters below U+0020 to be escaped; those from
/// U+007F to U+009F are too, since a terminal may take them for commands, and names are anybody's.
pub fn printed(document: &Value) -> String {
    let plain = format!("{document:#}\n");
    let mut text = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character.is_control() && character != '\n' {
            // Only strings hold such characters, and all of them are of the basic plane.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

/// What kept the input from being checked.
pub fn json_problems(unusable: &Unusable) -> Value {
    json!({ "ok": false, "problems": unusable.problems })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "severity": finding.severity(),
        "file": finding.file,
        "line": finding.line,
        "kind": finding.kind,
        "namespace": finding.namespace,
        "name": finding.name,
        "container": finding.container,
        "message": finding.message,
        "fix": finding.fix.text(),
        "docs": format!("{PAGE}#{}", finding.rule),
    })
}

fn ignored(ignored: &Ignored) -> Value {
    let mut value = finding(&ignored.finding);
    value["reason"] = ignored.reason.as_str().into();
    value
}

fn checked(checked: &Checked) -> Value {
    let (strategy, fewest, most) = match checked.replacing {
        Replacing::Rolling { fewest, most } => ("RollingUpdate", Some(fewest), Some(most)),
        Replacing::Recreate => ("Recreate", Some(0), None),
        Replacing::Switched { .. } => ("Switched", checked.replicas, None),
        Replacing::Never => ("none", None, None),
        Replacing::Unchecked => ("unchecked", None, None),
    };
    json!({
        "file": checked.file,
        "line": checked.line,
        "kind": checked.kind,
        "namespace": checked.namespace,
        "name": checked.name,
        "replicas": checked.replicas,
        "strategy": strategy,
        "fewest_available": fewest,
        "most_pods": most,
        "in_front": checked.in_front.iter().map(front).collect::<Vec<_>>(),
        "goes_on_seconds": checked.goes_on.map(|duration| duration.as_secs_f64()),
        "right_sleep_seconds": checked.right_sleep.map(|duration| duration.as_secs_f64()),
        "containers": checked.containers.iter().map(ending).collect::<Vec<_>>(),
    })
}

fn front(front: &Front) -> Value {
    json!({
        "what": front.sender.name(),
        "via": front.via,
        "needs_seconds": front.needs.map(|duration| duration.as_secs_f64()),
        "why": front.sender.why(),
        "source": front.sender.source(),
    })
}

fn ending(ending: &Ending) -> Value {
    json!({
        "name": ending.container,
        "serves": ending.serves,
        "hook": ending.hook,
        "hook_seconds": ending.hook_takes.map(|duration| duration.as_secs_f64()),
        "delay_min_seconds": ending.delay.map(|(min, _)| min.as_secs_f64()),
        "delay_max_seconds": ending.delay.map(|(_, max)| max.as_secs_f64()),
        "drain_seconds": ending.drain.map(|duration| duration.as_secs_f64()),
        "grace_seconds": ending.grace.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_command_for_a_terminal() {
        let document = json!({ "name": "a\u{85}\u{9b}31m\u{7f}\u{1b}[0m\u{e4}" });
        let text = printed(&document);
        assert_eq!(text, "{\n  \"name\": \"a\\u0085\\u009b31m\\u007f\\u001b[0m\u{e4}\"\n}\n");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), document);
    }
}
