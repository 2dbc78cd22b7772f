//! What the charts need of the reports, as small as it can be.

use std::collections::BTreeMap;

use serde::Serialize;

use super::losses::{Marks, marks, millis};
use crate::{
    report::{Bucket, RunReport},
    saved::Saved,
    timeline::PodRecord,
};

/// Everything that is drawn.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    runs: Vec<Run>,
    /// Names of streams; runs refer to them by index.
    streams: Vec<String>,
}

/// One run.
#[derive(Debug, Serialize)]
struct Run {
    /// Which file it is from; empty for the only one.
    file: String,
    mode: String,
    repeat: u32,
    requests: u64,
    lost: u64,
    began: f64,
    took: f64,
    pods: Vec<Pod>,
    losses: Marks,
    seconds: Seconds,
    latency: Vec<Bucket>,
}

/// One lane.
#[derive(Debug, Serialize)]
struct Pod {
    name: String,
    version: String,
    exit: Option<String>,
    /// When, what, and what the name does not say.
    events: Vec<(f64, &'static str, Option<String>)>,
}

/// Columns, one entry a second.
#[derive(Debug, Default, Serialize)]
struct Seconds {
    at: Vec<u64>,
    versions: BTreeMap<String, Vec<u64>>,
    lost: Vec<u64>,
    /// By index of the stream, then by version; `lost` is among the versions' names.
    streams: BTreeMap<usize, BTreeMap<String, Vec<u64>>>,
    in_flight: BTreeMap<String, Vec<f64>>,
}

impl Document {
    /// What is drawn of these reports.
    pub(super) fn new(reports: &[Saved]) -> Self {
        let mut streams: Vec<String> = Vec::new();
        for run in reports.iter().flat_map(|saved| &saved.report.runs) {
            for stream in &run.streams {
                if !streams.iter().any(|known| *known == *stream.name) {
                    streams.push(stream.name.to_string());
                }
            }
        }
        let mut runs = Vec::new();
        for saved in reports {
            for run in &saved.report.runs {
                runs.push(Run::new(&saved.label, run, &mut streams));
            }
        }
        Self { runs, streams }
    }
}

impl Run {
    fn new(file: &str, run: &RunReport, streams: &mut Vec<String>) -> Self {
        let names: Vec<&str> = run.pods.iter().map(|pod| &*pod.name).collect();
        Self {
            file: file.to_owned(),
            mode: run.mode.clone(),
            repeat: run.repeat,
            requests: run.requests,
            lost: run.lost,
            began: millis(run.rollout_began),
            took: millis(run.rollout_seconds),
            losses: marks(&run.losses, &names, streams),
            seconds: Seconds::new(run, streams),
            pods: run.pods.iter().map(Pod::new).collect(),
            latency: run.latency_histogram.clone(),
        }
    }
}

impl Pod {
    fn new(pod: &PodRecord) -> Self {
        let events = pod.events.iter();
        Self {
            name: pod.name.to_string(),
            version: pod.version.to_string(),
            exit: pod.exit().map(|exit| exit.to_string()),
            events: events
                .map(|event| {
                    let at = millis(event.at.as_secs_f64());
                    (at, event.what.name(), event.what.detail())
                })
                .collect(),
        }
    }
}

impl Seconds {
    fn new(run: &RunReport, streams: &[String]) -> Self {
        let mut all = Self::default();
        let length = run.seconds.len();
        let cell = |column: &mut Vec<u64>, index: usize, value: u64| {
            column.resize(length, 0);
            column[index] += value;
        };
        for (index, second) in run.seconds.iter().enumerate() {
            all.at.push(second.at);
            all.lost.push(second.lost.values().sum());
            for (version, count) in &second.versions {
                cell(all.versions.entry(version.clone()).or_default(), index, *count);
            }
            for (name, counts) in &second.streams {
                let Some(stream) = streams.iter().position(|known| **known == **name) else {
                    continue;
                };
                let columns = all.streams.entry(stream).or_default();
                for (version, count) in &counts.versions {
                    cell(columns.entry(version.clone()).or_default(), index, *count);
                }
                if counts.lost > 0 {
                    cell(columns.entry("lost".to_owned()).or_default(), index, counts.lost);
                }
            }
            for (pod, mean) in &second.in_flight {
                let column = all.in_flight.entry(pod.to_string()).or_default();
                column.resize(length, 0.0);
                column[index] = *mean;
            }
        }
        all
    }
}
