//! What must be so, whatever was drawn.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use websample_lab::{
    cluster::local::PreStop,
    disruption::Disruption,
    report::RunReport,
    timeline::{PodRecord, What},
};
use websample_load::Mix;

use super::{
    excuse::{excuse, fits, forced},
    run::Ran,
    sums,
    trial::{Client, Trial},
};

/// The lab's exit codes.
const FOUND: i32 = 1;
const CUT: i32 = 3;

/// What a trial came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) requests: u64,
    /// Lost that nobody promised to keep, by the condition that was not met.
    pub(crate) excused: BTreeMap<String, u64>,
    /// What should not be.
    pub(crate) findings: Vec<Finding>,
    /// Why the run says nothing of losses, if the load was not what was asked for.
    pub(crate) invalid: Option<String>,
    pub(crate) seconds: f64,
}

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// What it is, the same however it was found.
    pub(crate) kind: String,
    /// What was seen.
    pub(crate) text: String,
}

/// Judges what a trial has left behind.
pub(crate) fn judge(trial: &Trial, ran: &Ran) -> Verdict {
    let mut verdict = Verdict { seconds: ran.took.as_secs_f64(), ..Verdict::default() };
    let mut found = |kind: &str, text: String| {
        verdict.findings.push(Finding { kind: kind.to_owned(), text });
    };
    for left in &ran.left {
        found("left behind", left.clone());
    }
    let last = ran.said.lines().last().unwrap_or_default();
    let Some(exit) = ran.exit else {
        found("hangs", format!("no end within {:.0} s: {last}", ran.took.as_secs_f64()));
        return verdict;
    };
    let Some(report) = &ran.report else {
        let wanted = trial.interrupt.map(|interrupt| if interrupt.term { 143 } else { 130 });
        if !(ran.interrupted && wanted == Some(exit)) {
            found("exit code", format!("{exit} and no report: {last}"));
        }
        return verdict;
    };
    for wrong in sums::wrong(trial, report, &ran.statuses) {
        found("sums", wrong);
    }
    let Some(run) = report.runs.first() else { return verdict };
    let wanted = if run.lost > 0 { FOUND } else { 0 };
    // Told to stop when it had just ended, it may still say so.
    if exit != wanted && !(ran.interrupted && matches!(exit, 130 | 143)) {
        found("exit code", format!("{exit} with {} lost: {last}", run.lost));
    }
    for pod in &run.pods {
        if let Some(text) = wrong_end(trial, run, ran, pod) {
            found("a pod's end", text);
        }
    }
    let mut excused: BTreeMap<String, u64> = BTreeMap::new();
    for loss in &run.losses {
        match excuse(loss, trial, run, ran) {
            Some(why) => *excused.entry(why).or_default() += 1,
            None => found(
                &format!("lost: {}", loss.cause.name()),
                format!(
                    "{} at {:.3} s, sent {:.3} s, {}, pod {:?}, {:?} s after its deletion, {:?} s after SIGTERM, routed {:?}",
                    loss.stream,
                    loss.at,
                    loss.sent,
                    loss.outcome,
                    loss.pod,
                    loss.after_deletion,
                    loss.after_sigterm,
                    loss.routed
                ),
            ),
        }
    }
    verdict.requests = run.requests;
    verdict.excused = excused;
    verdict.invalid = sums::invalid(report);
    verdict
}

/// How a pod ended that should have ended otherwise.
fn wrong_end(trial: &Trial, run: &RunReport, ran: &Ran, pod: &PodRecord) -> Option<String> {
    let text = |what: String| Some(format!("{} {what}", pod.name));
    let crash = trial.event == Disruption::Crash;
    // A shell that is still to become the server knows no drain, and neither does a process that has
    // just begun.
    let ready = pod.first(|what| *what == What::Ready).is_some();
    let told = ran.told.iter().any(|told| **told == *pod.name);
    let hang = trial.clients.iter().any(|client| Client::may_be_cut(*client));
    // A server knows nothing of a hook that sleeps: its own deadline may come after SIGKILL.
    let misled = hang && sleep_of(&trial.pre_stop) >= Duration::from_millis(trial.margin_ms);
    if pod.killed() && fits(trial) && !misled {
        return text("had to be killed".to_owned());
    }
    let cut =
        hang || !fits(trial) || run.losses.iter().any(|loss| loss.pod.as_ref() == Some(&pod.name));
    match pod.exit().map(websample_lab::timeline::Exit::status) {
        None | Some(0) => None,
        Some(CUT) if cut => None,
        Some(_) if forced(pod) && (told || !ready) => None,
        Some(137) if crash || pod.killed() => None,
        Some(status) => text(format!("ended with {status}")),
    }
}

/// The longest that a request of these streams takes by itself.
pub(crate) fn longest_request(mix: &[String]) -> Duration {
    let Ok(mix) = mix.join(", ").parse::<Mix>() else { return Duration::ZERO };
    let seconds = mix.streams().iter().filter_map(|stream| {
        let (what, seconds) = stream.path.trim_start_matches('/').split_once('/')?;
        matches!(what, "sleep" | "stream").then_some(seconds)?.parse::<f64>().ok()
    });
    Duration::from_secs_f64(seconds.fold(0.0, f64::max))
}

/// How long the preStop hook sleeps.
pub(crate) fn sleep_of(pre_stop: &str) -> Duration {
    match pre_stop.parse() {
        Ok(PreStop::Sleep(time)) => time,
        _ => Duration::ZERO,
    }
}
