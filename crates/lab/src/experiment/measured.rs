//! What was measured, as a run's report: the same whatever it was measured on.

use std::{sync::Arc, time::Duration};

use websample_load::{Attempt, Tally};

use super::Experiment;
use crate::{
    cluster::kubernetes::clock::ClockReport,
    losses::{self, Loss},
    plan::Plan,
    recorder::Recorder,
    report::{Bucket, Latency, RunReport, StreamReport},
    timeline::Timeline,
};

/// What an experiment came to.
pub(super) struct Measured<'a> {
    /// Each stream's part, in the mix's order.
    pub(super) load: &'a [Tally],
    /// The same by second, with every lost request.
    pub(super) recorder: &'a Recorder,
    /// When the update began.
    pub(super) began: Duration,
    /// How long it took until the last old pod was gone.
    pub(super) took: Duration,
    /// How well times are known that were not taken here.
    pub(super) clock: Option<ClockReport>,
}

impl Experiment {
    /// The report; `explain` says why a request of a stream was lost.
    pub(super) fn report(
        &self,
        plan: &Plan,
        measured: &Measured<'_>,
        timeline: &Timeline,
        explain: impl Fn(&Attempt, &Arc<str>) -> Loss,
    ) -> RunReport {
        let Measured { load, recorder, began, took, clock } = *measured;
        let mut total = Tally::default();
        for stream in load {
            total.merge(stream);
        }
        let pods = timeline.pods();
        let streams: Vec<Arc<str>> =
            plan.mix.streams().iter().map(|spec| spec.name().into()).collect();
        let (seconds, lost) = recorder.take(&streams, &pods);
        let losses: Vec<Loss> =
            lost.iter().map(|attempt| explain(attempt, &streams[attempt.stream])).collect();
        RunReport {
            mode: self.variant.label.clone(),
            event: self.variant.event,
            repeat: self.repeat,
            seed: self.seed,
            pre_stop: self.variant.cluster.pre_stop.to_string(),
            requests: total.requests,
            lost: total.lost,
            outcomes: total.outcomes.clone(),
            lost_with_retries: total.lost_with_retries,
            latency_ms: Latency::of(&total.latency),
            send_delay_ms: Latency::of(&total.send_delay),
            latency_histogram: Bucket::of(&total.latency),
            rollout_began: began.as_secs_f64(),
            rollout_seconds: took.as_secs_f64(),
            killed: pods.iter().filter(|pod| pod.killed()).count(),
            causes: losses::count_all(&losses, &total.outcomes),
            streams: streams
                .iter()
                .zip(load)
                .map(|(name, tally)| StreamReport::new(name, tally))
                .collect(),
            losses,
            seconds,
            pods,
            clock,
        }
    }
}
