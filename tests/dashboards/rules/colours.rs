//! Rules about colours.

use serde_json::{Value, json};
use websample_lifecycle::{Mode, Phase};

use super::{
    Rule,
    layout::{place, places},
};
use crate::board::{list, text};

/// The colour of a mode, everywhere: two hues that no kind of colour blindness takes for each other,
/// in two lightnesses, and none of those that judge.
pub(crate) const fn of_mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Ignore => "#A0712B",
        Mode::Immediate => "#FFB83D",
        Mode::Graceful => "#8CCBF5",
        Mode::Drain => "#2A7AB9",
    }
}

/// The colour of a phase, everywhere; none of a mode's.
const fn of_phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "#C4C9CE",
        Phase::Serving => "#83909C",
        Phase::LameDuck => "#D3AEF5",
        Phase::Draining => "#7A3DC0",
        Phase::Drained => "#4A5058",
    }
}

/// Colours that judge. Whatever else Grafana calls a colour is not used.
const SEVERITY: [&str; 3] = ["text", "orange", "red"];

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "colours by mode",
        remedy: "a panel of the comparison that shows modes names its series `{{mode}} …` and has the \
                 override /^MODE\\b/ with the fixed colour of each mode, which takes \
                 graceful+sleep:5s too",
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
            let of_modes = |panel: &&Value| {
                list(&panel["targets"]).iter().any(|t| text(&t["expr"]).contains("by (mode"))
            };
            let panels = board.panels().into_iter().filter(of_modes).collect();
            places(panels, |panel| match text(&panel["type"]) {
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
            let mut expected: serde_json::Map<_, _> = (1..)
                .zip(Phase::ALL)
                .map(|(number, phase): (u64, _)| {
                    let shown = json!({
                        "text": phase.name(), "color": of_phase(phase), "index": number - 1,
                    });
                    (number.to_string(), shown)
                })
                .collect();
            if board.stem() == "comparison" {
                // The losses above the pods of a mode.
                let lost = json!({"text": "requests lost", "color": "red", "index": 5});
                expected.insert("6".to_owned(), lost);
            }
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
    Rule {
        name: "one meaning of a colour",
        remedy: "colours judge (thresholds and mappings of ranges: text, orange, red) only in the board \
                 of a service, and tell apart (modes, phases, dashes) in both; none does both",
        check: |board| {
            let identity: Vec<_> =
                Mode::ALL.map(of_mode).into_iter().chain(Phase::ALL.map(of_phase)).collect();
            let judges = |panel: &Value| {
                let steps = &panel["fieldConfig"]["defaults"]["thresholds"]["steps"];
                let steps = list(steps).into_iter().map(|step| text(&step["color"]).to_owned());
                steps.collect::<Vec<_>>()
            };
            let tells = |panel: &Value| {
                let overrides = list(&panel["fieldConfig"]["overrides"]).into_iter();
                let properties = overrides.flat_map(|change| list(&change["properties"]));
                let colours = properties.filter(|property| property["id"] == "color");
                let named = colours.map(|c| text(&c["value"]["fixedColor"]).to_owned());
                named.collect::<Vec<_>>()
            };
            let palette = |panel: &Value| {
                let mode = text(&panel["fieldConfig"]["defaults"]["color"]["mode"]);
                mode.starts_with("palette") || mode.starts_with("continuous")
            };
            places(board.panels(), |panel| {
                let (judges, tells) = (judges(panel), tells(panel));
                palette(panel)
                    || judges.iter().any(|colour| !SEVERITY.contains(&colour.as_str()))
                    || (board.stem() == "comparison" && !judges.is_empty())
                    || tells.iter().any(|colour| {
                        let severe = SEVERITY.contains(&colour.as_str());
                        let known = identity.contains(&colour.as_str());
                        !known && (!severe || board.stem() == "comparison")
                    })
            })
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
