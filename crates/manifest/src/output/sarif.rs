//! SARIF 2.1.0, which code hosts and editors read (OASIS: Static Analysis Results Interchange Format).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::{
        STANDARD_INPUT,
        finding::Finding,
        problem::{Problem, Unusable},
        report::CheckReport,
        rule::{Rule, Severity},
    },
    link,
    log::{sarif_log, sarif_place},
};

/// The report; what is ignored is there too, as suppressed.
pub fn sarif(report: &CheckReport) -> Value {
    let ignored = report.ignored.iter().map(|ignored| &ignored.finding);
    let rules: BTreeSet<Rule> =
        report.findings.iter().chain(ignored).map(|finding| finding.rule).collect();
    let mut results: Vec<_> = report.findings.iter().map(result).collect();
    for ignored in &report.ignored {
        let mut result = result(&ignored.finding);
        let kind = if ignored.in_source { "inSource" } else { "external" };
        result["suppressions"] = json!([{ "kind": kind, "justification": ignored.reason }]);
        results.push(result);
    }
    document(&rules, &results, &report.problems)
}

/// What kept the input from being checked.
pub fn sarif_problems(unusable: &Unusable) -> Value {
    document(&BTreeSet::new(), &[], &unusable.problems)
}

fn document(rules: &BTreeSet<Rule>, results: &[Value], problems: &[Problem]) -> Value {
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.name(),
                "shortDescription": { "text": rule.about() },
                "help": { "text": format!("see {}", link(*rule)) },
                "defaultConfiguration": { "level": level(rule.severity()) },
            })
        })
        .collect();
    let notifications: Vec<_> = problems
        .iter()
        .map(|problem| {
            json!({
                "level": "error",
                "message": { "text": problem.to_string() },
                "locations": places(&problem.file, problem.line),
            })
        })
        .collect();
    sarif_log("websample check", &rules, results, &notifications)
}

fn result(finding: &Finding) -> Value {
    let message =
        format!("{} {}: {}\nfix:\n{}", finding.kind, finding.name, finding.message, finding.fix);
    json!({
        "ruleId": finding.rule.name(),
        "level": level(finding.severity()),
        "message": { "text": message },
        "locations": places(&finding.file, Some(finding.line)),
    })
}

/// What came through a pipe is nowhere.
fn places(file: &str, line: Option<usize>) -> Vec<Value> {
    if file == STANDARD_INPUT {
        return Vec::new();
    }
    vec![sarif_place(file, line)]
}

fn level(severity: Severity) -> &'static str {
    severity.name()
}
