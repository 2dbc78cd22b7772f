//! `report.json`: from anywhere, of any version, wrong in any place.

use serde_json::Value;
use websample_lab::{markdown, page, report::Report, saved::Saved, summary};

use super::{fixture, nasty};

/// Reads a report and shows it in every way.
///
/// # Panics
/// When that fails, or a control character would reach a terminal.
pub fn report(data: &[u8]) {
    let text = match data.split_first() {
        Some((0, text)) => text.to_vec(),
        _ => {
            let mut document = fixture::report(400, 3);
            shorten(&mut document);
            nasty::change(&mut document, data);
            serde_json::to_vec(&document).expect("JSON")
        }
    };
    let Ok(report) = serde_json::from_slice::<Report>(&text) else { return };
    if report.runs.is_empty() {
        return;
    }
    let printed = summary::text(&report.runs);
    assert_eq!(nasty::control(&printed), None, "{printed:?}");
    let again = serde_json::to_vec(&report).expect("JSON");
    let again: Report = serde_json::from_slice(&again).expect("what was written can be read");
    assert_eq!(again.runs.len(), report.runs.len());
    let one = Saved { label: "one".to_owned(), report };
    let other = Saved { label: "other\u{1b}".to_owned(), report: again };
    let saved = [one, other];
    let text = markdown::markdown(&saved);
    assert_eq!(nasty::control(&text), None, "{text:?}");
    page::render(&saved).expect("a page");
}

/// Few pods and seconds, so that changes meet all kinds of places.
fn shorten(document: &mut Value) {
    let Some(runs) = document["runs"].as_array_mut() else { return };
    runs.truncate(3);
    for run in runs {
        for (list, length) in [("pods", 5), ("seconds", 4)] {
            if let Some(list) = run[list].as_array_mut() {
                list.truncate(length);
            }
        }
    }
}
