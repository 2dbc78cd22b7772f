//! The verdict, before anything else: who lost what, when and why, in words.

use std::fmt::Write as _;

use super::html::{Text, count, millis, percent};
use crate::{
    confidence::upper_bound,
    report::RunReport,
    saved::Saved,
    summary::{ModeSummary, by_mode},
};

/// The headline and a card a mode.
pub(super) fn verdict(reports: &[Saved]) -> String {
    let mut out = format!("<h1>{}</h1>\n<p class=lead>{}</p>\n", headline(reports), lead(reports));
    for saved in reports {
        if !saved.label.is_empty() {
            let _ = write!(out, "<h2 class=file>{}</h2>", Text(&saved.label));
        }
        out.push_str("<div class=cards>");
        for mode in by_mode(&saved.report.runs) {
            out.push_str(&card(&mode));
        }
        out.push_str("</div>\n");
    }
    out
}

/// Which modes lost requests and which did not.
fn headline(reports: &[Saved]) -> String {
    let mut lost = Vec::new();
    let mut kept = Vec::new();
    let mut unasked = Vec::new();
    for saved in reports {
        for mode in by_mode(&saved.report.runs) {
            let name = match saved.label.as_str() {
                "" => Text(mode.mode).to_string(),
                label => format!("{} ({})", Text(mode.mode), Text(label)),
            };
            if mode.requests == 0 {
                unasked.push(format!("<b>{name}</b>"));
            } else if mode.lost > 0 {
                lost.push(format!("<b>{name}</b> lost {}", count(mode.lost)));
            } else {
                kept.push(format!("<b>{name}</b>"));
            }
        }
    }
    if lost.is_empty() && kept.is_empty() && !unasked.is_empty() {
        return format!("{} was looked at; no request was sent", listed(&unasked));
    }
    match (lost.is_empty(), kept.is_empty()) {
        (true, _) => "No request was lost".to_owned(),
        (false, true) => lost.join(", "),
        (false, false) => format!("{}; {} lost nothing", lost.join(", "), listed(&kept)),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        names => names.concat(),
    }
}

/// What was done, in a sentence.
fn lead(reports: &[Saved]) -> String {
    let Some(first) = reports.first() else { return String::new() };
    let environment = &first.report.environment;
    let requests: u64 =
        reports.iter().flat_map(|saved| &saved.report.runs).map(|run| run.requests).sum();
    let runs: usize = reports.iter().map(|saved| saved.report.runs.len()).sum();
    if let (0, Some(on)) = (requests, &environment.cluster) {
        let [before, after] = &on.images;
        return format!(
            "Somebody's rollout of {} pods, as it was seen from outside: image {} to {}. Whether it \
             lost requests, only requests can tell.",
            environment.replicas,
            Text(before),
            Text(after),
        );
    }
    format!(
        "A rolling update of {} pods from v1 to v2, {} under {:.0} requests a second each: \
         {} requests in all. A request counts as lost when a client that never retries sees it \
         fail.",
        environment.replicas,
        if runs == 1 { "once".to_owned() } else { format!("{runs} times") },
        environment.rate,
        count(requests),
    )
}

/// The class that gives a mode its colour, and its shape beside the colour.
pub(super) fn style(mode: &str) -> (&'static str, &'static str) {
    match mode.split('+').next().unwrap_or(mode) {
        "ignore" => ("ignore", "■"),
        "immediate" => ("immediate", "▲"),
        "graceful" => ("graceful", "◆"),
        "drain" => ("drain", "●"),
        _ => ("other", "★"),
    }
}

/// A mode's name with its shape, in its colour.
pub(super) fn badge(mode: &str) -> String {
    let (class, shape) = style(mode);
    format!("<span class='mode {class}'><i aria-hidden=true>{shape}</i> {}</span>", Text(mode))
}

fn card(mode: &ModeSummary<'_>) -> String {
    let (class, _) = style(mode.mode);
    let share = mode.lost as f64 / mode.requests.max(1) as f64;
    let killed = match mode.killed {
        0 => "none".to_owned(),
        killed => format!("<strong>{killed} by force</strong>"),
    };
    let lost = if mode.requests == 0 {
        "<p class=big>no request was sent</p>".to_owned()
    } else {
        format!(
            "<p class=big><b>{}</b> lost</p><p class=of>of {}: {} (at most {})</p>",
            count(mode.lost),
            count(mode.requests),
            percent(share),
            percent(upper_bound(mode.lost, mode.requests)),
        )
    };
    format!(
        "<article class='card {class} {}' data-mode='{}'><h3>{}</h3>{lost}\
         <dl><dt>{}</dt><dd>{:.1} s</dd><dt>pods killed</dt><dd>{killed}</dd>\
         <dt>99 % answered within</dt><dd>{}</dd></dl><p class=why>{}</p></article>",
        if mode.lost > 0 { "bad" } else { "good" },
        Text(mode.mode),
        badge(mode.mode),
        if mode.event.is_update() { "all pods replaced in" } else { "over after" },
        mode.rollout_seconds,
        millis(mode.p99_ms),
        why(mode),
    )
}

/// When and why, or what it cost to lose nothing.
fn why(mode: &ModeSummary<'_>) -> String {
    let mut out = String::new();
    if let Some((first, last)) = span(&mode.runs) {
        let _ = write!(out, "{}: ", when(first, last));
    }
    for (index, cause) in mode.causes.iter().take(2).enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        let _ = write!(
            out,
            "{separator}{} {}",
            count(cause.count),
            cause.cause.sentence_for(cause.count)
        );
    }
    if mode.causes.len() > 2 {
        let rest: u64 = mode.causes.iter().skip(2).map(|cause| cause.count).sum();
        let _ = write!(out, "; {} for other reasons", count(rest));
    }
    if mode.requests == 0 {
        return "Looked at from outside.".to_owned();
    }
    if mode.lost == 0 {
        out.push_str("Nothing was lost");
        if mode.killed > 0 {
            out.push_str(
                ", but the pods did not leave when asked: each held up the update until SIGKILL",
            );
        }
    }
    out.push('.');
    out
}

/// The first and the last loss of some runs, in seconds.
pub(super) fn span(runs: &[&RunReport]) -> Option<(f64, f64)> {
    let times = || runs.iter().flat_map(|run| &run.losses).map(|loss| loss.at);
    let first = times().fold(f64::INFINITY, f64::min);
    first.is_finite().then(|| (first, times().fold(first, f64::max)))
}

/// A span of the run in words.
pub(super) fn when(first: f64, last: f64) -> String {
    if last - first < 0.05 {
        format!("at {first:.1} s")
    } else {
        format!("from {first:.1} s to {last:.1} s")
    }
}
