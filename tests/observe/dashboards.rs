//! The queries of the dashboards: panels, variables, annotations.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    observer::repository,
    queries::{Kind, Query},
};

const DIRECTORY: &str = "grafana/dashboards";

/// The dashboards, by their files.
pub(crate) fn all() -> Vec<(String, Value)> {
    let files = fs::read_dir(repository(DIRECTORY)).expect("there are dashboards").flatten();
    let mut names: Vec<_> = files.map(|file| file.file_name().into_string().unwrap()).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|kind| kind == "json"));
    names.sort();
    let read = |name: String| {
        let path = format!("{DIRECTORY}/{name}");
        let text = fs::read_to_string(repository(&path)).expect("it can be read");
        (path, serde_json::from_str(&text).expect("JSON"))
    };
    names.into_iter().map(read).collect()
}

/// The panels of a dashboard, those in collapsed rows too.
pub(crate) fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = list(&dashboard["panels"]);
    panels.flat_map(|panel| std::iter::once(panel).chain(list(&panel["panels"]))).collect()
}

/// A query of a panel, by its refId.
pub(crate) fn expr(file: &str, title: &str, reference: &str) -> String {
    let (_, dashboard) = all().into_iter().find(|(name, _)| name == file).expect("it is there");
    let exprs: Vec<_> = panels(&dashboard)
        .into_iter()
        .filter(|panel| panel["title"] == title)
        .flat_map(|panel| list(&panel["targets"]))
        .filter(|target| target["refId"] == reference)
        .filter_map(|target| target["expr"].as_str())
        .collect();
    let [expr] = exprs[..] else {
        panic!("{file} has not one query {reference} under '{title}': {exprs:?}")
    };
    expr.to_owned()
}

/// The queries of every dashboard.
pub(crate) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, dashboard) in all() {
        for panel in panels(&dashboard) {
            for target in list(&panel["targets"]) {
                let title = panel["title"].as_str().unwrap_or("untitled");
                let reference = target["refId"].as_str().unwrap_or("?");
                let at = format!("{file}: {title} ({reference})");
                let Some(expr) = target["expr"].as_str() else { panic!("{at}: no expr") };
                // Grafana asks both ways where both are set.
                let (instant, range) = (target["instant"] == true, target["range"] == true);
                for (kind, wanted) in [(Kind::Instant, instant), (Kind::Range, range || !instant)] {
                    if wanted {
                        queries.push(Query { at: at.clone(), expr: expr.to_owned(), kind });
                    }
                }
            }
        }
        for annotation in list(&dashboard["annotations"]["list"]) {
            if let Some(expr) = annotation["expr"].as_str() {
                let name = annotation["name"].as_str().unwrap_or("unnamed");
                let at = format!("{file}: annotation {name}");
                queries.push(Query { at, expr: expr.to_owned(), kind: Kind::Range });
            }
        }
        for variable in list(&dashboard["templating"]["list"]) {
            if variable["type"] != "query" {
                continue;
            }
            let name = variable["name"].as_str().unwrap_or("unnamed");
            let query = &variable["query"];
            let query = query.as_str().or_else(|| query["query"].as_str());
            queries.push(variable_query(format!("{file}: variable {name}"), query.unwrap_or("")));
        }
    }
    queries
}

/// `label_values(label)`, `label_values(selector, label)` or `query_result(expr)`.
fn variable_query(at: String, query: &str) -> Query {
    let inside = |function: &str| query.strip_prefix(function)?.trim().strip_suffix(')');
    if let Some(expr) = inside("query_result(") {
        return Query { at, expr: expr.to_owned(), kind: Kind::Instant };
    }
    let Some(values) = inside("label_values(") else { panic!("{at}: `{query}` is not understood") };
    let kind = match values.rsplit_once(',') {
        Some((selector, label)) => Kind::LabelValues {
            selector: Some(selector.trim().to_owned()),
            label: label.trim().to_owned(),
        },
        None => Kind::LabelValues { selector: None, label: values.trim().to_owned() },
    };
    Query { at, expr: query.to_owned(), kind }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[test]
fn a_variable_is_asked_as_grafana_asks() {
    let kind = |query| variable_query(String::new(), query).kind;
    let values = |selector: Option<&str>, label: &str| Kind::LabelValues {
        selector: selector.map(str::to_owned),
        label: label.to_owned(),
    };
    assert_eq!(kind("label_values(job)"), values(None, "job"));
    assert_eq!(
        kind(r#"label_values(up{job=~"a|b", x="y"}, instance)"#),
        values(Some(r#"up{job=~"a|b", x="y"}"#), "instance")
    );
    assert_eq!(kind("query_result(up)"), Kind::Instant);
}
