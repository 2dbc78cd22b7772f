//! Rules about the dashboard as a whole.

use serde_json::Value;

use super::Rule;
use crate::board::{Board, list, text};

/// The schema of Grafana 10.0, which later ones migrate on loading.
const SCHEMA: u64 = 38;

/// The rows of the comparison, in their order.
const COMPARISON: [&str; 5] = ["Verdict", "When and where", "Client", "Rollout", "Trust"];

/// Queries of a board that is opened are fewer than these.
const QUERIES: usize = 40;

/// Variables that Grafana brings.
const GRAFANAS: [&str; 3] = ["__range", "__interval", "__rate_interval"];

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "tidy",
        remedy: "format the file: keys sorted, two spaces, as `jq -S .` prints it",
        check: |board| {
            let pretty = serde_json::to_string_pretty(&board.json).expect("JSON") + "\n";
            let line = board.text.lines().zip(pretty.lines()).position(|(is, should)| is != should);
            let place = format!("line {}", line.map_or(0, |line| line + 1));
            (board.text != pretty).then_some(place).into_iter().collect()
        },
    },
    Rule {
        name: "identity",
        remedy: "the uid is `websample-` and the file's name, and the id is null: links rely on it",
        check: |board| {
            let expected = format!("websample-{}", board.stem());
            let good = board.json["uid"] == expected.as_str() && board.json["id"].is_null();
            (!good).then(|| format!("uid {}", board.json["uid"])).into_iter().collect()
        },
    },
    Rule {
        name: "schema",
        remedy: "use the classic schema of Grafana 10.0 (38): later ones migrate it, v2 needs 12",
        check: |board| {
            let version = &board.json["schemaVersion"];
            let good = *version == SCHEMA && board.json["elements"].is_null();
            (!good).then(|| format!("schemaVersion {version}")).into_iter().collect()
        },
    },
    Rule {
        name: "utc",
        remedy: "set the time zone to utc: logs and reports are",
        check: |board| {
            let zone = &board.json["timezone"];
            (*zone != "utc").then(|| format!("timezone {zone}")).into_iter().collect()
        },
    },
    Rule {
        name: "not editable",
        remedy: "set editable to false: the file is the source",
        check: |board| {
            let editable = &board.json["editable"];
            (*editable != false).then(|| format!("editable {editable}")).into_iter().collect()
        },
    },
    Rule {
        name: "described",
        remedy: "say in the dashboard's title and description what it is for",
        check: |board| {
            let lacks = |key: &&str| text(&board.json[*key]).len() < 20;
            ["title", "description"]
                .iter()
                .filter(|key| lacks(key))
                .map(ToString::to_string)
                .collect()
        },
    },
    Rule {
        name: "tags and links",
        remedy: "tag it `websample`, link to the dashboards with that tag and to the documentation",
        check: |board| {
            let links = list(&board.json["links"]);
            let siblings = |link: &&Value| {
                link["type"] == "dashboards"
                    && list(&link["tags"]).iter().any(|t| **t == "websample")
            };
            let document = |link: &&Value| text(&link["url"]).ends_with("docs/observability.md");
            let tags = list(&board.json["tags"]).iter().any(|tag| **tag == "websample");
            let checks = [
                ("tags", tags),
                ("link to the other dashboards", links.iter().any(siblings)),
                ("link to docs/observability.md", links.iter().any(document)),
            ];
            checks.into_iter().filter(|(_, good)| !good).map(|(what, _)| what.to_owned()).collect()
        },
    },
    Rule {
        name: "rows",
        remedy: "the comparison has the rows Verdict, When and where, Client, Rollout and Trust; any other has rows too",
        check: |board| {
            let rows = board.all_panels().into_iter().filter(|panel| panel["type"] == "row");
            let titles: Vec<_> = rows.map(|row| text(&row["title"])).collect();
            let good =
                if board.stem() == "comparison" { titles == COMPARISON } else { titles.len() > 1 };
            (!good).then(|| format!("rows {titles:?}")).into_iter().collect()
        },
    },
    Rule {
        name: "data source variable",
        remedy: "the first variable is `datasource`, of type datasource, labelled `Data source`",
        check: |board| {
            let first = board.variables().first().copied().unwrap_or(&Value::Null);
            let good = first["name"] == "datasource"
                && first["type"] == "datasource"
                && first["query"] == "prometheus"
                && first["label"] == "Data source";
            (!good).then(|| format!("variable {}", first["name"])).into_iter().collect()
        },
    },
    Rule {
        name: "query variables",
        remedy: "job, instance, mode and version are query variables with a label, a description, the \
                 chosen data source, the same query in `definition`, and refresh 2 (on a change of \
                 the range)",
        check: |board| {
            let good = |variable: &Value| {
                variable["type"] == "query"
                    && !text(&variable["label"]).is_empty()
                    && text(&variable["description"]).len() > 10
                    && variable["datasource"]["uid"] == "${datasource}"
                    && variable["query"]["query"] == variable["definition"]
                    && variable["refresh"] == 2
            };
            ["job", "instance", "mode", "version"]
                .into_iter()
                .filter(|name| !board.variable(name).is_some_and(good))
                .map(|name| format!("variable {name}"))
                .collect()
        },
    },
    Rule {
        name: "variable of the run",
        remedy: "the comparison has the variable `run`: one value, and none for all, since numbers of \
                 two runs are those of neither; in descending order (2), so that the newest is first",
        check: |board| {
            let good = |variable: &Value| {
                variable["multi"] == false
                    && variable["includeAll"] == false
                    && variable["sort"] == 2
                    && variable["refresh"] == 2
                    && text(&variable["definition"]).ends_with(", run)")
            };
            let wrong = board.stem() == "comparison" && !board.variable("run").is_some_and(good);
            wrong.then(|| "variable run".to_owned()).into_iter().collect()
        },
    },
    Rule {
        name: "few queries",
        remedy: "a board asks under 40 queries when it is opened: fold rows away, or leave some out",
        check: |board| {
            let panels = board.unfolded().into_iter().flat_map(|panel| list(&panel["targets"]));
            let enabled = board.annotations().into_iter().filter(|a| a["enable"] == true);
            let asked = panels.count() + board.variable_queries().len() + enabled.count();
            (asked >= QUERIES).then(|| format!("{asked} queries")).into_iter().collect()
        },
    },
    Rule {
        name: "all of a variable",
        remedy: "instance, mode and version take several values; All is `.+` (`.*` for mode and \
                 version takes pods without that label too)",
        check: |board| {
            let good = |variable: &Value, values: &[&str]| {
                variable["multi"] == true
                    && variable["includeAll"] == true
                    && values.contains(&text(&variable["allValue"]))
            };
            let demanded: [(&str, &[&str]); 3] =
                [("instance", &[".+"]), ("mode", &[".+", ".*"]), ("version", &[".+", ".*"])];
            demanded
                .into_iter()
                .filter(|(name, values)| !board.variable(name).is_some_and(|v| good(v, values)))
                .map(|(name, _)| format!("variable {name}"))
                .collect()
        },
    },
    Rule {
        name: "known variables",
        remedy: "use only variables that the dashboard or Grafana has, and use each of them",
        check: |board| {
            let mut asked = board.queries();
            asked.extend(board.variable_queries());
            let mut wrong = Vec::new();
            for query in &asked {
                let unknown = names(&query.expr)
                    .find(|name| board.variable(name).is_none() && !GRAFANAS.contains(name));
                wrong.extend(unknown.map(|name| format!("{}: ${name}", query.place)));
            }
            for variable in board.variables() {
                let name = text(&variable["name"]);
                let used = asked.iter().any(|query| names(&query.expr).any(|used| used == name));
                // The data source is no part of an expression; see the rule `data source`.
                if !used && name != "datasource" {
                    wrong.push(format!("variable {name} is not used"));
                }
            }
            wrong
        },
    },
    Rule {
        name: "annotations",
        remedy: "two kinds at most, each limited to some panels, so that they can be told apart and hide \
                 nothing; at the true instant: 1000 * a timestamp > 0, useValueForTime, and the same \
                 query and step in `target` (Grafana 11 on) as outside",
        check: |board| {
            let wanted: &[&str] = match board.stem() {
                "comparison" => &["Update began", "Update ended"],
                _ => &["A drain began"],
            };
            let named: Vec<_> = board.annotations().iter().map(|a| text(&a["name"])).collect();
            let mut wrong = Vec::new();
            if named != wanted {
                wrong.push(format!("annotations {named:?}"));
            }
            let panels = board.panels();
            for annotation in board.annotations() {
                let expr = text(&annotation["expr"]);
                let good = expr.starts_with("1000 * (")
                    && expr.ends_with("> 0)")
                    && expr.contains("_timestamp_seconds{")
                    && annotation["useValueForTime"] == true
                    && annotation["enable"].is_boolean()
                    && !text(&annotation["titleFormat"]).is_empty()
                    && !text(&annotation["textFormat"]).is_empty()
                    && !text(&annotation["step"]).is_empty()
                    && annotation["target"]["expr"] == annotation["expr"]
                    && annotation["target"]["interval"] == annotation["step"]
                    && annotation["filter"]["exclude"] == false
                    && !list(&annotation["filter"]["ids"]).is_empty()
                    && list(&annotation["filter"]["ids"])
                        .iter()
                        .all(|id| panels.iter().any(|panel| panel["id"] == **id));
                if !good {
                    wrong.push(format!("annotation {}", annotation["name"]));
                }
            }
            wrong
        },
    },
];

/// The variables of an expression, without the groups of a pattern, such as $1.
fn names(expr: &str) -> impl Iterator<Item = &str> {
    let behind = expr.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        &rest[..end.unwrap_or(rest.len())]
    });
    behind.filter(|name| !name.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn variables_are_found_in_both_spellings() {
    let found: Vec<_> = names(r#"a{b=~"$mode",c="${job:regex}"}[$__range] "$1""#).collect();
    assert_eq!(found, ["mode", "job", "__range"]);
    assert_eq!(Board::all().len(), 2, "a new dashboard needs its rows in the documentation");
}
