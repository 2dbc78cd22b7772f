//! What the documentation and the provisioning say.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::{
    alerts,
    board::{Asked, Board, list, text},
    families, read, repository,
};

/// The queries of the runbook, one a line of its blocks.
pub(crate) fn runbook_queries() -> Vec<Asked> {
    let runbook = read("docs/runbook.md");
    let blocks = runbook.split("```promql\n").skip(1).filter_map(|block| block.split("```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| !line.is_empty());
    lines.map(|line| Asked { place: "docs/runbook.md".to_owned(), expr: line.to_owned() }).collect()
}

#[test]
fn every_metric_is_in_the_reference_with_its_type_and_labels() {
    let reference = read("docs/observability.md");
    for (name, family) in families::exported() {
        let line = reference.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let line = line.unwrap_or_else(|| panic!("docs/observability.md has no row of {name}"));
        assert!(line.contains(&format!("| {} |", family.kind)), "{name} is a {}", family.kind);
        for label in family.labels.keys().filter(|label| *label != "le") {
            assert!(line.contains(label.as_str()), "{name} has the label {label}: {line}");
        }
    }
}

#[test]
fn the_reference_has_no_metric_that_is_gone() {
    let reference = read("docs/observability.md");
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let known: BTreeSet<_> = families::exported().into_keys().chain(alerts::recorded()).collect();
    let metric = |name: &&str| name.starts_with("websample_") || name.starts_with("process_");
    let gone: Vec<_> = rows.filter(metric).filter(|name| !known.contains(*name)).collect();
    assert_eq!(gone, Vec::<&str>::new());
}

#[test]
fn every_row_of_every_dashboard_is_explained() {
    let document = read("docs/observability.md");
    for board in Board::all() {
        let uid = text(&board.json["uid"]);
        let section = document.split("\n### ").find(|section| section.contains(uid));
        let section = section.unwrap_or_else(|| panic!("docs/observability.md has no {uid}"));
        for row in board.all_panels().into_iter().filter(|panel| panel["type"] == "row") {
            let title = text(&row["title"]);
            assert!(section.contains(&format!("| {title} |")), "{uid}: row {title}");
        }
    }
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_data_source_knows_the_scrape_interval() {
    let provisioned = yaml("grafana/provisioning/datasources/websample.yaml");
    let sources = list(&provisioned["datasources"]);
    let [source] = sources[..] else { panic!("{sources:?}") };
    assert_eq!(source["type"], "prometheus");
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    let interval = &prometheus["global"]["scrape_interval"];
    assert_eq!(source["jsonData"]["timeInterval"], *interval, "$__rate_interval is made of it");
    let provider = &yaml("grafana/provisioning/dashboards/websample.yaml")["providers"][0];
    assert_eq!((&provider["type"], &provider["allowUiUpdates"]), (&"file".into(), &false.into()));
}

#[test]
fn whoever_starts_grafana_sets_the_variables_of_its_provisioning() {
    let mut needed = BTreeSet::new();
    for file in ["datasources", "dashboards"] {
        let text = read(&format!("grafana/provisioning/{file}/websample.yaml"));
        let values = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for after in values.flat_map(|line| line.split('$').skip(1)) {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            needed.insert(after[..end.unwrap_or(after.len())].to_owned());
        }
    }
    assert_eq!(needed.len(), 2, "{needed:?}");
    // The server takes WEBSAMPLE_… for settings of its own and refuses what it does not know.
    assert!(needed.iter().all(|name| !name.starts_with("WEBSAMPLE_")), "{needed:?}");
    for starter in ["deploy/compose.yaml", "scripts/observe"] {
        if !repository(starter).exists() {
            continue;
        }
        let text = read(starter);
        let unset: Vec<_> = needed
            .iter()
            .filter(|name| !["=", ":"].iter().any(|sign| text.contains(&format!("{name}{sign}"))))
            .collect();
        assert_eq!(unset, Vec::<&String>::new(), "{starter} does not set them");
    }
}

#[test]
fn the_boards_are_what_their_source_says() {
    let made = Command::new(repository("scripts/dashboards")).arg("--check").output();
    let made = made.expect("the script starts");
    let said = String::from_utf8_lossy(&made.stderr);
    if made.status.code() == Some(69) {
        println!("skipped: {said}");
        return;
    }
    assert!(made.status.success(), "{said}run scripts/dashboards");
}

#[test]
fn the_sidecar_gets_the_boards_that_are_provisioned() {
    let kustomization = yaml("deploy/kubernetes/monitoring/kustomization.yaml");
    for board in Board::all() {
        let file = format!("dashboard-{}.yaml", board.stem());
        assert!(list(&kustomization["resources"]).iter().any(|r| **r == *file), "{file}");
        let path = format!("deploy/kubernetes/monitoring/{file}");
        let map = yaml(&path);
        assert_eq!((&map["kind"], &map["apiVersion"]), (&"ConfigMap".into(), &"v1".into()));
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1", "{path}");
        let data = text(&map["data"][format!("websample-dashboard-{}.json", board.stem())]);
        let shown: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(shown, board.json, "{path}: run scripts/dashboards");
        // kubectl apply keeps a copy in an annotation, and all annotations end at 256 KiB.
        assert!(read(&path).len() < 128 * 1024, "{path}");
    }
}

#[test]
fn a_board_to_import_differs_only_in_asking_for_its_data_source() {
    for board in Board::all() {
        let path = format!("grafana/import/{}.json", board.stem());
        let mut import: Value = serde_json::from_str(&read(&path)).expect("JSON");
        let fields = import.as_object_mut().expect("an object");
        let inputs = fields.remove("__inputs").unwrap_or_default();
        let [input] = list(&inputs)[..] else { panic!("{path}: {inputs}") };
        assert_eq!(
            (&input["type"], &input["pluginId"]),
            (&"datasource".into(), &"prometheus".into())
        );
        let requires = fields.remove("__requires").unwrap_or_default();
        assert!(list(&requires).iter().any(|r| r["type"] == "grafana"), "{path}: {requires}");
        assert_eq!(fields.remove("__elements"), Some(serde_json::json!({})), "{path}");
        let source = &mut import["templating"]["list"][0];
        assert_eq!(source["current"]["value"], format!("${{{}}}", text(&input["name"])), "{path}");
        source["current"] = serde_json::json!({});
        assert_eq!(import, board.json, "{path}: run scripts/dashboards");
    }
}

#[test]
fn commands_that_the_boards_name_are_there() {
    let texts: String = Board::all().into_iter().map(|board| board.text).collect();
    let named = texts.split("`websample ").skip(1).filter_map(|rest| rest.split(['`', ' ']).next());
    let commands: BTreeSet<_> = named.collect();
    assert!(!commands.is_empty());
    for command in commands {
        let help = Command::new(env!("CARGO_BIN_EXE_websample")).args(["help", command]).output();
        assert!(help.expect("the binary starts").status.success(), "websample {command}");
    }
}
