//! Rules about colours.

use serde_json::{Value, json};
use websample_lifecycle::{Mode, Phase};

use super::{
    Rule,
    layout::{place, places},
};
use crate::board::{list, text};

/// The colour of a mode, everywhere.
pub(crate) const fn of_mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Ignore => "red",
        Mode::Immediate => "orange",
        Mode::Graceful => "yellow",
        Mode::Drain => "green",
    }
}

/// The colour of a phase, everywhere; none of a mode's.
const fn of_phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "light-blue",
        Phase::Serving => "blue",
        Phase::LameDuck => "light-purple",
        Phase::Draining => "purple",
        Phase::Drained => "text",
    }
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "colours by mode",
        remedy: "a panel of the comparison names its series `{{mode}} …` and has the override \
                 /^MODE\\b/ with the fixed colour of each mode, which takes graceful+sleep:5s too",
        check: |board| {
            if board.stem() != "comparison" {
                return Vec::new();
            }
            let overridden = |panel: &Value, mode: Mode| {
                let matcher =
                    json!({"id": "byRegexp", "options": format!("/^{}\\b/", mode.name())});
                let colour = json!({
                    "id": "color", "value": {"mode": "fixed", "fixedColor": of_mode(mode)},
                });
                list(&panel["fieldConfig"]["overrides"]).iter().any(|change| {
                    change["matcher"] == matcher && list(&change["properties"]).contains(&&colour)
                })
            };
            places(board.panels(), |panel| match text(&panel["type"]) {
                // Its colours are those of the phases.
                "state-timeline" => false,
                "table" => !Mode::ALL.iter().all(|mode| in_table(panel, *mode)),
                _ => {
                    let legends = list(&panel["targets"]);
                    let named = |t: &&Value| text(&t["legendFormat"]).starts_with("{{mode}}");
                    !legends.iter().all(named)
                        || !Mode::ALL.iter().all(|mode| overridden(panel, *mode))
                }
            })
        },
    },
    Rule {
        name: "colours by phase",
        remedy: "map 1 to 5 to the names of the phases with their fixed colours, in the order of a life",
        check: |board| {
            let expected: serde_json::Map<_, _> = (1..)
                .zip(Phase::ALL)
                .map(|(number, phase): (u64, _)| {
                    let shown = json!({
                        "text": phase.name(), "color": of_phase(phase), "index": number - 1,
                    });
                    (number.to_string(), shown)
                })
                .collect();
            let states = board.panels().into_iter().filter(|panel| {
                list(&panel["targets"])
                    .iter()
                    .any(|target| text(&target["expr"]).contains("5 * (websample_lifecycle_phase"))
            });
            let wrong = |panel: &&Value| {
                let mappings = list(&panel["fieldConfig"]["defaults"]["mappings"]);
                !mappings.iter().any(|m| m["options"] == Value::Object(expected.clone()))
            };
            let mut wrong: Vec<_> = states.clone().filter(wrong).map(place).collect();
            if states.count() == 0 {
                wrong.push("no panel of the phases".to_owned());
            }
            wrong
        },
    },
];

/// Whether the table's column `mode` shows this mode in its colour.
fn in_table(panel: &Value, mode: Mode) -> bool {
    let overrides = list(&panel["fieldConfig"]["overrides"]);
    let column = overrides
        .iter()
        .find(|change| change["matcher"] == json!({"id": "byName", "options": "mode"}));
    let properties = column.map(|change| list(&change["properties"])).unwrap_or_default();
    let mappings = properties.iter().find(|property| property["id"] == "mappings");
    let mappings = mappings.map(|property| list(&property["value"])).unwrap_or_default();
    mappings.iter().any(|mapping| {
        mapping["type"] == "regex"
            && mapping["options"]["pattern"] == format!("/^({}\\b.*)$/", mode.name())
            && mapping["options"]["result"]["color"] == of_mode(mode)
    })
}
