//! What was measured, as a run's report: the same whatever it was measured on.

use std::{sync::Arc, time::Duration};

use websample_load::{Attempt, Mix, Tally};

use super::Experiment;
use crate::{
    cluster::kubernetes::clock::ClockReport,
    disruption::Disruption,
    losses::{self, Loss},
    plan::Plan,
    recorder::Recorder,
    report::{Bucket, Latency, RunReport, StreamReport},
    timeline::Timeline,
};

/// What an experiment came to.
pub(crate) struct Measured<'a> {
    /// Each stream's part, in the mix's order.
    pub(crate) load: &'a [Tally],
    /// The same by second, with every lost request.
    pub(crate) recorder: &'a Recorder,
    /// When the update began.
    pub(crate) began: Duration,
    /// How long it took until the last old pod was gone.
    pub(crate) took: Duration,
    /// How well times are known that were not taken here.
    pub(crate) clock: Option<ClockReport>,
}

/// What was tried, for a report.
pub(crate) struct Tried {
    /// Its name.
    pub(crate) name: String,
    /// What happened to the pods.
    pub(crate) event: Disruption,
    /// Which repeat.
    pub(crate) repeat: u32,
    /// What repeats it.
    pub(crate) seed: u64,
    /// The preStop hook.
    pub(crate) pre_stop: String,
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
        let tried = Tried {
            name: self.variant.label.clone(),
            event: self.variant.event,
            repeat: self.repeat,
            seed: self.seed,
            pre_stop: self.variant.cluster.pre_stop.to_string(),
        };
        measured.report(tried, &plan.mix, timeline, explain)
    }
}

impl Measured<'_> {
    /// The report of what was tried with this mix; `explain` says why a request of a stream was lost.
    pub(crate) fn report(
        &self,
        tried: Tried,
        mix: &Mix,
        timeline: &Timeline,
        explain: impl Fn(&Attempt, &Arc<str>) -> Loss,
    ) -> RunReport {
        let Measured { load, recorder, began, took, clock } = *self;
        let Tried { name, event, repeat, seed, pre_stop } = tried;
        let mut total = Tally::default();
        for stream in load {
            total.merge(stream);
        }
        let pods = timeline.pods();
        let streams: Vec<Arc<str>> = mix.streams().iter().map(|spec| spec.name().into()).collect();
        let (seconds, lost) = recorder.take(&streams, &pods);
        let losses: Vec<Loss> =
            lost.iter().map(|attempt| explain(attempt, &streams[attempt.stream])).collect();
        RunReport {
            mode: name,
            event,
            repeat,
            seed,
            pre_stop,
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
            reached: recorder.reached(&pods),
            pods,
            clock,
        }
    }
}
