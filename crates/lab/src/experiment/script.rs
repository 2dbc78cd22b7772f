//! The choreography of an experiment, the same wherever it takes place: up, warm, roll, cool, measure.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use websample_load::{Attempt, results::Background};

use super::{Cue, Experiment, Failure, Pods, Stage};
use crate::{plan::Plan, report::RunReport, timeline::Timeline};

/// Load before the update begins, so that connections are established and kept.
const WARM_UP: Duration = Duration::from_secs(2);

/// Load after the last old pod is gone: its losses may come late.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// What is done with every attempt as it is heard of.
pub(super) type Live = Box<dyn FnMut(Attempt) + Send>;

/// Where an experiment takes place, with the first version up: the verbs of the script.
pub(super) trait Scene {
    /// Requests on their way.
    type Load;
    /// What became of them.
    type Sent;

    /// What happens to the pods.
    fn timeline(&self) -> &Timeline;

    /// Begins the load, and returns once requests are sent.
    async fn load(&self, live: Live) -> Result<Self::Load, Failure>;

    /// Does to the pods what is tried, and waits until all is as it should be again.
    async fn disrupt(&self) -> Result<(), Failure>;

    /// Returns when something has broken that the experiment cannot go on without: the load too.
    async fn broken(&self, load: &mut Self::Load) -> Failure;

    /// Tells of the pods whenever something has happened to one; never returns.
    async fn show(&self, tell: impl Fn(Pods));

    /// Ends the load, and waits for outstanding answers.
    async fn stop(&self, load: Self::Load) -> Result<Self::Sent, Failure>;

    /// What was measured: when the update began, and how long it took.
    fn measured(&self, sent: &Self::Sent, began: Duration, took: Duration) -> RunReport;

    /// Clears away what was set up.
    async fn clear(self);
}

/// Runs the script where `up` leads.
pub(super) async fn run<S: Scene>(
    experiment: &Experiment,
    plan: &Plan,
    cue: &Cue,
    up: impl Future<Output = Result<S, Failure>>,
) -> Result<RunReport, Failure> {
    let stage = up.await?;
    let timeline = stage.timeline().clone();
    experiment.enter(Stage::Up);
    cue.up.notify_one();
    cue.go.cancelled().await;

    let (live, written) = live(experiment, plan, &timeline, cue.start)?;
    let mut load = stage.load(live).await?;
    experiment.enter(Stage::WarmingUp);
    tokio::select! {
        () = tokio::time::sleep(WARM_UP) => {}
        failure = stage.broken(&mut load) => return Err(failure),
    }
    let began = timeline.now();
    experiment.metrics.rollout_began();
    tokio::select! {
        disrupted = stage.disrupt() => disrupted?,
        failure = stage.broken(&mut load) => return Err(failure),
        () = stage.show(|pods| experiment.enter(Stage::RollingOut(pods))) => {
            unreachable!("it shows for ever")
        }
    }
    let took = timeline.now().saturating_sub(began);
    experiment.metrics.rollout_ended();
    experiment.enter(Stage::CoolingDown);
    tokio::time::sleep(COOL_DOWN).await;
    let sent = stage.stop(load).await?;
    if let Some(written) = written {
        written.finish().await.map_err(|error| Failure::Results(error.into()))?;
    }
    experiment.enter(Stage::Done);
    let report = stage.measured(&sent, began, took);
    experiment.metrics.measured(&report);
    // From here on pods go because they are cleared away.
    timeline.end();
    stage.clear().await;
    Ok(report)
}

/// What is done with every attempt, and the writer of single results.
fn live(
    experiment: &Experiment,
    plan: &Plan,
    timeline: &Timeline,
    start: Instant,
) -> Result<(Live, Option<Background>), Failure> {
    let results =
        experiment.results(plan, start).map_err(|error| Failure::Results(error.into()))?;
    let (single, written) = results.unzip();
    let recorder = Arc::clone(&experiment.recorder);
    let mut measure = experiment.metrics.attempts(timeline.clone());
    let live = move |attempt: Attempt| {
        measure(&attempt);
        if let Some(single) = &single {
            // A writer that is gone has failed: its error is reported at the end.
            let _ = single.send(attempt.clone());
        }
        recorder.add(attempt);
    };
    Ok((Box::new(live), written))
}
