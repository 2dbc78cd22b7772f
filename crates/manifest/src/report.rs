//! What the check says: what it found, and what it looked at, so that "nothing found" means
//! something.

use std::{collections::BTreeMap, mem, time::Duration};

use super::{
    checks,
    finding::{Finding, Findings},
    front::Front,
    hook::Hook,
    ignore::Ignore,
    index::Index,
    known::Knows,
    objects::{Objects, Rollout},
    problem::{Problem, Unusable},
    read::{self, Source},
    rule::Severity,
    server::Told,
    subject::{Subject, Unit},
    traffic::Traffic,
};

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// What was found: by file and object, the worst first.
    pub findings: Vec<Finding>,
    /// What was found and is ignored, in the same order.
    pub ignored: Vec<Ignored>,
    /// The workloads that were looked at, in the order of the input.
    pub checked: Vec<Checked>,
    /// Documents that could not be read; the rest was checked without them.
    pub problems: Vec<Problem>,
    /// How many objects of other kinds there were.
    pub skipped: BTreeMap<String, usize>,
}

/// A finding that somebody lives with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The finding.
    pub finding: Finding,
    /// Why.
    pub reason: String,
    /// Whether its object says so itself.
    pub in_source: bool,
}

/// A workload that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The file, as it was given.
    pub file: String,
    /// The line on which it begins.
    pub line: usize,
    /// Its kind.
    pub kind: String,
    /// Its namespace, if it says.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The least number of its pods that is sure.
    pub replicas: Option<u32>,
    /// How it replaces them.
    pub replacing: Replacing,
    /// What sends requests to its pods, who goes on longest after a deletion first.
    pub in_front: Vec<Front>,
    /// How long its pods go on accepting after they are deleted; `None` where that is not known, or where
    /// no requests come.
    pub goes_on: Option<Duration>,
    /// How long they should, by what is in front; `None` where no requests come.
    pub right_sleep: Option<Duration>,
    /// Its containers that run as long as the pod.
    pub containers: Vec<Ending>,
}

/// How a workload replaces its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacing {
    /// One after the other, within these bounds.
    Rolling {
        /// The fewest that are available.
        fewest: u32,
        /// The most that exist, besides those that are leaving.
        most: u32,
    },
    /// All at once.
    Recreate,
    /// By a second set of pods, to which traffic is switched.
    Switched {
        /// How long after that the first set stays.
        after: Duration,
    },
    /// Not at all.
    Never,
    /// In a way that is not checked.
    Unchecked,
}

/// How a container ends, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The container.
    pub container: String,
    /// Whether requests come to it; `None` where nothing shows it.
    pub serves: Option<bool>,
    /// What the hook does, in words.
    pub hook: String,
    /// How long the hook holds SIGTERM back.
    pub hook_takes: Option<Duration>,
    /// How long the server goes on accepting after that: at least and at most.
    pub delay: Option<(Duration, Duration)>,
    /// How long it may take to finish what is in flight.
    pub drain: Option<Duration>,
    /// When SIGKILL comes, from the pod's deletion on.
    pub grace: Duration,
}

impl CheckReport {
    /// How many findings are this bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity() == severity).count()
    }

    /// Ignores every finding of a rule.
    pub fn ignore(&mut self, ignore: &Ignore) {
        let (ignored, findings) = mem::take(&mut self.findings)
            .into_iter()
            .partition(|finding| finding.rule == ignore.rule);
        self.findings = findings;
        let ignored: Vec<Finding> = ignored;
        self.ignored.extend(ignored.into_iter().map(|finding| Ignored {
            finding,
            reason: ignore.reason.clone(),
            in_source: false,
        }));
    }

    /// Whether requests come to any of the workloads, as far as can be seen.
    pub fn serves(&self) -> bool {
        let containers = self.checked.iter().flat_map(|checked| &checked.containers);
        containers.into_iter().any(|ending| ending.serves == Some(true))
    }
}

/// Checks everything that is in these files; `known` knows servers by their containers, and `told`
/// is what is said of all the others.
///
/// # Errors
/// Input that holds nothing to check, be it that it cannot be read. Where some of it can, the report
/// names the rest.
pub fn check(sources: &[Source], told: Told, known: &dyn Knows) -> Result<CheckReport, Unusable> {
    let objects = read::read(sources)?;
    let index = Index::new(&objects);
    let subjects: Vec<_> = objects
        .workloads
        .iter()
        .filter_map(|workload| Subject::of(workload, &objects, &index, told, known))
        .collect();
    let mut found = Findings::default();
    checks::check(&objects, &index, &subjects, &mut found);
    let checked = subjects.iter().map(checked).collect();
    let Objects { problems, skipped, .. } = objects;
    let (findings, ignored) = found.sorted();
    Ok(CheckReport { findings, ignored, checked, problems, skipped })
}

fn checked(subject: &Subject<'_>) -> Checked {
    let origin = &subject.workload.origin;
    let replacing = match (subject.workload.rollout, subject.bounds()) {
        (_, Some(bounds)) => {
            Replacing::Rolling { fewest: bounds.min_available(), most: bounds.max_total() }
        }
        (Rollout::Recreate, None) => Replacing::Recreate,
        (Rollout::Switched { delay, .. }, None) => {
            Replacing::Switched { after: Duration::from_secs(delay.into()) }
        }
        (Rollout::Never, None) => Replacing::Never,
        (Rollout::Rolling { .. } | Rollout::InPlace { .. } | Rollout::Other, None) => {
            Replacing::Unchecked
        }
    };
    Checked {
        file: origin.file.to_string(),
        line: origin.node.line,
        kind: origin.kind.clone(),
        namespace: origin.namespace.clone(),
        name: origin.name.clone(),
        replicas: (origin.kind != "DaemonSet").then(|| subject.replicas()),
        replacing,
        in_front: subject.fronts.clone(),
        goes_on: goes_on(subject),
        right_sleep: subject.serves().then(|| subject.right_sleep()),
        containers: subject.units.iter().map(|unit| ending(subject, unit)).collect(),
    }
}

/// The shortest of its containers that requests come to.
fn goes_on(subject: &Subject<'_>) -> Option<Duration> {
    let serving = subject.units.iter().filter(|unit| unit.serving);
    let known = serving.map(|unit| {
        let hook = unit.hook_takes()?;
        // Without a hook that would hold it back, what it does at SIGTERM has to be known.
        let delay = unit.server.shortest_delay();
        if hook.is_zero() { delay } else { Some(hook + delay.unwrap_or_default()) }
    });
    known.min().flatten()
}

fn ending(subject: &Subject<'_>, unit: &Unit<'_>) -> Ending {
    let shown = humantime::format_duration;
    let hook = match &unit.hook {
        Hook::None => "no hook".to_owned(),
        Hook::Sleep(duration) => format!("hook sleeps {}", shown(*duration)),
        Hook::Exec { command, sleeps } => {
            let program = command.first().map_or("nothing", String::as_str);
            match sleeps {
                Some(duration) => format!("hook sleeps {} by {program}", shown(*duration)),
                None => format!("hook runs {program}"),
            }
        }
        Hook::Http { path, .. } => format!("hook calls {path}"),
        Hook::Tcp => "hook cannot work".to_owned(),
    };
    Ending {
        container: unit.container.name.clone(),
        serves: (subject.traffic != Traffic::Unknown).then_some(unit.serving),
        hook,
        hook_takes: unit.hook_takes(),
        delay: unit.server.shortest_delay().zip(unit.server.longest_delay()),
        drain: unit.server.drain().or(unit.server.own_drain().map(|own| own.drain)),
        grace: subject.grace,
    }
}
