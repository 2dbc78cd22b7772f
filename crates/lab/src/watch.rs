//! `websample watch`: looks on while somebody else rolls out, and changes nothing.
//!
//! ```text
//! args ─► scene: workload, Service, permissions ─┬─► timeline ─► lines
//!                                                ├─► course: begun, over, stuck
//!         probe: requests of our own ────────────┴─► outcome: report, page, what failed
//! ```
//!
//! | file | its subject |
//! |---|---|
//! | `args` | what was asked, and what is sent |
//! | `scene` | what there is to be looked at, and what may be |
//! | `course` | how far a rollout is |
//! | `line` | an event as a line, for people and for programs |
//! | `probe` | requests beside it |
//! | `failing` | what a gate looks for |
//! | `outcome` | what was seen, in the end |

mod args;
mod course;
mod failing;
mod line;
mod outcome;
mod probe;
mod scene;

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior, interval},
};
use websample_lifecycle::{Signal, Signals};

pub use self::{
    args::{Output, WatchArgs},
    failing::Failing,
    line::Line,
    probe::ProbeError,
};
use self::{
    course::{Course, Look},
    line::Clock,
    outcome::Seen,
    probe::Probe,
    scene::Scene,
};
use super::{
    cluster::kubernetes::{
        ClusterProblem, KubernetesError, NO_REVISION, View, Watch, revision, trouble::Trouble,
    },
    comparison::writable,
    experiment::Failure,
    plan::PlanError,
    report::Report,
    timeline::Timeline,
};

/// A cluster lists what there is within this.
const LISTED_WITHIN: Duration = Duration::from_secs(30);
/// From the end of a rollout to the end of the probe: some losses come late.
const COOL_DOWN: Duration = Duration::from_secs(2);
/// Between two looks at what only gets wrong with time, and two lines about losses.
const LOOK: Duration = Duration::from_secs(1);

/// Whoever looks on.
pub trait Onlooker {
    /// Something happened. False once nobody reads it any more.
    fn line(&mut self, line: &Line) -> bool;

    /// Something about the watch itself.
    fn say(&self, text: &str);
}

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The command line asks for something that cannot be done.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no cluster, or not what was asked for.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// Nothing can be sent to the URL.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The requests could not be sent.
    #[error(transparent)]
    Load(#[from] Failure),
    /// The results could not be written, or a signal handler not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Somebody did not want to wait, before there was anything to see.
    #[error("interrupted by {0}, before anything was seen")]
    Interrupted(Signal),
}

/// Why it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The rollout was over.
    Over,
    /// Somebody wanted it to.
    Interrupted(Signal),
    /// Nobody read its lines any more.
    Unread,
    /// No rollout began within the time.
    NotBegun(Duration),
    /// The rollout makes no progress.
    Stuck(Trouble),
    /// The workload was deleted.
    Gone,
    /// The cluster could not be seen any more.
    Blind(String),
}

/// What came of it.
#[derive(Debug)]
pub struct Looked {
    /// The report, with the file that it was written to.
    pub report: Report,
    /// Where that is.
    pub path: PathBuf,
    /// Where the page is.
    pub page: PathBuf,
    /// What was seen, in words.
    pub summary: String,
    /// Why it ended.
    pub ended: Ended,
    /// What the gate found, each with what it was.
    pub found: Vec<(Failing, String)>,
}

/// Looks on until the rollout is over, or as long as somebody wants to.
///
/// `command` is how it was called.
///
/// # Errors
/// Says what could not be looked at.
pub async fn watch(
    args: &WatchArgs,
    command: Vec<String>,
    signals: &mut Signals,
    onlooker: &mut impl Onlooker,
) -> Result<Looked, WatchError> {
    let probe = args.probe()?;
    args.checked()?;
    writable(&args.out)?;
    let scene = tokio::select! {
        biased;
        signal = signals.next() => return Err(WatchError::Interrupted(signal)),
        scene = Scene::find(args) => scene?,
    };
    let begun = (Instant::now(), SystemTime::now());
    let timeline = Timeline::new(begun.0);
    // Before the watch: nothing is missed in between.
    let mut events = timeline.subscribe();
    let watch = Watch::start(&scene.cluster, &scene.watched(), timeline.clone(), revision);
    let listed = tokio::select! {
        biased;
        signal = signals.next() => return Err(WatchError::Interrupted(signal)),
        listed = listed(&scene, &watch) => listed?,
    };
    onlooker.say(&scene.announcement(&watch.view().borrow(), args));
    let probe = match probe {
        Some(plan) => {
            onlooker.say(&plan.announcement());
            let probe = tokio::select! {
                biased;
                signal = signals.next() => return Err(WatchError::Interrupted(signal)),
                probe = Probe::start(plan, &timeline) => probe?,
            };
            if let Some(trouble) = &probe.trouble {
                onlooker.say(trouble);
            }
            Some(probe)
        }
        None => None,
    };
    let mut looking = Looking {
        scene: &scene,
        args,
        course: Course::new(args.follow),
        clock: Clock::new(begun.1),
        told: Vec::new(),
        listed,
        timeline: timeline.clone(),
    };
    let (ended, probe) = looking.look(&watch, &mut events, probe, signals, onlooker).await?;
    let lost = match probe {
        Some(probe) => {
            let outstanding = probe.outstanding();
            if outstanding {
                onlooker.say("waiting for the last answers; Ctrl-C ends the wait");
            }
            tokio::select! {
                biased;
                _ = signals.next() => None,
                sent = probe.stop() => Some(sent?),
            }
        }
        None => None,
    };
    let view = watch.view().borrow().clone();
    timeline.end();
    let seen =
        Seen { scene: &scene, args, view: &view, course: &looking.course, timeline: &timeline };
    let outcome = seen.outcome(lost, listed, begun.1, command, &ended);
    outcome.write(args, ended).map_err(WatchError::Io)
}

/// Waits until all that there is has been seen; gives the time at which it was.
async fn listed(scene: &Scene, watch: &Watch) -> Result<Duration, KubernetesError> {
    let mut view = watch.view();
    let seen = view.wait_for(|view| view.begun().is_some() || view.blind.is_some());
    let blind = |why: String| scene.cluster.failed(ClusterProblem::Blind(why));
    match tokio::time::timeout(LISTED_WITHIN, seen).await {
        Ok(Ok(view)) => view.begun().ok_or_else(|| blind(view.blind.clone().unwrap_or_default())),
        Ok(Err(_)) => Err(blind("it ended".to_owned())),
        Err(_) => Err(blind(format!("nothing was listed within {} s", LISTED_WITHIN.as_secs()))),
    }
}

/// The time in which something is looked at.
struct Looking<'a> {
    scene: &'a Scene,
    args: &'a WatchArgs,
    course: Course,
    clock: Clock,
    /// Troubles that were told: they last.
    told: Vec<String>,
    /// What came until then was there before.
    listed: Duration,
    timeline: Timeline,
}

impl Looking<'_> {
    /// Tells everything that happens until it ends.
    async fn look(
        &mut self,
        watch: &Watch,
        events: &mut tokio::sync::broadcast::Receiver<crate::timeline::PodEvent>,
        mut probe: Option<Probe>,
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
                    let lost = probe.as_ref().and_then(|probe| probe.lost_since());
                    let told = lost.is_none_or(|(lost, detail)| {
                        let subject = "probe".to_owned();
                        let at = self.timeline.now();
                        onlooker.line(&self.clock.line(at, subject, lost, Some(detail)))
                    });
                    told && self.troubles(&view.borrow().clone(), onlooker)
                }
                failure = failed(probe.as_mut()) => return Err(failure.into()),
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
        let held = view.workload.as_deref().and_then(|workload| workload.held());
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
