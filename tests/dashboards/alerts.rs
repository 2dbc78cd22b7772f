//! The rules of Prometheus: their names, their words, their cases, their runbook.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{board::Asked, files, read};

/// Where an alert's section is.
const RUNBOOK: &str = "https://github.com/websample/websample/blob/main/docs/runbook.md";

/// What a section of the runbook says, in this order.
const SECTIONS: [&str; 4] = ["**Meaning.**", "**Impact.**", "**Diagnosis.**", "**Remedy.**"];

#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Rule {
    alert: String,
    record: String,
    expr: String,
    #[serde(rename = "for")]
    lasting: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Cases {
    group_eval_order: Vec<String>,
    tests: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    alert_rule_test: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

fn groups() -> Vec<Group> {
    let parse = |file: String| {
        let parsed: Groups =
            serde_saphyr::from_str(&read(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        parsed.groups
    };
    files("deploy/prometheus/rules", ".yml").into_iter().flat_map(parse).collect()
}

fn rules() -> Vec<Rule> {
    groups().into_iter().flat_map(|group| group.rules).collect()
}

fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| !rule.alert.is_empty()).collect()
}

fn cases() -> Cases {
    serde_saphyr::from_str(&read("deploy/prometheus/tests/alerts.yml")).expect("cases")
}

/// The names that recording rules give.
pub(crate) fn recorded() -> Vec<String> {
    rules().into_iter().map(|rule| rule.record).filter(|name| !name.is_empty()).collect()
}

/// What the rules ask.
pub(crate) fn queries() -> Vec<Asked> {
    let asked = rules().into_iter().map(|rule| Asked {
        place: format!("rule {}{}", rule.alert, rule.record),
        expr: rule.expr,
    });
    asked.collect()
}

/// What is wrong with an alert, given the runbook.
fn faults(alert: &Rule, runbook: &str) -> Vec<String> {
    let name = &alert.alert;
    let said = |key: &str| alert.annotations.get(key).map(String::as_str).unwrap_or_default();
    let severity = alert.labels.get("severity").map(String::as_str).unwrap_or_default();
    let camel = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    let section = runbook.split("\n## ").find_map(|section| section.strip_prefix(name.as_str()));
    let section = section.filter(|section| section.starts_with('\n')).unwrap_or_default();
    let places: Vec<_> = SECTIONS.iter().map(|part| section.find(part)).collect();
    let diagnosis =
        section.split("**Diagnosis.**").nth(1).and_then(|s| s.split("**Remedy.**").next());
    let url = format!("{RUNBOOK}#{}", name.to_lowercase());
    [
        ("its name is not CamelCase", camel),
        (
            "severity is critical, warning or info",
            ["critical", "warning", "info"].contains(&severity),
        ),
        ("it does not say `for`, if only 0m", alert.lasting.is_some()),
        ("it has no summary", said("summary").len() > 15),
        ("it has no description", said("description").len() > 40),
        ("its runbook_url is not its section's", said("runbook_url") == url),
        ("docs/runbook.md has no section of its name", !section.is_empty()),
        (
            "its section has not Meaning, Impact, Diagnosis and Remedy, in this order",
            places.iter().all(Option::is_some) && places.is_sorted(),
        ),
        ("its diagnosis has no query", diagnosis.is_some_and(|text| text.contains("```promql"))),
    ]
    .into_iter()
    .filter(|(_, good)| !good)
    .map(|(what, _)| format!("{name}: {what}"))
    .collect()
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let runbook = read("docs/runbook.md");
    let wrong: Vec<_> = alerts().iter().flat_map(|alert| faults(alert, &runbook)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Something that is wrong with an alert, and what makes it so.
type Change = (&'static str, fn(&mut Rule));

#[test]
fn a_bad_alert_is_noticed() {
    let runbook = read("docs/runbook.md");
    let good = alerts().remove(0);
    let changes: [Change; 7] = [
        ("no section", |a| a.alert = "RequestsCut".to_owned()),
        ("CamelCase", |a| a.alert = "requests_cut_off".to_owned()),
        ("severity", |a| drop(a.labels.insert("severity".to_owned(), "page".to_owned()))),
        ("`for`", |a| a.lasting = None),
        ("no summary", |a| drop(a.annotations.remove("summary"))),
        ("no description", |a| drop(a.annotations.remove("description"))),
        ("runbook_url", |a| {
            drop(a.annotations.insert("runbook_url".to_owned(), RUNBOOK.to_owned()));
        }),
    ];
    for (what, change) in changes {
        let mut alert = good.clone();
        change(&mut alert);
        let found = faults(&alert, &runbook);
        assert!(found.iter().any(|fault| fault.contains(what)), "{what}: {found:?}");
    }
    let shuffled = runbook.replace("**Impact.**", "**Remedy.**");
    assert!(faults(&good, &shuffled).iter().any(|fault| fault.contains("in this order")));
}

#[test]
fn the_runbook_has_no_section_of_an_alert_that_is_gone() {
    let names: Vec<_> = alerts().into_iter().map(|alert| alert.alert).collect();
    let runbook = read("docs/runbook.md");
    let titles: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(titles, names, "in the order of the rules");
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases = cases();
    for alert in alerts() {
        let of = |case: &Case| -> Vec<bool> {
            let checks = case.alert_rule_test.iter().filter(|check| check.alertname == alert.alert);
            checks.map(|check| !check.exp_alerts.is_empty()).collect()
        };
        let all: Vec<_> = cases.tests.iter().map(of).filter(|checks| !checks.is_empty()).collect();
        let name = &alert.alert;
        assert!(all.iter().any(|fires| fires.contains(&true)), "{name}: no case makes it fire");
        assert!(all.iter().any(|fires| !fires.contains(&true)), "{name}: no case keeps it silent");
    }
}

#[test]
fn the_cases_know_every_group() {
    let names: Vec<_> = groups().into_iter().map(|group| group.name).collect();
    let mut ordered = cases().group_eval_order;
    let recording = ordered.iter().filter(|name| name.contains(".recording.")).count();
    assert!(ordered[..recording].iter().all(|name| name.contains(".recording.")), "{ordered:?}");
    ordered.sort();
    let mut sorted = names;
    sorted.sort();
    assert_eq!(ordered, sorted);
}

#[test]
fn recorded_names_say_what_is_left_what_it_is_and_what_was_done() {
    let alerts: String = alerts().into_iter().map(|alert| alert.expr + "\n").collect();
    let rules: String = rules().into_iter().map(|rule| rule.expr + "\n").collect();
    let documents = read("docs/observability.md");
    for name in recorded() {
        let parts: Vec<_> = name.split(':').collect();
        assert!(
            matches!(parts[..], ["pod" | "job" | "mode", metric, done]
            if metric.starts_with("websample_") && !done.is_empty()),
            "{name}"
        );
        assert!(alerts.contains(&name) || rules.contains(&name), "nothing asks for {name}");
        assert!(documents.contains(&format!("`{name}`")), "docs/observability.md lacks {name}");
    }
}
