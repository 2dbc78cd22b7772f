//! The results for a person: a table read in five seconds, and a sentence for each mode.

use std::fmt::Write as _;

use super::{
    confidence::upper_bound, disruption::Disruption, losses::CauseCount, report::RunReport,
};

/// Everything that was seen of one mode, over all its repeats.
#[derive(Debug, Clone)]
pub struct ModeSummary<'a> {
    /// The mode.
    pub mode: &'a str,
    /// What happened to its pods.
    pub event: Disruption,
    /// Its runs.
    pub runs: Vec<&'a RunReport>,
    /// Requests of all runs.
    pub requests: u64,
    /// Lost requests of all runs.
    pub lost: u64,
    /// The same for a client that retries.
    pub lost_with_retries: u64,
    /// Pods killed, in all runs.
    pub killed: usize,
    /// The longest update, in seconds.
    pub rollout_seconds: f64,
    /// The 99th percentile of the latency, in milliseconds, in the worst run.
    pub p99_ms: f64,
    /// Causes over all runs, the most frequent first.
    pub causes: Vec<CauseCount>,
}

/// Adds up runs by mode, in the order in which the modes first appear.
pub fn by_mode(runs: &[RunReport]) -> Vec<ModeSummary<'_>> {
    let mut modes: Vec<ModeSummary<'_>> = Vec::new();
    for run in runs {
        let index = modes.iter().position(|known| known.mode == run.mode).unwrap_or_else(|| {
            modes.push(ModeSummary {
                mode: &run.mode,
                event: run.event,
                runs: Vec::new(),
                requests: 0,
                lost: 0,
                lost_with_retries: 0,
                killed: 0,
                rollout_seconds: 0.0,
                p99_ms: 0.0,
                causes: Vec::new(),
            });
            modes.len() - 1
        });
        let mode = &mut modes[index];
        mode.runs.push(run);
        mode.requests += run.requests;
        mode.lost += run.lost;
        mode.lost_with_retries += run.lost_with_retries;
        mode.killed += run.killed;
        mode.rollout_seconds = mode.rollout_seconds.max(run.rollout_seconds);
        mode.p99_ms = mode.p99_ms.max(run.latency_ms.p99);
        for cause in &run.causes {
            add(&mut mode.causes, cause);
        }
    }
    for mode in &mut modes {
        mode.causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    }
    modes
}

fn add(causes: &mut Vec<CauseCount>, more: &CauseCount) {
    let Some(known) = causes.iter_mut().find(|known| known.cause == more.cause) else {
        causes.push(more.clone());
        return;
    };
    known.count += more.count;
    for (outcome, count) in &more.outcomes {
        *known.outcomes.entry(*outcome).or_default() += count;
    }
    known.latest_after_sigterm = match (known.latest_after_sigterm, more.latest_after_sigterm) {
        (Some(ours), Some(theirs)) => Some(ours.max(theirs)),
        (ours, theirs) => ours.or(theirs),
    };
}

/// The table and the sentences.
pub fn text(runs: &[RunReport]) -> String {
    let modes = by_mode(runs);
    let mut rows = vec![
        ["mode", "lost", "of", "share", "at most", took(&modes), "killed", "p99", "why"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for mode in &modes {
        let share = mode.lost as f64 / mode.requests.max(1) as f64;
        let why = mode
            .causes
            .iter()
            .take(2)
            .map(|cause| format!("{} {}", cause.count, cause.cause.name()))
            .collect::<Vec<_>>();
        rows.push(vec![
            printable(mode.mode),
            mode.lost.to_string(),
            mode.requests.to_string(),
            percent(share),
            percent(upper_bound(mode.lost, mode.requests)),
            format!("{:.1} s", mode.rollout_seconds),
            mode.killed.to_string(),
            format!("{:.0} ms", mode.p99_ms),
            if why.is_empty() { "-".to_owned() } else { why.join(", ") },
        ]);
    }
    let mut out = table(&rows);
    out.push('\n');
    for mode in &modes {
        out.push_str(&sentence(mode));
        out.push('\n');
    }
    out
}

/// What the time is called that it took.
pub(crate) fn took(modes: &[ModeSummary<'_>]) -> &'static str {
    if modes.iter().all(|mode| mode.event.is_update()) { "replaced in" } else { "over after" }
}

/// Without control characters: a report may come from anywhere, and its names go to a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What happened to a mode, in a sentence.
pub fn sentence(mode: &ModeSummary<'_>) -> String {
    let mut out = format!("{}: ", printable(mode.mode));
    if mode.lost == 0 {
        out.push_str("nothing was lost");
    }
    for (index, cause) in mode.causes.iter().enumerate() {
        if index > 0 {
            out.push_str("; ");
        }
        let _ = write!(out, "{} {}", cause.count, cause.cause.sentence_for(cause.count));
        if let Some(latest) = cause.latest_after_sigterm.filter(|latest| *latest >= 0.05) {
            let _ = write!(out, ", up to {latest:.1} s after SIGTERM");
        }
    }
    let _ = write!(out, "; {} after {:.1} s", mode.event.when_over(), mode.rollout_seconds);
    if mode.killed > 0 {
        let _ = write!(out, ", {} by SIGKILL", mode.killed);
    }
    if mode.lost > 0 && mode.lost_with_retries < mode.lost {
        let _ = write!(out, " (a client that retries would have lost {})", mode.lost_with_retries);
    }
    out.push('.');
    out
}

pub(crate) fn percent(share: f64) -> String {
    if share == 0.0 { "0 %".to_owned() } else { format!("{:.3} %", share * 100.0) }
}

/// Columns: text to the left, figures to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 || column == columns - 1 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{causes::Cause, report::Latency};
    use websample_load::Outcome;

    fn run(mode: &str, repeat: u32, lost: u64) -> RunReport {
        let latency = Latency { p50: 1.0, p90: 2.0, p95: 3.0, p99: 4.0, max: 5.0 };
        let causes = (lost > 0).then(|| CauseCount {
            cause: Cause::ClosedListener,
            count: lost,
            outcomes: BTreeMap::from([(Outcome::Refused, lost)]),
            latest_after_sigterm: Some(0.9),
        });
        RunReport {
            mode: mode.to_owned(),
            event: Disruption::default(),
            repeat,
            seed: 1,
            pre_stop: "none".to_owned(),
            requests: 1000,
            lost,
            outcomes: BTreeMap::new(),
            lost_with_retries: 0,
            latency_ms: latency,
            send_delay_ms: latency,
            latency_histogram: Vec::new(),
            rollout_began: 5.0,
            rollout_seconds: 8.0 + f64::from(repeat),
            killed: 0,
            causes: causes.into_iter().collect(),
            streams: Vec::new(),
            pods: Vec::new(),
            losses: Vec::new(),
            seconds: Vec::new(),
            reached: BTreeMap::new(),
            clock: None,
        }
    }

    #[test]
    fn repeats_of_a_mode_are_added_up() {
        let runs = [run("graceful", 0, 41), run("drain", 0, 0), run("graceful", 1, 9)];
        let modes = by_mode(&runs);
        assert_eq!(modes.len(), 2);
        assert_eq!((modes[0].mode, modes[0].lost, modes[0].requests), ("graceful", 50, 2000));
        assert_eq!(modes[0].causes[0].count, 50);
        assert!((modes[0].rollout_seconds - 9.0).abs() < 1e-9);
    }

    #[test]
    fn the_table_and_the_sentences_say_what_happened() {
        let text = text(&[run("graceful", 0, 41), run("drain", 0, 0)]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("mode      lost"), "{text}");
        assert!(lines[1].contains("41 closed_listener"), "{text}");
        assert!(lines[2].contains("0.300 %"), "0 of 1000 is at most 3/1000\n{text}");
        assert_eq!(
            lines[4],
            "graceful: 41 were sent to a closed listener before the proxy's update, up to 0.9 s \
             after SIGTERM; every old pod was gone after 8.0 s (a client that retries would have \
             lost 0)."
        );
        assert!(lines[5].starts_with("drain: nothing was lost;"), "{text}");
    }

    #[test]
    fn another_event_is_not_called_an_update() {
        let crashed = RunReport { event: Disruption::Crash, ..run("drain (crash)", 0, 0) };
        let text = text(&[run("drain (update)", 0, 0), crashed]);
        assert!(text.lines().next().is_some_and(|head| head.contains("over after")), "{text}");
        assert!(text.contains("; every container was restarted after 8.0 s."), "{text}");
    }
}
