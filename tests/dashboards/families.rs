//! Every metric that is asked for is one of the code's, and every one of the code's is asked for
//! or left out on purpose. The names come from the running code.

use std::collections::{BTreeMap, BTreeSet};

use websample_lab as rollout;
use websample_lifecycle::{Lifecycle, Mode, Policy};
use websample_metrics::{BuildInfo, Metrics};

use crate::{
    alerts,
    board::{Asked, Board},
    documents::runbook_queries,
    promql::selectors,
};

/// What no dashboard and no rule asks for, and why.
const UNUSED: [(&str, &str); 2] = [
    (
        "process_virtual_memory_bytes",
        "reserved addresses, not memory: allocators and threads reserve at will, so it tells nothing",
    ),
    (
        "websample_log_lines_dropped_total",
        "no request is lost by it; for those whose logs are evidence, and the log tells it too",
    ),
];

/// What Prometheus itself writes for every target.
const PROMETHEUS: [&str; 2] = ["up", "scrape_duration_seconds"];

/// Labels that come from the target.
const TARGET: [&str; 6] = ["job", "instance", "pod", "mode", "version", "run"];

/// Labels whose values are all exported from the start.
const ENUMERATED: [&str; 4] = ["phase", "stage", "state", "signal"];

/// A family as a scrape shows it.
#[derive(Debug, Default)]
pub(crate) struct Family {
    /// counter, gauge or histogram.
    pub(crate) kind: String,
    /// Its labels and those of their values that are there from the start.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
}

/// Every family of the server and of the lab.
pub(crate) fn exported() -> BTreeMap<String, Family> {
    let (lifecycle, _drain) = Lifecycle::new(Policy::default()).expect("a policy that adds up");
    let build = BuildInfo { version: "v1".to_owned(), revision: "0".to_owned() };
    let mut server = Vec::new();
    let registry = prometheus::Registry::new();
    registry.register(Box::new(websample::sample::DroppedLines::new())).expect("registered");
    Metrics::new(&lifecycle, &build, &[("/", 200)], registry).write(&mut server).expect("written");
    let mut lab = Vec::new();
    let modes = Mode::ALL.map(|mode| (mode.name(), Some(mode)));
    rollout::metrics::Metrics::new(std::time::SystemTime::UNIX_EPOCH, modes)
        .write(&mut lab)
        .expect("written");
    let mut families = BTreeMap::<String, Family>::new();
    for text in [server, lab] {
        let text = String::from_utf8(text).expect("text");
        let mut current = String::new();
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                let (name, kind) = described.split_once(' ').expect("a name and a type");
                name.clone_into(&mut current);
                kind.clone_into(&mut families.entry(current.clone()).or_default().kind);
            } else if !line.starts_with('#') {
                let family = families.get_mut(&current).expect("TYPE comes first");
                for matcher in selectors(line).into_iter().flat_map(|series| series.matchers) {
                    family.labels.entry(matcher.label).or_default().insert(matcher.value);
                }
            }
        }
    }
    families
}

/// The family that a series belongs to: a histogram has three kinds of them.
fn family_of<'a>(families: &'a BTreeMap<String, Family>, series: &str) -> Option<&'a str> {
    let of = |name: &str| families.get_key_value(name);
    if let Some((name, family)) = of(series) {
        // A histogram has no series of its own name.
        return (family.kind != "histogram").then_some(name.as_str());
    }
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end))?;
    of(stem).filter(|(_, family)| family.kind == "histogram").map(|(name, _)| name.as_str())
}

/// Everything that is asked by dashboards and rules.
fn asked() -> Vec<Asked> {
    let mut all = alerts::queries();
    for board in Board::all() {
        let queries = board.queries().into_iter().chain(board.variable_queries());
        all.extend(queries.map(|q| Asked { place: format!("{}: {}", board.file, q.place), ..q }));
    }
    all
}

/// What is wrong with the metrics and labels of an expression.
fn unknown(families: &BTreeMap<String, Family>, recorded: &[String], expr: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for selector in selectors(expr) {
        for metric in selector.metrics() {
            if PROMETHEUS.contains(&metric) || recorded.iter().any(|name| name == metric) {
                continue;
            }
            let Some(name) = family_of(families, metric) else {
                wrong.push(format!("nothing exports {metric}"));
                continue;
            };
            let family = &families[name];
            for matcher in selector.matchers.iter().filter(|m| m.label != "__name__") {
                let label = matcher.label.as_str();
                match family.labels.get(label) {
                    None if TARGET.contains(&label) => {}
                    None => wrong.push(format!("{metric} has no label {label}")),
                    Some(values) if ENUMERATED.contains(&label) => {
                        let asked = matcher.value.split('|');
                        let strange = asked.filter(|value| !values.contains(*value));
                        wrong.extend(strange.map(|v| format!("{metric} has no {label} {v}")));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    wrong
}

#[test]
fn every_metric_that_is_asked_for_is_exported_with_its_labels() {
    let (families, recorded) = (exported(), alerts::recorded());
    let foreign = |query: &Asked| query.expr.contains("kube_");
    let wrong: Vec<_> = asked()
        .iter()
        .chain(runbook_queries().iter().filter(|query| !foreign(query)))
        .flat_map(|query| {
            let wrong = unknown(&families, &recorded, &query.expr).into_iter();
            wrong.map(|what| format!("{}: {what}", query.place))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_not_exported_is_noticed() {
    let families = exported();
    for (expr, expected) in [
        ("websample_requests_total", "nothing exports websample_requests_total"),
        ("rate(websample_http_requests[5m])", "nothing exports websample_http_requests"),
        // A histogram has no series of this name.
        (
            "websample_http_request_duration_seconds",
            "nothing exports websample_http_request_duration_seconds",
        ),
        (
            "websample_lifecycle_phase{phase=\"lameduck\"}",
            "websample_lifecycle_phase has no phase lameduck",
        ),
        (
            "websample_lifecycle_phase{phase=~\"draining|gone\"}",
            "websample_lifecycle_phase has no phase gone",
        ),
        (
            "websample_connections_open{route=\"/\"}",
            "websample_connections_open has no label route",
        ),
        (
            "websample_drain_budget_seconds{stage=\"max\"}",
            "websample_drain_budget_seconds has no stage max",
        ),
    ] {
        assert_eq!(unknown(&families, &[], expr), [expected]);
    }
    let good = r#"up{job="a"} + websample_lab_pods{mode="drain",state="ready"} + a:b:c"#;
    assert_eq!(unknown(&families, &["a:b:c".to_owned()], good), Vec::<String>::new());
}

#[test]
fn every_metric_is_asked_for_or_left_out_on_purpose() {
    let families = exported();
    let mut used = BTreeSet::new();
    for query in asked() {
        for selector in selectors(&query.expr) {
            used.extend(
                selector
                    .metrics()
                    .into_iter()
                    .filter_map(|m| family_of(&families, m))
                    .map(str::to_owned),
            );
        }
    }
    let left: Vec<_> = families.keys().filter(|name| !used.contains(*name)).collect();
    let named: Vec<_> = UNUSED.iter().map(|(name, _)| *name).collect();
    assert_eq!(left, named, "asked for nowhere, against what UNUSED says");
}

#[test]
fn the_two_exports_are_whole() {
    let families = exported();
    assert!(families.len() >= 25, "{:?}", families.keys());
    assert_eq!(families["websample_lab_requests_total"].kind, "counter");
    assert!(families["websample_lifecycle_phase"].labels["phase"].contains("lame_duck"));
}
