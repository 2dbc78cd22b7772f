//! What Prometheus itself says: to every expression, and to the alerts' cases.

use std::process::{Command, Output};

use crate::{board::Board, documents::runbook_queries, repository};

/// What Grafana puts in place of its variables.
const FILLED: [(&str, &str); 10] = [
    ("$__rate_interval", "4s"),
    ("$__interval", "1s"),
    ("$__range", "15m"),
    ("$instance", ".+"),
    ("$job", ".+"),
    ("$mode", "(drain|graceful\\\\+sleep:5s)"),
    ("$version", ".+"),
    ("$run", "20261126T101503Z"),
    ("$pod", ".+"),
    ("${datasource}", "prometheus"),
];

/// `promtool`, where it is installed.
fn promtool(arguments: &[&str]) -> Option<Output> {
    let output = Command::new("promtool").args(arguments).current_dir(repository(".")).output();
    if output.is_err() {
        println!("skipped: promtool not found (Debian package prometheus)");
    }
    output.ok()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// Whether Prometheus takes these expressions; what it says where it does not.
fn parse(exprs: &[String]) -> Option<Result<(), String>> {
    let rules: Vec<_> = exprs
        .iter()
        .enumerate()
        .map(|(at, expr)| serde_json::json!({"record": format!("query:{at}"), "expr": expr}))
        .collect();
    let file = serde_json::json!({"groups": [{"name": "queries", "rules": rules}]});
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rules.yml");
    // JSON is YAML.
    std::fs::write(&path, file.to_string()).expect("written");
    let output = promtool(&["check", "rules", &path.to_string_lossy()])?;
    Some(if output.status.success() { Ok(()) } else { Err(said(&output)) })
}

fn filled(expr: &str) -> String {
    FILLED.iter().fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value))
}

#[test]
fn prometheus_takes_every_expression_of_every_dashboard() {
    let boards = Board::all();
    let queries = boards.iter().flat_map(|b| b.queries().into_iter().chain(b.variable_queries()));
    let exprs: Vec<_> = queries.map(|query| filled(&query.expr)).collect();
    assert!(exprs.len() > 80, "{}", exprs.len());
    assert_eq!(parse(&exprs).unwrap_or(Ok(())), Ok(()));
}

#[test]
fn prometheus_takes_every_expression_of_the_runbook() {
    let exprs: Vec<_> = runbook_queries().iter().map(|query| filled(&query.expr)).collect();
    assert!(exprs.len() > 20, "{}", exprs.len());
    assert_eq!(parse(&exprs).unwrap_or(Ok(())), Ok(()));
}

#[test]
fn prometheus_refuses_what_is_no_expression() {
    for bad in ["rate(up)", "sum by (mode", "sum(up[5m])", "up[$__rangy]"] {
        let refused = parse(&[filled(bad)]).is_none_or(|said| said.is_err());
        assert!(refused, "{bad}");
    }
}

#[test]
fn the_rules_are_good_and_their_cases_come_out() {
    let mut rules = vec!["check", "rules"];
    let files = crate::files("deploy/prometheus/rules", ".yml");
    rules.extend(files.iter().map(String::as_str));
    let mut tests = vec!["test", "rules"];
    let cases = crate::files("deploy/prometheus/tests", ".yml");
    tests.extend(cases.iter().map(String::as_str));
    for arguments in [rules, tests] {
        let Some(output) = promtool(&arguments) else { return };
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn a_case_that_does_not_come_out_is_noticed() {
    let cases = crate::read("deploy/prometheus/tests/alerts.yml");
    let rules = format!("  - {}/", repository("deploy/prometheus/rules").display());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cases.yml");
    let wrong =
        cases.replace("  - ../rules/", &rules).replace("cut off 2 requests", "cut off 3 requests");
    assert_ne!(wrong, cases);
    std::fs::write(&path, wrong).expect("written");
    let Some(output) = promtool(&["test", "rules", &path.to_string_lossy()]) else { return };
    assert!(said(&output).contains("RequestsCutOff"), "{}", said(&output));
    assert!(!output.status.success());
}
