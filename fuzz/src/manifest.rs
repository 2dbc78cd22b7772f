//! Manifests: whatever is piped into the check.

use serde_json::Value;
use websample::known::SampleServer;
use websample_manifest::{Source, Told, check, output};

use super::nasty;

/// Whole ones, to be changed: every kind of object that is looked at.
const WHOLE: [&str; 4] = [
    include_str!("../../tests/manifests/good/websample-drain.json"),
    include_str!("../seeds/deployment.json"),
    include_str!("../seeds/stateful_set.json"),
    include_str!("../seeds/daemon_set.json"),
];

/// Checks a manifest and prints what was found in every way.
///
/// # Panics
/// When that fails, or a control character would reach a terminal.
pub fn manifest(data: &[u8]) {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let text = match usize::from(*first) % (WHOLE.len() + 1) {
        0 => String::from_utf8_lossy(rest).into_owned(),
        index => {
            let mut document: Value = serde_json::from_str(WHOLE[index - 1]).expect("JSON");
            nasty::change(&mut document, rest);
            document.to_string()
        }
    };
    let sources = [Source { name: "deploy.yaml".to_owned(), text }];
    match check(&sources, Told::default(), &SampleServer) {
        Ok(report) => {
            shown(&output::text(&report, false));
            annotations(&output::github(&report));
            let json = output::json(&report).to_string();
            serde_json::from_str::<Value>(&json).expect("JSON");
        }
        Err(unusable) => {
            shown(&unusable.to_string());
            annotations(&output::github_problems(&unusable));
            let json = output::json_problems(&unusable).to_string();
            serde_json::from_str::<Value>(&json).expect("JSON");
        }
    }
}

fn shown(text: &str) {
    assert_eq!(nasty::control(text), None, "{text:?}");
}

/// Nothing but workflow commands, and one a line.
fn annotations(text: &str) {
    shown(text);
    for line in text.lines() {
        assert!(line.starts_with("::"), "{line:?}");
    }
}
