//! The time in which something is looked at: what happens is told, until it ends.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior, interval},
};
use websample_lifecycle::Signals;

use super::{
    Ended, Making, Onlooker, WatchArgs, WatchError,
    change::Change,
    course::{Course, Look},
    line::Clock,
    probe::Probe,
    scene::Scene,
};
use crate::{
    cluster::kubernetes::{NO_REVISION, View, Watch, Workload, trouble::Trouble},
    experiment::Failure,
    timeline::Timeline,
};

/// From the end of a rollout to the end of the probe: some losses come late.
const COOL_DOWN: Duration = Duration::from_secs(2);
/// Between two looks at what only gets wrong with time, and two lines about losses.
const LOOK: Duration = Duration::from_secs(1);

/// The time in which something is looked at.
pub(super) struct Looking<'a> {
    pub(super) scene: &'a Scene,
    pub(super) args: &'a WatchArgs,
    pub(super) course: Course,
    pub(super) clock: Clock,
    /// Troubles that were told: they last.
    pub(super) told: Vec<String>,
    /// What came until then was there before.
    pub(super) listed: Duration,
    pub(super) timeline: Timeline,
}

impl Looking<'_> {
    /// Tells everything that happens until it ends.
    pub(super) async fn look(
        &mut self,
        watch: &Watch,
        events: &mut tokio::sync::broadcast::Receiver<crate::timeline::PodEvent>,
        mut probe: Option<Probe>,
        mut making: Option<&mut Making>,
        signals: &mut Signals,
        onlooker: &mut impl Onlooker,
    ) -> Result<(Ended, Option<Probe>), WatchError> {
        let mut view = watch.view();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut over: Option<Instant> = None;
        let waits = self.args.wait.map(|wait| (wait, Instant::now() + wait));
        view.mark_changed();
        let ended = loop {
            let due = making.as_ref().and_then(|making| making.at);
            let deadline = over.or(waits.filter(|_| self.course.waits()).map(|(_, until)| until));
            let read = tokio::select! {
                biased;
                signal = signals.next() => break Ended::Interrupted(signal),
                event = events.recv() => match event {
                    Ok(event) if event.event.at <= self.listed => true,
                    Ok(event) => onlooker.line(&self.clock.pod(&event)),
                    Err(RecvError::Lagged(missed)) => {
                        onlooker.say(&format!("{missed} lines are missing here; the report has them"));
                        true
                    }
                    Err(RecvError::Closed) => break Ended::Blind("it ended".to_owned()),
                },
                changed = view.changed() => {
                    if changed.is_err() {
                        break Ended::Blind("it ended".to_owned());
                    }
                    let view = view.borrow_and_update().clone();
                    match self.changed(&view, onlooker) {
                        Ok(None) => true,
                        Ok(Some(_)) if over.is_some() => true,
                        Ok(Some(Ended::Over)) => {
                            // Without requests there is nothing that could still be lost.
                            let rest = if probe.is_some() { COOL_DOWN } else { Duration::ZERO };
                            over = Some(Instant::now() + rest);
                            true
                        }
                        Ok(Some(ended)) => break ended,
                        Err(Unread) => false,
                    }
                }
                _ = ticks.tick() => {
                    let lost = probe.as_ref().and_then(Probe::lost_since);
                    let told = lost.is_none_or(|(lost, detail)| {
                        let subject = "probe".to_owned();
                        let at = self.timeline.now();
                        onlooker.line(&self.clock.line(at, subject, lost, Some(detail)))
                    });
                    told && self.troubles(&view.borrow().clone(), onlooker)
                }
                failure = failed(probe.as_mut()) => {
                    return Err(failure.into());
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(making) = &mut making {
                        // Before it is asked for: whatever the answer is, it may have been done.
                        (making.at, making.made) = (None, true);
                        Change::make(self.scene, &making.change.patch).await?;
                    }
                    true
                }
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    break match (over, waits) {
                        (None, Some((wait, _))) => Ended::NotBegun(wait),
                        _ => Ended::Over,
                    };
                }
            };
            if !read {
                break Ended::Unread;
            }
        };
        // What happened until now and was not yet told.
        while let Ok(event) = events.try_recv() {
            if event.event.at > self.listed && !onlooker.line(&self.clock.pod(&event)) {
                break;
            }
        }
        Ok((ended, probe))
    }

    /// What a change of the view means for the whole.
    fn changed(
        &mut self,
        view: &View,
        onlooker: &mut impl Onlooker,
    ) -> Result<Option<Ended>, Unread> {
        if let Some(why) = &view.blind {
            return Ok(Some(Ended::Blind(why.clone())));
        }
        let at = self.timeline.now();
        let subject = self.scene.reference.to_string();
        let Some(workload) = view.workload.as_deref() else {
            let gone = self.clock.line(at, subject, "deleted".to_owned(), None);
            return if onlooker.line(&gone) { Ok(Some(Ended::Gone)) } else { Err(Unread) };
        };
        let mut ended = None;
        let look = Look {
            workload,
            served: &self.scene.served,
            settled: view.settled(),
            revisions: revisions(view),
        };
        for turn in self.course.step(at, &look) {
            if turn.is_end() && !self.args.follow {
                ended = Some(Ended::Over);
            }
            let (what, detail) = turn.words();
            let line = self.clock.line(at, subject.clone(), what.to_owned(), detail);
            if !onlooker.line(&line) {
                return Err(Unread);
            }
        }
        if !self.troubles(view, onlooker) {
            return Err(Unread);
        }
        if !self.args.follow
            && !self.course.waits()
            && ended.is_none()
            && let Some(trouble @ Trouble::Progress { .. }) = workload.trouble()
        {
            ended = Some(Ended::Stuck(trouble));
        }
        Ok(ended)
    }

    /// Tells what holds a rollout up, once. False once nobody reads it.
    fn troubles(&mut self, view: &View, onlooker: &mut impl Onlooker) -> bool {
        let held = view.workload.as_deref().and_then(Workload::held);
        let trouble = view.trouble(false).map(|trouble| trouble.what());
        for what in trouble.into_iter().chain(held.map(str::to_owned)) {
            if self.told.contains(&what) {
                continue;
            }
            self.told.push(what.clone());
            let subject = self.scene.reference.to_string();
            let line =
                self.clock.line(self.timeline.now(), subject, "trouble".to_owned(), Some(what));
            if !onlooker.line(&line) {
                return false;
            }
        }
        true
    }
}

/// The revisions of the pods that there are, as far as they tell.
fn revisions(view: &View) -> BTreeSet<Arc<str>> {
    let all = view.pods.iter().map(|pod| Arc::clone(&pod.version));
    all.filter(|revision| **revision != *NO_REVISION).collect()
}

/// Nobody reads any more.
struct Unread;

/// Returns when requests cannot be sent any more; never without a probe.
async fn failed(probe: Option<&mut Probe>) -> Failure {
    match probe {
        Some(probe) => probe.failed().await,
        None => std::future::pending().await,
    }
}
