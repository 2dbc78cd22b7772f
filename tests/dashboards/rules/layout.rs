//! Rules about panels: what they are, what they say, where they are.

use serde_json::Value;

use super::Rule;
use crate::board::{Board, list, text};

/// Panel types of Grafana 10 that are in every later version, and were in 8 already.
const TYPES: [&str; 6] = ["row", "stat", "timeseries", "bargauge", "table", "state-timeline"];

/// The grid's columns.
const COLUMNS: u64 = 24;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "panel types",
        remedy: "use row, stat, timeseries, bargauge, table or state-timeline: every Grafana from 10 has them",
        check: |board| {
            let wrong = |panel: &&Value| !TYPES.contains(&text(&panel["type"]));
            places(board.all_panels(), wrong)
        },
    },
    Rule {
        name: "panel ids",
        remedy: "give every panel, rows included, an id of its own above 0: links and annotations use it",
        check: |board| {
            let panels = board.all_panels();
            let wrong = |(at, panel): &(usize, &Value)| {
                let id = panel["id"].as_u64().unwrap_or(0);
                id == 0 || panels[..*at].iter().any(|other| other["id"] == id)
            };
            let all = panels.iter().copied().enumerate();
            all.filter(wrong).map(|(_, panel)| place(panel)).collect()
        },
    },
    Rule {
        name: "titles",
        remedy: "the title is the question that the panel answers, and no other panel's",
        check: |board| {
            let panels = board.panels();
            let wrong = |(at, panel): &(usize, &Value)| {
                let title = text(&panel["title"]);
                !title.ends_with('?')
                    || title.len() < 10
                    || panels[..*at].iter().any(|other| other["title"] == title)
            };
            let all = panels.iter().copied().enumerate();
            all.filter(wrong).map(|(_, panel)| place(panel)).collect()
        },
    },
    Rule {
        name: "descriptions",
        remedy: "say in a sentence or two what is shown and how to read it",
        check: |board| {
            places(board.panels(), |panel| {
                let said = text(&panel["description"]);
                said.len() < 40 || !said.ends_with('.')
            })
        },
    },
    Rule {
        name: "units",
        remedy: "set fieldConfig.defaults.unit: s, none, percentunit, reqps, bytes …; not short, which \
                 shows 2432 requests as 2 K",
        check: |board| {
            let bad = |unit: &Value| matches!(text(unit), "" | "short");
            let changed = |panel: &Value| -> Vec<Value> {
                let overrides = list(&panel["fieldConfig"]["overrides"]).into_iter();
                let properties = overrides.flat_map(|change| list(&change["properties"]));
                let units = properties.filter(|property| property["id"] == "unit");
                units.map(|property| property["value"].clone()).collect()
            };
            places(board.panels(), |panel| {
                bad(&panel["fieldConfig"]["defaults"]["unit"]) || changed(panel).iter().any(bad)
            })
        },
    },
    Rule {
        name: "grid",
        remedy: "keep panels within 24 columns and apart from each other; a row is as wide as the grid",
        check: |board| {
            let panels = board.all_panels();
            let wrong = |(at, panel): &(usize, &Value)| {
                let Some(area) = Area::of(panel) else { return true };
                let row = panel["type"] == "row";
                area.right > COLUMNS
                    || (row && (area.left, area.right) != (0, COLUMNS))
                    || panels[..*at].iter().filter_map(|p| Area::of(p)).any(|o| o.meets(&area))
            };
            let all = panels.iter().copied().enumerate();
            all.filter(wrong).map(|(_, panel)| place(panel)).collect()
        },
    },
    Rule {
        name: "twin of the state timeline",
        remedy: "put a plain time series with the same queries behind every state timeline: older \
                 Grafana has no such panel",
        check: |board| {
            let panels = board.panels();
            let exprs = |panel: &Value| -> Vec<Value> {
                list(&panel["targets"]).iter().map(|target| target["expr"].clone()).collect()
            };
            let lonely = |(at, panel): &(usize, &Value)| {
                panel["type"] == "state-timeline"
                    && !panels.get(at + 1).is_some_and(|next| {
                        next["type"] == "timeseries" && exprs(next) == exprs(panel)
                    })
            };
            let all = panels.iter().copied().enumerate();
            all.filter(lonely).map(|(_, panel)| place(panel)).collect()
        },
    },
];

/// A part of the grid; right and bottom are outside.
struct Area {
    left: u64,
    top: u64,
    right: u64,
    bottom: u64,
}

impl Area {
    /// Where the panel is; `None` where it does not say, or has no extent.
    fn of(panel: &Value) -> Option<Self> {
        let grid = &panel["gridPos"];
        let number = |key: &str| grid[key].as_u64();
        let (left, top) = (number("x")?, number("y")?);
        let (width, height) = (number("w")?, number("h")?);
        (width > 0 && height > 0).then_some(Self {
            left,
            top,
            right: left + width,
            bottom: top + height,
        })
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

/// How messages name a panel.
pub(crate) fn place(panel: &Value) -> String {
    format!("panel {} {}", panel["id"], panel["title"])
}

/// The panels of which this is true.
pub(crate) fn places(panels: Vec<&Value>, wrong: impl Fn(&&Value) -> bool) -> Vec<String> {
    panels.into_iter().filter(|panel| wrong(panel)).map(place).collect()
}

#[test]
fn areas_meet_only_inside() {
    let area = |left, top| Area { left, top, right: left + 2, bottom: top + 2 };
    for (x, y, meets) in [(0, 0, true), (1, 1, true), (2, 0, false), (0, 2, false), (1, 2, false)] {
        assert_eq!(area(0, 0).meets(&area(x, y)), meets, "{x} {y}");
    }
    assert!(!Board::named("service").panels().is_empty());
}
