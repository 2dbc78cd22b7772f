//! Rules about panels: what they are, what they say, where they are.

use serde_json::Value;

use super::Rule;
use crate::board::{Board, list, text};

/// Panel types of Grafana 10 that are in every later version.
const TYPES: [&str; 6] = ["row", "stat", "timeseries", "table", "text", "state-timeline"];

/// Letters of a title that fit in a column of the grid where the window is 1280 wide, and those that
/// the signs beside the title take: its description, its link, its menu.
const LETTERS: (u64, u64) = (7, 16);

/// The grid's columns.
const COLUMNS: u64 = 24;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "panel types",
        remedy: "use row, stat, timeseries, table, text or state-timeline: every Grafana from 10 has them",
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
            let panels = board.shown();
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
        name: "length of titles",
        remedy: "a title may have 7 letters for each of the panel's columns, less 16: what is longer is \
                 cut off in a narrow window",
        check: |board| {
            places(board.shown(), |panel| {
                let width = panel["gridPos"]["w"].as_u64().unwrap_or(0);
                let fits = (LETTERS.0 * width).saturating_sub(LETTERS.1);
                text(&panel["title"]).chars().count() as u64 > fits
            })
        },
    },
    Rule {
        name: "descriptions",
        remedy: "say in a sentence or two what is shown and how to read it",
        check: |board| {
            places(board.shown(), |panel| {
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
            // What is folded away has its places on the unfolded grid of its own.
            let panels = board.unfolded();
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
        name: "folded rows",
        remedy: "a row that is collapsed has its panels inside, each within the grid and apart from the \
                 others; a row that is not has none",
        check: |board| {
            let rows = board.unfolded().into_iter().filter(|panel| panel["type"] == "row");
            let wrong = |row: &&Value| {
                let inside = list(&row["panels"]);
                let areas: Vec<_> = inside.iter().filter_map(|panel| Area::of(panel)).collect();
                let meets = |(at, area): (usize, &Area)| areas[..at].iter().any(|o| o.meets(area));
                (row["collapsed"] == true) == inside.is_empty()
                    || areas.len() < inside.len()
                    || areas.iter().any(|area| area.right > COLUMNS)
                    || areas.iter().enumerate().any(meets)
            };
            rows.filter(wrong).map(place).collect()
        },
    },
    Rule {
        name: "state timelines",
        remedy: "a state timeline has value mappings, a fixed colour and no thresholds: with merged \
                 values Grafana shows the ranges of the thresholds, and not the mappings",
        check: |board| {
            places(board.panels(), |panel| {
                let defaults = &panel["fieldConfig"]["defaults"];
                panel["type"] == "state-timeline"
                    && (!defaults["thresholds"].is_null()
                        || defaults["color"]["mode"] != "fixed"
                        || list(&defaults["mappings"]).is_empty())
            })
        },
    },
    Rule {
        name: "one series",
        remedy: "a panel of one query that names its series by a label alone says so in displayName: \
                 Grafana drops the name of a single series",
        check: |board| {
            let by_label = |panel: &Value| {
                let targets = list(&panel["targets"]);
                let [target] = targets[..] else { return None };
                let legend = text(&target["legendFormat"]);
                let label = legend.strip_prefix("{{")?.strip_suffix("}}")?;
                (!label.contains('{')).then(|| format!("${{__field.labels.{label}}}"))
            };
            places(board.panels(), |panel| {
                let named = &panel["fieldConfig"]["defaults"]["displayName"];
                by_label(panel).is_some_and(|wanted| *named != wanted.as_str())
            })
        },
    },
    Rule {
        name: "links of panels",
        remedy: "link every panel to the section of docs/observability.md about its board, or to the \
                 section of docs/runbook.md about its alert",
        check: |board| {
            let sections = ["observability", "runbook"].map(|name| {
                let headings = crate::read(&format!("docs/{name}.md"));
                let anchors = headings.lines().filter(|line| line.starts_with("##")).map(anchor);
                (format!("/docs/{name}.md"), anchors.collect::<Vec<_>>())
            });
            let good = |link: &&Value| {
                let (page, anchor) = text(&link["url"]).split_once('#').unwrap_or_default();
                sections.iter().any(|(file, anchors)| {
                    page.ends_with(file.as_str()) && anchors.iter().any(|known| known == anchor)
                })
            };
            places(board.shown(), |panel| !list(&panel["links"]).iter().any(good))
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

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
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
