//! Whether the report's numbers are what the clients saw.

use std::collections::BTreeMap;

use websample_lab::{
    gate,
    report::{Report, RunReport},
};
use websample_load::Outcome;

use super::trial::Trial;

/// What does not add up.
pub(super) fn wrong(trial: &Trial, report: &Report, statuses: &BTreeMap<u16, u64>) -> Vec<String> {
    let [run] = report.runs.as_slice() else {
        return vec![format!("{} runs in the report of one", report.runs.len())];
    };
    let mut wrong = within(run);
    let mut same = |what: &str, counted: u64, reported: u64| {
        if counted != reported {
            wrong.push(format!("{what}: {counted} counted, {reported} reported"));
        }
    };
    // Against every single result, as the clients wrote it down.
    same("results", statuses.values().sum(), run.requests);
    let ok = statuses.iter().filter(|(status, _)| **status == 101 || (200..400).contains(*status));
    same("successes", ok.map(|(_, count)| count).sum(), outcome(run, Outcome::Ok));
    for (status, count) in statuses.iter().filter(|(status, _)| **status >= 400) {
        same(&format!("status {status}"), *count, outcome(run, Outcome::Status(*status)));
    }
    if run.event != trial.event || run.seed != trial.seed {
        wrong.push(format!("it is about {} with seed {}", run.event, run.seed));
    }
    wrong
}

/// Why the run says nothing, if its load was not the one that was asked for.
pub(super) fn invalid(report: &Report) -> Option<String> {
    gate::invalid(&report.runs)
}

/// The report against itself.
fn within(run: &RunReport) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, one: u64, other: u64| {
        if one != other {
            wrong.push(format!("{what}: {one} and {other}"));
        }
    };
    let sum = |counts: &BTreeMap<_, u64>| counts.values().sum::<u64>();
    same("requests and their outcomes", run.requests, sum(&run.outcomes));
    let lost = run.outcomes.iter().filter(|(outcome, _)| outcome.is_lost());
    same("lost and their outcomes", run.lost, lost.map(|(_, count)| count).sum());
    same("lost and single losses", run.lost, run.losses.len() as u64);
    same("lost and their causes", run.lost, run.causes.iter().map(|cause| cause.count).sum());
    let streams = |of: fn(&websample_lab::report::StreamReport) -> u64| -> u64 {
        run.streams.iter().map(of).sum()
    };
    same("requests and those of streams", run.requests, streams(|stream| stream.requests));
    same("lost and those of streams", run.lost, streams(|stream| stream.lost));
    let seconds = run.seconds.iter().map(|second| second.versions.values().sum::<u64>()).sum();
    same("requests and those of seconds", run.requests, seconds);
    let lost = run.seconds.iter().map(|second| second.lost.values().sum::<u64>()).sum();
    same("lost and those of seconds", run.lost, lost);
    let latencies = run.latency_histogram.iter().map(|bucket| bucket.count).sum();
    same("requests and their latencies", run.requests, latencies);
    if run.lost_with_retries > run.lost {
        wrong.push(format!("with retries {} of {} are lost", run.lost_with_retries, run.lost));
    }
    let killed = run.pods.iter().filter(|pod| pod.killed()).count();
    if killed != run.killed {
        wrong.push(format!("killed: {} and {killed}", run.killed));
    }
    wrong
}

fn outcome(run: &RunReport, outcome: Outcome) -> u64 {
    run.outcomes.get(&outcome).copied().unwrap_or(0)
}
