//! Rules that cannot fail are no rules: each notices when it is broken, in a copy of a dashboard.

use serde_json::{Value, json};

use crate::{board::Board, rules};

/// A rule, and something that breaks it in the comparison.
type Mutation = (&'static str, fn(&mut Value));

/// The first panel of a type.
fn first<'a>(board: &'a mut Value, kind: &str) -> &'a mut Value {
    let panels = board["panels"].as_array_mut().expect("panels");
    panels.iter_mut().find(|panel| panel["type"] == kind).expect("there is one")
}

/// A row that is folded away.
fn folded(board: &mut Value) -> &mut Value {
    let panels = board["panels"].as_array_mut().expect("panels");
    panels.iter_mut().find(|panel| panel["collapsed"] == true).expect("there is one")
}

/// The table that has a row a mode.
fn table_of_modes(board: &mut Value) -> &mut Value {
    let panels = board["panels"].as_array_mut().expect("panels");
    let cost = |panel: &&mut Value| panel["title"] == "What did it cost, and why?";
    panels.iter_mut().find(cost).expect("it is there")
}

fn variable<'a>(board: &'a mut Value, name: &str) -> &'a mut Value {
    let variables = board["templating"]["list"].as_array_mut().expect("variables");
    variables.iter_mut().find(|variable| variable["name"] == name).expect("there is one")
}

/// Replaces text in the first query of the first time series.
fn replace(board: &mut Value, from: &str, to: &str) {
    let expr = &mut first(board, "timeseries")["targets"][0]["expr"];
    let before = expr.as_str().expect("a query").to_owned();
    *expr = before.replace(from, to).into();
    assert_ne!(*expr, before, "{from} is not there");
}

const MUTATIONS: &[Mutation] = &[
    ("identity", |b| b["uid"] = json!("comparison")),
    ("identity", |b| b["id"] = json!(7)),
    ("schema", |b| b["schemaVersion"] = json!(42)),
    ("schema", |b| b["elements"] = json!({})),
    ("utc", |b| b["timezone"] = json!("browser")),
    ("not editable", |b| b["editable"] = json!(true)),
    ("described", |b| b["description"] = json!("")),
    ("tags and links", |b| b["tags"] = json!(["prometheus"])),
    ("tags and links", |b| b["links"] = json!([])),
    ("rows", |b| first(b, "row")["title"] = json!("Overview")),
    ("data source variable", |b| b["templating"]["list"][0]["label"] = json!("Source")),
    ("data source variable", |b| b["templating"]["list"].as_array_mut().unwrap().reverse()),
    ("query variables", |b| variable(b, "mode")["refresh"] = json!(1)),
    ("query variables", |b| variable(b, "job")["description"] = json!("")),
    ("query variables", |b| variable(b, "version")["datasource"]["uid"] = json!("abc")),
    ("query variables", |b| variable(b, "instance")["definition"] = json!("label_values(job)")),
    ("all of a variable", |b| variable(b, "instance")["allValue"] = json!(".*")),
    ("all of a variable", |b| variable(b, "mode")["multi"] = json!(false)),
    ("known variables", |b| replace(b, "$mode", "$modes")),
    ("known variables", |b| variable(b, "version")["name"] = json!("release")),
    ("annotations", |b| b["annotations"]["list"][1]["useValueForTime"] = json!(false)),
    ("annotations", |b| b["annotations"]["list"][2]["target"]["expr"] = json!("up")),
    ("annotations", |b| {
        let _ = b["annotations"]["list"].as_array_mut().unwrap().pop();
    }),
    ("annotations", |b| b["annotations"]["list"][1]["filter"]["ids"] = json!([99])),
    ("variable of the run", |b| variable(b, "run")["includeAll"] = json!(true)),
    ("variable of the run", |b| variable(b, "run")["sort"] = json!(1)),
    ("few queries", |b| {
        let targets = first(b, "table")["targets"].as_array_mut().expect("targets");
        *targets = targets.iter().cycle().take(30).cloned().collect();
    }),
    ("panel types", |b| first(b, "timeseries")["type"] = json!("graph")),
    ("panel ids", |b| first(b, "stat")["id"] = json!(1)),
    ("panel ids", |b| first(b, "stat")["id"] = json!(0)),
    ("titles", |b| first(b, "stat")["title"] = json!("Requests lost")),
    ("titles", |b| {
        let title = first(b, "table")["title"].clone();
        first(b, "stat")["title"] = title;
    }),
    ("length of titles", |b| first(b, "stat")["gridPos"]["w"] = json!(7)),
    ("folded rows", |b| first(b, "row")["collapsed"] = json!(true)),
    ("folded rows", |b| folded(b)["panels"][0]["gridPos"]["x"] = json!(13)),
    ("folded rows", |b| folded(b)["panels"][1]["gridPos"]["x"] = json!(11)),
    ("state timelines", |b| {
        let steps = json!([{"color": "green", "value": null}]);
        first(b, "state-timeline")["fieldConfig"]["defaults"]["thresholds"]["steps"] = steps;
    }),
    ("state timelines", |b| {
        first(b, "state-timeline")["fieldConfig"]["defaults"]["color"]["mode"] =
            json!("thresholds");
    }),
    ("one series", |b| first(b, "stat")["fieldConfig"]["defaults"]["displayName"] = Value::Null),
    ("links of panels", |b| first(b, "stat")["links"] = json!([])),
    ("links of panels", |b| first(b, "stat")["links"][0]["url"] = json!("docs/runbook.md#none")),
    ("descriptions", |b| first(b, "table")["description"] = json!("A table.")),
    ("units", |b| first(b, "stat")["fieldConfig"]["defaults"]["unit"] = json!("")),
    ("units", |b| first(b, "stat")["fieldConfig"]["defaults"]["unit"] = json!("short")),
    ("units", |b| {
        let overrides = &mut first(b, "table")["fieldConfig"]["overrides"];
        overrides[1]["properties"][0]["value"] = json!("short");
    }),
    ("grid", |b| first(b, "stat")["gridPos"]["w"] = json!(16)),
    ("grid", |b| first(b, "stat")["gridPos"]["x"] = json!(20)),
    ("grid", |b| first(b, "row")["gridPos"]["w"] = json!(12)),
    ("grid", |b| first(b, "stat")["gridPos"] = Value::Null),
    ("data source", |b| first(b, "stat")["datasource"]["uid"] = json!("prometheus")),
    ("data source", |b| first(b, "stat")["targets"][0]["datasource"] = Value::Null),
    ("targets", |b| first(b, "stat")["targets"] = json!([])),
    ("targets", |b| first(b, "table")["targets"][1]["refId"] = json!("A")),
    ("targets", |b| first(b, "stat")["targets"][0]["range"] = json!(true)),
    ("one value, one instant", |b| {
        let target = &mut first(b, "stat")["targets"][0];
        (target["instant"], target["range"]) = (json!(false), json!(true));
    }),
    ("legends", |b| first(b, "stat")["targets"][0]["legendFormat"] = json!("")),
    ("legends", |b| first(b, "table")["targets"][0]["format"] = json!("time_series")),
    ("job and instance", |b| replace(b, "job=~\"$job\",", "")),
    ("job and instance", |b| replace(b, "instance=~\"$instance\"", "instance=\"$instance\"")),
    ("job and instance", |b| {
        variable(b, "mode")["query"]["query"] = json!("label_values(up{job=~\"$job\"}, mode)");
    }),
    ("mode and version", |b| replace(b, ",mode=~\"$mode\"", "")),
    ("run", |b| replace(b, ",run=~\"$run\"", "")),
    ("run", |b| replace(b, "run=~\"$run\"", "run=~\"$run|\"")),
    ("rate interval", |b| replace(b, "websample_lab_requests_total{", "rate(x_total{}[5m]) + a{")),
    ("rate interval", |b| {
        replace(b, "websample_lab_requests_total{", "increase(websample_lab_x{}[$__range]) + a{");
    }),
    ("windows", |b| replace(b, "sum by (mode) (", "max_over_time(a[5m]) + (")),
    ("lost", |b| replace(b, "ok|unsent|abandoned", "ok|unsent")),
    ("lost", |b| replace(b, "outcome!~\"ok|unsent|abandoned\"", "outcome!=\"ok\"")),
    ("colours by mode", |b| first(b, "stat")["fieldConfig"]["overrides"] = json!([])),
    ("colours by mode", |b| {
        let overrides = &mut first(b, "stat")["fieldConfig"]["overrides"];
        overrides[0]["matcher"]["options"] = json!("/^ignore$/");
    }),
    ("colours by mode", |b| {
        first(b, "stat")["targets"][0]["legendFormat"] = json!("lost by {{mode}}");
    }),
    ("colours by mode", |b| table_of_modes(b)["fieldConfig"]["overrides"] = json!([])),
    ("one meaning of a colour", |b| {
        let steps = json!([{"color": "red", "value": null}]);
        first(b, "stat")["fieldConfig"]["defaults"]["thresholds"]["steps"] = steps;
    }),
    ("one meaning of a colour", |b| {
        let colour = &mut first(b, "timeseries")["fieldConfig"]["defaults"]["color"];
        *colour = json!({"mode": "palette-classic"});
    }),
    ("one meaning of a colour", |b| {
        let overrides = &mut first(b, "stat")["fieldConfig"]["overrides"];
        overrides[0]["properties"][0]["value"]["fixedColor"] = json!("red");
    }),
    ("colours by phase", |b| {
        let mappings = &mut first(b, "state-timeline")["fieldConfig"]["defaults"]["mappings"];
        mappings[0]["options"]["3"]["text"] = json!("draining");
    }),
];

#[test]
fn every_rule_notices_when_it_is_broken() {
    let whole = Board::named("comparison");
    for (name, breaks) in MUTATIONS {
        let rule = rules::all().find(|rule| rule.name == *name).expect("a rule of this name");
        let mut broken = whole.clone();
        breaks(&mut broken.json);
        assert_ne!(broken.json, whole.json, "{name}: nothing was broken");
        assert_ne!((rule.check)(&broken), Vec::<String>::new(), "`{name}` does not notice");
    }
}

#[test]
fn the_rule_about_the_text_notices_too() {
    let mut board = Board::named("comparison");
    board.text = board.text.replacen("  \"annotations\"", "    \"annotations\"", 1);
    let rule = rules::all().find(|rule| rule.name == "tidy").expect("it is there");
    assert_eq!((rule.check)(&board), ["line 2"]);
}

#[test]
fn no_rule_is_left_out() {
    let broken = |name: &str| name == "tidy" || MUTATIONS.iter().any(|(rule, _)| *rule == name);
    let left: Vec<_> = rules::all().map(|rule| rule.name).filter(|name| !broken(name)).collect();
    assert_eq!(left, Vec::<&str>::new(), "rules without a mutation");
}
