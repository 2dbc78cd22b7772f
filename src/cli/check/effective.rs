//! How the effective settings are printed.

use std::fmt::Write;

use serde_json::json;
use websample::config::{ConfigError, Loaded, Settings, timeline};
use websample_lifecycle::Mode;

pub(super) fn text(loaded: &Loaded) -> String {
    let mut text = String::from("Settings\n");
    let rows: Vec<_> = loaded
        .effective
        .iter()
        .map(|row| (row.key, row.value.as_deref().unwrap_or("-"), row.source.as_str()))
        .collect();
    let keys = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let values = rows.iter().map(|row| row.1.chars().count()).max().unwrap_or(0);
    // Writing to a string cannot fail.
    for (key, value, source) in rows {
        let _ = writeln!(text, "  {key:keys$}  {value:values$}  {source}");
    }

    let mode = loaded.settings.mode;
    let _ = writeln!(text, "\nA termination in mode {mode}, in seconds");
    for moment in timeline(&loaded.settings) {
        let _ = writeln!(text, "  {:>6}  {}", moment.at.as_secs_f64(), moment.what);
    }
    if mode == Mode::Drain {
        text.push_str(&drain_notes(&loaded.settings));
    }

    if !loaded.advice.is_empty() {
        text.push_str("\nWarnings\n");
        for advice in &loaded.advice {
            let _ = writeln!(text, "  {advice}");
        }
    }
    text
}

/// What a drain does at no fixed second.
fn drain_notes(settings: &Settings) -> String {
    let mut notes = String::from(
        "  SIGTERM and the preStop hook share this clock; a hook that no SIGTERM follows is undone\n  \
         at the end of the grace period. grace_period has to be the pod's \
         terminationGracePeriodSeconds.\n",
    );
    if settings.admin_listen.is_some() && !settings.linger.is_zero() {
        let linger = humantime::format_duration(settings.linger);
        let _ = writeln!(
            notes,
            "  Once all is finished, a scrape that is due is waited for: at most {linger}, never past \
             the deadline."
        );
    }
    notes
}

pub(super) fn document(loaded: &Loaded) -> serde_json::Value {
    let policy = loaded.settings.policy();
    let timeline: Vec<_> = timeline(&loaded.settings)
        .into_iter()
        .map(|moment| json!({ "at": moment.at.as_secs_f64(), "what": moment.what }))
        .collect();
    json!({
        "ok": true,
        "settings": loaded.effective,
        "mode": policy.mode,
        "budget_seconds": {
            "grace_period": policy.grace_period.as_secs_f64(),
            "deadline": policy.deadline().as_secs_f64(),
            "longest_delay": policy.longest_delay().as_secs_f64(),
            "drain": policy.drain_budget().as_secs_f64(),
        },
        "timeline": timeline,
        "warnings": loaded.advice,
    })
}

pub(super) fn refusal(error: &ConfigError) -> serde_json::Value {
    json!({ "ok": false, "errors": error.problems() })
}
