//! Rules about what is asked.

use serde_json::Value;

use super::{
    Rule,
    layout::{place, places},
};
use crate::{
    board::{Asked, list, text},
    promql::{Selector, selectors},
};

/// The panel that is about all runs, whichever is chosen, and whichever range.
const RUNS: &str = "Which runs are there?";

/// Whether a query of a panel or an annotation is that one's.
fn about_all_runs(query: &Asked) -> bool {
    query.place.contains(RUNS)
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "data source",
        remedy: "panels, queries and annotations use the data source ${datasource} of type prometheus",
        check: |board| {
            let wrong = |of: &Value| {
                let source = &of["datasource"];
                source["type"] != "prometheus" || source["uid"] != "${datasource}"
            };
            let panels = places(board.panels(), |panel| {
                wrong(panel) || list(&panel["targets"]).into_iter().any(wrong)
            });
            let annotations = board.annotations().into_iter().filter(|a| wrong(a));
            panels
                .into_iter()
                .chain(annotations.map(|a| format!("annotation {}", a["name"])))
                .collect()
        },
    },
    Rule {
        name: "targets",
        remedy: "every panel asks something; queries of a panel have refIds of their own, and are \
                 asked either at an instant or over the range",
        check: |board| {
            places(board.panels(), |panel| {
                let targets = list(&panel["targets"]);
                let again = |(at, target): (usize, &&Value)| {
                    targets[..at].iter().any(|other| other["refId"] == target["refId"])
                };
                let bad = |target: &Value| {
                    text(&target["expr"]).is_empty()
                        || text(&target["refId"]).is_empty()
                        || target["instant"].as_bool() != target["range"].as_bool().map(|r| !r)
                };
                targets.is_empty()
                    || targets.iter().any(|target| bad(target))
                    || targets.iter().enumerate().any(again)
            })
        },
    },
    Rule {
        name: "one value, one instant",
        remedy: "stat, bargauge and table ask at the instant at the end of the range; panels with a \
                 time axis ask over the range",
        check: |board| {
            places(board.panels(), |panel| {
                let instant = matches!(text(&panel["type"]), "stat" | "bargauge" | "table");
                list(&panel["targets"]).iter().any(|target| target["instant"] != instant)
            })
        },
    },
    Rule {
        name: "legends",
        remedy: "name the series of every query, except those of tables",
        check: |board| {
            places(board.panels(), |panel| {
                let named = |target: &&Value| !text(&target["legendFormat"]).is_empty();
                let table = panel["type"] == "table";
                list(&panel["targets"])
                    .iter()
                    .any(|target| (target["format"] == "table") != table || named(target) == table)
            })
        },
    },
    Rule {
        name: "job and instance",
        remedy: r#"every selector carries job=~"$job",instance=~"$instance""#,
        check: |board| {
            let good = |selector: &Selector| {
                selector.demands("job", "=~", "$job")
                    && selector.demands("instance", "=~", "$instance")
            };
            let mut wrong = Vec::new();
            for query in board.queries() {
                let found = selectors(&query.expr);
                if found.is_empty() || !found.iter().all(good) {
                    wrong.push(format!("{}: {}", query.place, query.expr));
                }
            }
            // A variable depends on those in front of it.
            for (at, query) in board.variable_queries().into_iter().enumerate() {
                let found = selectors(&query.expr);
                let wanted = ["job", "instance"].into_iter().take(at);
                let all = wanted.clone().all(|label| {
                    found.iter().all(|s| s.demands(label, "=~", &format!("${label}")))
                });
                if found.is_empty() || !all {
                    wrong.push(format!("{}: {}", query.place, query.expr));
                }
            }
            wrong
        },
    },
    Rule {
        name: "mode and version",
        remedy: r#"every selector of a panel carries mode=~"$mode""#,
        check: |board| {
            let good = |selector: &Selector| selector.demands("mode", "=~", "$mode");
            let queries = board.queries().into_iter().filter(|query| !about_all_runs(query));
            let wrong = queries.filter(|query| !selectors(&query.expr).iter().all(good));
            wrong.map(|query| format!("{}: {}", query.place, query.expr)).collect()
        },
    },
    Rule {
        name: "run",
        remedy: r#"every selector of the comparison carries run=~"$run", or run=~"$run|" where pods of a \
                 cluster count, which have none"#,
        check: |board| {
            let good = |selector: &Selector| {
                let lab = selector.metrics().iter().all(|metric| metric.contains("_lab_"));
                selector.demands("run", "=~", if lab { "$run" } else { "$run|" })
            };
            if board.stem() != "comparison" {
                return Vec::new();
            }
            let queries = board.queries().into_iter().filter(|query| !about_all_runs(query));
            let wrong = queries.filter(|query| !selectors(&query.expr).iter().all(good));
            wrong.map(|query| format!("{}: {}", query.place, query.expr)).collect()
        },
    },
    Rule {
        name: "rate interval",
        remedy: "rate() takes $__rate_interval; increase(), which extrapolates, takes $__range and \
                 never a counter of the lab, whose totals are sums of max_over_time()",
        check: |board| {
            let bad = |selector: &Selector| {
                let range = selector.range.as_deref().unwrap_or("");
                match selector.function.as_str() {
                    "rate" => range != "$__rate_interval",
                    "increase" => range != "$__range" || selector.metric.contains("_lab_"),
                    "irate" | "delta" | "idelta" | "deriv" => true,
                    _ => false,
                }
            };
            let queries = board.queries().into_iter();
            let wrong = queries.filter(|query| selectors(&query.expr).iter().any(bad));
            wrong.map(|query| format!("{}: {}", query.place, query.expr)).collect()
        },
    },
    Rule {
        name: "windows",
        remedy: "a panel's windows are $__range (at an instant) or $__rate_interval (over the range), \
                 so that they fit what is shown",
        check: |board| {
            let mut wrong = Vec::new();
            for panel in board.panels().into_iter().filter(|panel| panel["title"] != RUNS) {
                for target in list(&panel["targets"]) {
                    let right =
                        if target["instant"] == true { "$__range" } else { "$__rate_interval" };
                    let all = selectors(text(&target["expr"]));
                    if all.iter().filter_map(|s| s.range.as_deref()).any(|range| range != right) {
                        wrong.push(place(panel));
                    }
                }
            }
            wrong
        },
    },
    Rule {
        name: "lost",
        remedy: r#"lost is outcome!~"ok|unsent|abandoned", as in report.json; sent is \
                 outcome!~"unsent|abandoned""#,
        check: |board| {
            let lost = |selector: &Selector| {
                let exclusions = selector.matchers.iter().filter(|m| m.operator.starts_with('!'));
                exclusions.filter(|m| m.label == "outcome").any(|m| {
                    m.operator != "!~"
                        || !["ok|unsent|abandoned", "unsent|abandoned"].contains(&m.value.as_str())
                })
            };
            let queries = board.queries().into_iter();
            let wrong = queries.filter(|query| selectors(&query.expr).iter().any(lost));
            wrong.map(|query| format!("{}: {}", query.place, query.expr)).collect()
        },
    },
];
