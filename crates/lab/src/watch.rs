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
//! | `looking` | the time in which something is looked at: what happens is told, until it ends |
//! | `probe`, `inside` | requests beside it, from here or from a Job |
//! | `change`, `undo` | what is changed where it is our own rollout of somebody's Deployment, and the way back |
//! | `outcome` | what was seen, in the end |

mod args;
mod change;
mod course;
mod inside;
mod line;
mod looking;
mod outcome;
mod probe;
mod scene;
mod undo;

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use websample_lifecycle::{Signal, Signals};
use websample_manifest::Knows;

pub use self::{
    args::{Output, WatchArgs},
    line::Line,
    probe::ProbeError,
};
use self::{
    change::Change,
    course::Course,
    inside::InsidePlan,
    line::Clock,
    looking::Looking,
    outcome::Seen,
    probe::{Probe, ProbePlan},
    scene::Scene,
};
use super::{
    args::RolloutArgs,
    cluster::kubernetes::{
        ClusterProblem, KubernetesError, Role, Watch, revision, to_change, trouble::Trouble,
    },
    comparison::writable,
    experiment::Failure,
    plan::PlanError,
    report::Report,
    timeline::Timeline,
};

/// A cluster lists what there is within this.
const LISTED_WITHIN: Duration = Duration::from_secs(30);
/// What the load's Job is made of, where nothing else is said.
const LOAD_IMAGE: &str = "websample:v1";
/// What was set back is waited for, where nothing else is said: images are there already.
const UNDONE_WITHIN: Duration = Duration::from_secs(120);
/// Load before a change is made, so that connections are established and kept.
const WARM_UP: Duration = Duration::from_secs(2);

/// How the program was called, and what it knows besides.
#[derive(Clone)]
pub struct Called<'a> {
    /// Its command line.
    pub command: Vec<String>,
    /// What knows servers by their containers.
    pub known: &'a dyn Knows,
}

/// Whoever looks on.
pub trait Onlooker {
    /// Something happened. False once nobody reads it any more.
    fn line(&mut self, line: &Line) -> bool;

    /// Something about the watch itself.
    fn say(&self, text: &str);

    /// Asks whether something shall be done; false where the answer is no. An error says that there is
    /// nobody to ask.
    fn ask(&mut self, question: &str) -> impl Future<Output = io::Result<bool>>;
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
    /// What the gate found: what it looked for, each with what it was.
    pub found: Vec<(String, String)>,
    /// Why nothing follows from the requests, if it does not and somebody asked for what they show.
    pub invalid: Option<String>,
}

/// Looks on until the rollout is over, or as long as somebody wants to.
///
/// # Errors
/// Says what could not be looked at.
pub async fn watch(
    args: &WatchArgs,
    called: Called<'_>,
    signals: &mut Signals,
    onlooker: &mut impl Onlooker,
) -> Result<Looked, WatchError> {
    let source = args.probe()?.map(Source::Here);
    args.checked(source.is_some())?;
    writable(&args.out)?;
    let scene = tokio::select! {
        biased;
        signal = signals.next() => return Err(WatchError::Interrupted(signal)),
        scene = Scene::find(args, &[], Role::Watch) => scene?,
    };
    looked(args, &scene, source, None, called, signals, onlooker).await
}

/// Rolls a Deployment out that exists, under load, and looks on; `None` where nothing was to be done, or
/// somebody did not want it.
///
/// # Errors
/// Says what could not be done, and names the state that the Deployment is left in.
pub async fn roll_out(
    args: &RolloutArgs,
    called: Called<'_>,
    signals: &mut Signals,
    onlooker: &mut impl Onlooker,
) -> Result<Option<Looked>, WatchError> {
    let asked = &args.kubernetes.existing;
    let watched = args::of_rollout(args)?;
    let probe = watched.probe()?;
    let inside = if probe.is_none() { Some(watched.mix("/")?) } else { None };
    watched.checked(true)?;
    let needed = to_change(args.kubernetes.url.is_none());
    let scene = tokio::select! {
        biased;
        signal = signals.next() => return Err(WatchError::Interrupted(signal)),
        scene = Scene::find(&watched, &needed, Role::Deployment) => scene?,
    };
    let image = asked.load_image.as_deref().unwrap_or(LOAD_IMAGE);
    let here = probe.map(Source::Here);
    let inside = inside.map(|mix| Source::Inside(InsidePlan::new(&scene, image, mix)));
    let Some(source) = here.or(inside) else { unreachable!("there is one of both") };
    let change = Change::new(asked, &scene, SystemTime::now())?;
    let title = scene.reference.title(&scene.cluster.namespace);
    if !scene.workload.complete() {
        let missing = scene.workload.missing();
        return Err(scene
            .cluster
            .failed(ClusterProblem::Unsettled { object: title, missing })
            .into());
    }
    onlooker.say(&format!("{}: {title}: {}", scene.cluster.name, change.words));
    onlooker.say(&source.announcement(&scene)?);
    if asked.undo {
        onlooker.say(&format!("--undo: in the end it is set back to {}", change.undo.1));
    }
    if asked.dry_run {
        onlooker.say(&format!("--dry-run: nothing was changed; the patch: {}", change.patch));
        return Ok(None);
    }
    writable(&watched.out)?;
    if !asked.yes {
        let agreed = tokio::select! {
            biased;
            signal = signals.next() => return Err(WatchError::Interrupted(signal)),
            agreed = onlooker.ask("Change it?") => agreed,
        };
        match agreed {
            Ok(true) => {}
            Ok(false) => {
                onlooker.say("nothing was changed");
                return Ok(None);
            }
            Err(error) => {
                let problem = format!("there is nobody to ask ({error}): add it to change {title}");
                return Err(PlanError { option: "--yes", problem }.into());
            }
        }
    }
    let session = match &source {
        Source::Inside(plan) => Some(Arc::clone(&plan.session)),
        Source::Here(_) => None,
    };
    let mut making = Making { change, at: None, made: false };
    let done = looked(&watched, &scene, Some(source), Some(&mut making), called, signals, onlooker);
    let done = done.await;
    // The Job does not go with this process.
    if let Some(session) = session {
        tokio::select! {
            said = session.close() => said.iter().for_each(|said| onlooker.say(&said.to_string())),
            _ = signals.next() => onlooker.say(&session.left()),
        }
    }
    // Whatever the end was: the state that it is left in has a name.
    if !making.made {
        onlooker.say(&format!("{title} was not changed"));
    } else if asked.undo {
        let within = args.kubernetes.ready_within.unwrap_or(UNDONE_WITHIN);
        undo::set_back(&scene, &making.change, within, signals, onlooker).await;
    } else {
        onlooker.say(&format!(
            "{title} is left with the change ({}); `kubectl rollout undo deployment/{} -n {}` takes it back",
            making.change.words, scene.reference.name, scene.cluster.namespace,
        ));
    }
    done.map(Some)
}

/// A change that is to be made, once there is load.
struct Making {
    change: Change,
    at: Option<Instant>,
    made: bool,
}

/// Where requests come from.
enum Source {
    /// This process.
    Here(ProbePlan),
    /// A Job in the cluster.
    Inside(InsidePlan),
}

impl Source {
    fn announcement(&self, scene: &Scene) -> Result<String, KubernetesError> {
        match self {
            Self::Here(plan) => Ok(plan.announcement()),
            Self::Inside(plan) => plan.announcement(scene),
        }
    }

    async fn start(self, scene: &Scene, timeline: &Timeline) -> Result<Probe, WatchError> {
        Ok(match self {
            Self::Here(plan) => Probe::start(plan, timeline).await?,
            Self::Inside(plan) => Probe::inside(plan, scene, timeline).await?,
        })
    }
}

/// Looks on; with a change, makes it once there is load.
async fn looked(
    args: &WatchArgs,
    scene: &Scene,
    source: Option<Source>,
    mut making: Option<&mut Making>,
    called: Called<'_>,
    signals: &mut Signals,
    onlooker: &mut impl Onlooker,
) -> Result<Looked, WatchError> {
    let begun = (Instant::now(), SystemTime::now());
    let timeline = Timeline::new(begun.0);
    // Before the watch: nothing is missed in between.
    let mut events = timeline.subscribe();
    let watch = Watch::start(&scene.cluster, &scene.watched(), timeline.clone(), revision);
    let listed = tokio::select! {
        biased;
        signal = signals.next() => return Err(WatchError::Interrupted(signal)),
        listed = listed(scene, &watch) => listed?,
    };
    onlooker.say(&scene.announcement(&watch.view().borrow(), args));
    let probe = match source {
        Some(source) => {
            if making.is_none() {
                onlooker.say(&source.announcement(scene)?);
            }
            let probe = tokio::select! {
                biased;
                signal = signals.next() => return Err(WatchError::Interrupted(signal)),
                probe = source.start(scene, &timeline) => probe?,
            };
            if let Some(trouble) = &probe.trouble {
                onlooker.say(trouble);
            }
            Some(probe)
        }
        None => None,
    };
    if let Some(making) = &mut making {
        making.at = Some(Instant::now() + WARM_UP);
    }
    let mut looking = Looking {
        scene,
        args,
        course: Course::new(args.follow),
        clock: Clock::new(begun.1),
        told: Vec::new(),
        listed,
        timeline: timeline.clone(),
    };
    let looked = looking.look(&watch, &mut events, probe, making, signals, onlooker).await;
    let (ended, probe) = looked?;
    let sent = match probe {
        Some(probe) => {
            if probe.outstanding() {
                onlooker.say("waiting for the last answers; Ctrl-C ends the wait");
            }
            tokio::select! {
                biased;
                _ = signals.next() => None,
                sent = probe.stop(&timeline) => Some(sent?),
            }
        }
        None => None,
    };
    let view = watch.view().borrow().clone();
    timeline.end();
    let (course, timeline, known) = (&looking.course, &timeline, called.known);
    let seen = Seen { scene, args, view: &view, course, timeline, known };
    let outcome = seen.outcome(sent, listed, begun.1, called.command, &ended);
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
