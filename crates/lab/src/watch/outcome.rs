//! What was seen, in the end: as a report, and in words.

use std::{
    fmt::Write as _,
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use websample_load::{Attempt, Mix, Tally};
use websample_manifest::Knows;

use super::{Ended, Looked, WatchArgs, course::Course, course::Rollout, probe::Sent, scene::Scene};
use crate::{
    advice::{self, Advice, Scope},
    cluster::kubernetes::{Stopped, View, clock::ClockReport},
    disruption::Disruption,
    experiment::{
        kubernetes::join::{believable, nodes},
        measured::{Measured, Tried},
    },
    gate::{self, Condition},
    losses::Loss,
    page,
    recorder::Recorder,
    report::{ClusterUsed, Environment, Report, RunReport},
    saved::Saved,
    summary::{self, printable},
    timeline::{PodRecord, Timeline, What},
    timings,
};

/// A pod's own time of its end is taken where it is known this well, in seconds: otherwise the change's
/// arrival is better.
const EXACT: f64 = 0.25;

/// Everything that was seen.
pub(super) struct Seen<'a> {
    pub(super) scene: &'a Scene,
    pub(super) args: &'a WatchArgs,
    pub(super) view: &'a View,
    pub(super) course: &'a Course,
    pub(super) timeline: &'a Timeline,
    /// What knows servers by their containers.
    pub(super) known: &'a dyn Knows,
}

/// What it comes to.
pub(super) struct Outcome {
    report: Report,
    summary: String,
    found: Vec<(String, String)>,
    invalid: Option<String>,
}

impl Seen<'_> {
    /// Joins what was seen of the pods with what was sent; `listed` is when all that was there before
    /// had been seen, and `sent` is nothing where nothing was, or nobody waited for it.
    pub(super) fn outcome(
        &self,
        sent: Option<Sent>,
        listed: Duration,
        started: SystemTime,
        command: Vec<String>,
        ended: &Ended,
    ) -> Outcome {
        let Self { scene, view, timeline, course, .. } = self;
        let (began, took) = span(&course.rollouts, listed, timeline.now());
        let nodes = nodes(&Stopped::default(), &view.reports, listed, false);
        let exact = nodes.uncertainty().is_some_and(|seconds| seconds <= EXACT);
        // What the events told is known to some milliseconds, and by the same clock.
        for (pod, at, what) in believable(&view.reports, nodes).into_iter().filter(|_| exact) {
            match what {
                What::Exited(_) => {
                    timeline.correct(&pod, at, |what| matches!(what, What::Exited(_)));
                }
                what => timeline.tell_once(&pod, at, what),
            }
        }
        let (streams, recorder, mix) = match sent {
            Some(Sent { streams, recorder, mix, uncertainty }) => {
                (streams, recorder, Some((mix, uncertainty)))
            }
            None => (Vec::new(), Recorder::default(), None),
        };
        let uncertainty = mix.as_ref().and_then(|(_, uncertainty)| *uncertainty);
        let mix = mix.map(|(mix, _)| mix);
        let measured = Measured {
            load: &streams,
            recorder: &recorder,
            began,
            took,
            clock: Some(ClockReport {
                load_uncertainty: uncertainty,
                pods_uncertainty: nodes.uncertainty(),
                watch_restarts: view.restarts,
            }),
        };
        let tried = Tried {
            name: scene.reference.name.clone(),
            event: Disruption::Update,
            repeat: 0,
            seed: 0,
            pre_stop: scene.hook(),
        };
        let known = |pod: &str| exact && view.reports.iter().any(|report| *report.pod == *pod);
        let explain = |attempt: &Attempt, stream: &Arc<str>| {
            Loss::on_cluster(attempt, stream, timeline, known)
        };
        let run = match &mix {
            Some(mix) => measured.report(tried, mix, timeline, explain),
            None => measured.alone(tried, timeline),
        };
        let from = listed;
        let mut found: Vec<_> = self
            .args
            .fail_on
            .iter()
            .filter_map(|condition| Some((condition.to_string(), condition.seen(&run, from)?)))
            .collect();
        if self.args.fail_on_loss && run.lost > 0 {
            found.push(("loss".to_owned(), format!("{} of {} requests", run.lost, run.requests)));
        }
        let asked = self.args.fail_on.iter().any(Condition::is_of_requests);
        let invalid = gate::invalid(std::slice::from_ref(&run)).filter(|_| asked);
        let stuck = matches!(ended, Ended::Stuck(_));
        let manifest = scene.manifest(view.workload.as_deref());
        let advice = Advice::new(&manifest, &run, Scope { from, stuck }, self.known);
        let mut summary = self.summary(&run, from, ended);
        summary.push_str(&advice.as_ref().map_or_else(String::new, advice::text));
        let environment = self.environment(mix.as_ref(), started, command);
        Outcome { report: Report { runs: vec![run], environment, advice }, summary, found, invalid }
    }

    fn environment(
        &self,
        mix: Option<&Mix>,
        started: SystemTime,
        command: Vec<String>,
    ) -> Environment {
        let Self { scene, args, course, .. } = self;
        let images = match course.rollouts.last() {
            Some(Rollout { images: (before, after), .. }) => {
                [before.clone().unwrap_or_default(), after.clone()]
            }
            None => [scene.image(), scene.image()],
        };
        Environment {
            websample: env!("CARGO_PKG_VERSION").to_owned(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            started: started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
            command,
            mix: mix.map_or_else(String::new, Mix::to_string),
            rate: mix.map_or(0.0, Mix::rate),
            replicas: scene.workload.wanted(),
            propagation: "as the cluster does".to_owned(),
            grace_seconds: scene.grace() as f64,
            proxy: None,
            cluster: Some(ClusterUsed {
                name: scene.cluster.name.to_string(),
                version: scene.cluster.version.clone(),
                namespace: scene.cluster.namespace.clone(),
                images,
                url: args.url.clone(),
            }),
        }
    }

    /// What happened, in a few sentences.
    fn summary(&self, run: &RunReport, from: Duration, ended: &Ended) -> String {
        let Self { scene, course, .. } = self;
        let title = scene.reference.title(&scene.cluster.namespace);
        let mut out = String::new();
        for rollout in &course.rollouts {
            let change = match &rollout.images {
                (Some(before), after) if before != after => format!("{before} to {after}"),
                (_, after) => after.clone(),
            };
            let over = rollout.ended.map_or_else(
                || "was not over when the watch ended".to_owned(),
                |ended| {
                    let took = ended.saturating_sub(rollout.began).as_secs_f64();
                    format!("was over after {took:.1} s")
                },
            );
            let _ = writeln!(out, "{title}: the rollout ({}) {over}.", printable(&change));
        }
        match ended {
            Ended::NotBegun(wait) => {
                let wait = humantime::format_duration(*wait);
                let _ = writeln!(out, "{title}: no rollout began within {wait}.");
            }
            Ended::Stuck(trouble) => {
                let _ = writeln!(out, "{title}: {}.", printable(&trouble.what()));
            }
            Ended::Gone => {
                let _ = writeln!(out, "{title}: it was deleted.");
            }
            Ended::Blind(why) => {
                let _ = writeln!(out, "{title}: the cluster was not seen any more: {why}.");
            }
            Ended::Over | Ended::Interrupted(_) | Ended::Unread => {
                if course.rollouts.is_empty() {
                    let _ = writeln!(out, "{title}: no rollout was seen.");
                }
            }
        }
        if let Some(sentence) = ends(&run.pods, from) {
            let _ = writeln!(out, "{sentence}");
        }
        if run.requests > 0 {
            let _ = write!(out, "{}", losses(run));
        }
        out
    }
}

/// From when to when it was rolled out: the first rollout's begin, to the last one's end.
fn span(rollouts: &[Rollout], listed: Duration, now: Duration) -> (Duration, Duration) {
    let Some(first) = rollouts.first() else { return (listed, Duration::ZERO) };
    let last = rollouts.last().and_then(|rollout| rollout.ended).unwrap_or(now);
    (first.began, last.saturating_sub(first.began))
}

/// How pods ended.
fn ends(pods: &[PodRecord], from: Duration) -> Option<String> {
    let ended: Vec<&PodRecord> = pods
        .iter()
        .filter(|pod| pod.first(|what| *what == What::Removed).is_some_and(|at| at > from))
        .collect();
    let times: Vec<f64> =
        ended.iter().filter_map(|pod| pod.termination()).map(|time| time.as_secs_f64()).collect();
    let (first, last) =
        (times.iter().copied().reduce(f64::min)?, times.iter().copied().reduce(f64::max)?);
    let mut exits: Vec<(String, usize)> = Vec::new();
    for pod in &ended {
        let exit = pod.exit().map_or_else(|| "nobody saw how".to_owned(), |exit| exit.to_string());
        match exits.iter_mut().find(|(known, _)| *known == exit) {
            Some((_, count)) => *count += 1,
            None => exits.push((exit, 1)),
        }
    }
    let exits: Vec<_> = exits.iter().map(|(exit, count)| format!("{count} with {exit}")).collect();
    let killed = ended.iter().filter(|pod| pod.killed()).count();
    let killed = if killed > 0 { format!("; SIGKILL had to end {killed}") } else { String::new() };
    let time = if (last - first) < 0.1 {
        format!("{first:.1} s")
    } else {
        format!("{first:.1} to {last:.1} s")
    };
    Some(format!(
        "{} pod{} ended, {time} after the deletion: {}{killed}.",
        ended.len(),
        if ended.len() == 1 { "" } else { "s" },
        exits.join(", "),
    ))
}

/// What was lost, and why.
fn losses(run: &RunReport) -> String {
    let bound = crate::confidence::upper_bound(run.lost, run.requests);
    let mut out = format!(
        "Lost {} of {} requests: {} (at most {}).\n",
        run.lost,
        run.requests,
        summary::percent(run.lost as f64 / run.requests.max(1) as f64),
        summary::percent(bound),
    );
    for cause in &run.causes {
        let sentence = cause.cause.sentence_for(cause.count);
        let _ = writeln!(out, "  {} {sentence}", cause.count);
    }
    out
}

impl Measured<'_> {
    /// The report of pods that nothing was sent to.
    fn alone(&self, tried: Tried, timeline: &Timeline) -> RunReport {
        let nothing = Measured { load: &[Tally::default()], ..*self };
        let mix = Mix::default_at(1.0);
        let mut run = nothing.report(tried, &mix, timeline, |attempt, stream| {
            Loss::on_cluster(attempt, stream, timeline, |_| false)
        });
        run.streams.clear();
        run
    }
}

impl Outcome {
    /// Writes the report and its page.
    pub(super) fn write(self, args: &WatchArgs, ended: Ended) -> io::Result<Looked> {
        let Self { report, mut summary, found, invalid } = self;
        if let Some(file) = &args.fix {
            let done = advice::write(report.advice.as_ref(), file)?;
            let _ = writeln!(summary, "{done}");
        }
        if let Some(file) = &args.record {
            let _ = writeln!(summary, "{}", timings::record(&report, file)?);
        }
        let path = report.write(&args.out)?;
        let saved = [Saved { label: String::new(), report }];
        let page = path.with_file_name(page::FILE);
        page::write(&saved, &page)?;
        let [Saved { report, .. }] = saved;
        Ok(Looked { report, path, page, summary, ended, found, invalid })
    }
}
