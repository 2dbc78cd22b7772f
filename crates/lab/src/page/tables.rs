//! The tables under the charts: causes, latencies, streams, settings.

use std::collections::BTreeMap;

use websample_load::Outcome;

use super::{
    html::{Text, count, millis, table},
    verdict::{badge, span, style, when},
};
use crate::{
    causes::Cause,
    report::{Environment, RunReport, StreamReport},
    saved::Saved,
    summary::{ModeSummary, by_mode, took},
};

/// Calls with each mode of each report, and its name as the first cell of a row.
fn each_mode<T>(reports: &[Saved], mut row: impl FnMut(String, &ModeSummary<'_>) -> T) -> Vec<T> {
    let mut rows = Vec::new();
    for saved in reports {
        for mode in by_mode(&saved.report.runs) {
            let name = match saved.label.as_str() {
                "" => badge(mode.mode),
                label => format!("{} {}", badge(mode.mode), Text(label)),
            };
            rows.push(row(name, &mode));
        }
    }
    rows
}

/// Why requests were lost.
pub(super) fn causes(reports: &[Saved]) -> String {
    let rows: Vec<Vec<String>> = each_mode(reports, |name, mode| {
        let causes = mode.causes.iter().map(|cause| {
            let of = |wanted: Cause| {
                let all = mode.runs.iter().flat_map(|run| &run.losses);
                let times = all.filter(move |loss| loss.cause == wanted).map(|loss| loss.at);
                times.fold((f64::INFINITY, 0.0_f64), |(a, b), at| (a.min(at), b.max(at)))
            };
            let (first, last) = of(cause.cause);
            let times = if first.is_finite() { when(first, last) } else { "-".to_owned() };
            vec![
                name.clone(),
                count(cause.count),
                format!(
                    "{}<br><small><code>{}</code></small>",
                    Text(format_args!("… {}", cause.cause.sentence_for(cause.count))),
                    cause.cause.name()
                ),
                outcomes(&cause.outcomes),
                times,
                cause
                    .latest_after_sigterm
                    .map_or_else(|| "-".to_owned(), |latest| format!("{latest:.2} s")),
            ]
        });
        causes.collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();
    if rows.is_empty() {
        return "<p id=causes-table>No request was lost, so there is nothing to explain.</p>"
            .into();
    }
    let head = ["mode", "lost", "the requests …", "seen as", "when", "last after SIGTERM"];
    format!("<div id=causes-table>{}</div>", table("Lost requests by cause", &head, &rows))
}

fn outcomes(outcomes: &BTreeMap<Outcome, u64>) -> String {
    let lost = outcomes.iter().filter(|(outcome, _)| outcome.is_lost());
    let lost: Vec<_> = lost.map(|(outcome, n)| format!("{} {outcome}", count(*n))).collect();
    if lost.is_empty() { "-".to_owned() } else { lost.join(", ") }
}

/// Latency by mode.
pub(super) fn latencies(reports: &[Saved]) -> String {
    let rows = each_mode(reports, |name, mode| {
        let worst = |pick: fn(&RunReport) -> f64| {
            millis(mode.runs.iter().map(|run| pick(run)).fold(0.0, f64::max))
        };
        vec![
            name,
            worst(|run| run.latency_ms.p50),
            worst(|run| run.latency_ms.p90),
            worst(|run| run.latency_ms.p95),
            worst(|run| run.latency_ms.p99),
            worst(|run| run.latency_ms.max),
            worst(|run| run.send_delay_ms.p99),
        ]
    });
    let head = ["mode", "p50", "p90", "p95", "p99", "max", "generator late (p99)"];
    let caption = "Latency, from the intended send to the end; the worst of repeats";
    format!("<div id=latency-table>{}</div>", table(caption, &head, &rows))
}

/// Every stream's part.
pub(super) fn streams(reports: &[Saved]) -> String {
    let rows: Vec<Vec<String>> = each_mode(reports, |name, mode| {
        let mut streams: Vec<StreamReport> = Vec::new();
        for stream in mode.runs.iter().flat_map(|run| &run.streams) {
            let Some(known) = streams.iter_mut().find(|known| known.name == stream.name) else {
                streams.push(stream.clone());
                continue;
            };
            known.requests += stream.requests;
            known.lost += stream.lost;
            for (outcome, n) in &stream.outcomes {
                *known.outcomes.entry(*outcome).or_default() += n;
            }
            let (all, more) = (&mut known.latency_ms, &stream.latency_ms);
            (all.p50, all.p99) = (all.p50.max(more.p50), all.p99.max(more.p99));
        }
        let row = |stream: StreamReport| {
            vec![
                name.clone(),
                Text(&stream.name).to_string(),
                count(stream.requests),
                count(stream.lost),
                outcomes(&stream.outcomes),
                millis(stream.latency_ms.p50),
                millis(stream.latency_ms.p99),
            ]
        };
        streams.into_iter().map(row).collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();
    let head = ["mode", "stream", "requests", "lost", "seen as", "p50", "p99"];
    format!("<div id=streams-table>{}</div>", table("Requests by stream", &head, &rows))
}

/// Every number of the verdict once more, and what did not fit there.
pub(super) fn totals(reports: &[Saved]) -> String {
    let rows = each_mode(reports, |name, mode| {
        let hooks: Vec<_> = mode.runs.iter().map(|run| run.pre_stop.as_str()).collect();
        vec![
            name,
            mode.runs.len().to_string(),
            count(mode.requests),
            count(mode.lost),
            count(mode.lost_with_retries),
            span(&mode.runs).map_or_else(|| "-".to_owned(), |(first, last)| when(first, last)),
            format!("{:.1} s", mode.rollout_seconds),
            mode.killed.to_string(),
            Text(hooks.first().copied().unwrap_or("")).to_string(),
        ]
    });
    let modes: Vec<_> = reports.iter().flat_map(|saved| by_mode(&saved.report.runs)).collect();
    let head = [
        "mode",
        "runs",
        "requests",
        "lost",
        "lost by a client that retries",
        "losses",
        took(&modes),
        "killed",
        "preStop hook",
    ];
    format!("<div id=totals-table>{}</div>", table("All modes", &head, &rows))
}

/// What was set, with what it was run, and the command that repeats it.
pub(super) fn settings(reports: &[Saved]) -> String {
    let mut out = String::new();
    for saved in reports {
        let environment = &saved.report.environment;
        let title = match saved.label.as_str() {
            "" => "Settings".to_owned(),
            label => format!("Settings: {}", Text(label)),
        };
        let seeds: Vec<u64> = saved.report.runs.iter().map(|run| run.seed).collect();
        let rows: Vec<Vec<String>> = facts(environment, &seeds)
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), Text(value).to_string()])
            .collect();
        out.push_str(&table(&title, &["setting", "value"], &rows));
        out.push_str("<p>The same again:</p><pre tabindex=0><code>");
        out.push_str(&Text(command_line(environment)).to_string());
        out.push_str("</code></pre>");
    }
    out
}

fn facts(environment: &Environment, seeds: &[u64]) -> Vec<(&'static str, String)> {
    let mut seeds = seeds.to_vec();
    seeds.dedup();
    seeds.truncate(20);
    let started = started(environment.started);
    vec![
        ("requests a second", format!("{:.1}", environment.rate)),
        ("streams", environment.mix.clone()),
        ("replicas", environment.replicas.to_string()),
        (
            "cluster",
            environment.cluster.as_ref().map_or_else(
                || "emulated on this machine".to_owned(),
                |on| {
                    format!(
                        "{}, namespace {}: {on}; {}",
                        on.name,
                        on.namespace,
                        on.images.join(", then ")
                    )
                },
            ),
        ),
        ("propagation of endpoint changes", environment.propagation.clone()),
        (
            "proxy",
            environment
                .proxy
                .as_ref()
                .map_or_else(|| "none: clients meet the Service".to_owned(), ToString::to_string),
        ),
        ("grace period", format!("{} s", environment.grace_seconds)),
        ("seed", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        ("websample", environment.websample.clone()),
        ("platform", format!("{}, {} CPUs", environment.platform, environment.cpus)),
        ("begun", started.to_string()),
    ]
}

/// The time of day that a report says, as far as dates have four digits for the year.
fn started(unix: f64) -> humantime::Rfc3339Timestamp {
    const END_OF_9999: f64 = 253_402_300_799.0;
    let seconds = if unix.is_finite() { unix.clamp(0.0, END_OF_9999) } else { 0.0 };
    let since = std::time::Duration::from_secs_f64(seconds);
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since)
}

/// The command as a shell takes it; the program by its name, wherever it lay.
pub(crate) fn command_line(environment: &Environment) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+%@".contains(c);
    let quoted = |word: &str| {
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words = environment.command.iter().enumerate().map(|(index, word)| match index {
        0 => quoted(word.rsplit('/').next().unwrap_or(word)),
        _ => quoted(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A checkbox a mode.
pub(super) fn mode_filter(reports: &[Saved]) -> String {
    let mut modes: Vec<&str> = Vec::new();
    for run in reports.iter().flat_map(|saved| &saved.report.runs) {
        if !modes.contains(&run.mode.as_str()) {
            modes.push(&run.mode);
        }
    }
    let boxes = modes.iter().map(|mode| {
        let (class, _) = style(mode);
        format!(
            "<label class='{class}'><input type=checkbox checked data-mode='{}'> {}</label>",
            Text(mode),
            badge(mode)
        )
    });
    boxes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_some_time_of_day() {
        for (unix, text) in [
            (0.0, "1970-01-01T00:00:00Z"),
            (9_007_199_254_740_992.0, "9999-12-31T23:59:59Z"),
            (1e300, "9999-12-31T23:59:59Z"),
            (-1.0, "1970-01-01T00:00:00Z"),
            (f64::NAN, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(started(unix).to_string(), text, "{unix}");
        }
    }
}
