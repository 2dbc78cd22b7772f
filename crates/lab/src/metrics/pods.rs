//! What the history of a pod adds up to at the moment of a scrape.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use super::{
    discovery::{AdminAddress, TargetGroup},
    families::Families,
    state::State,
};
use crate::{
    timeline::{Exit, PodRecord, Timeline, What},
    versions::{FROM, TO},
};

/// Whether the pod's process has been started and has not ended.
fn has_process(pod: &PodRecord) -> bool {
    let last = pod.events.iter().rev().find_map(|event| match event.what {
        What::Started | What::Restarted(_) => Some(true),
        What::Exited(_) => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

/// The end of a process that was told to end.
struct Termination {
    since_sigterm: Duration,
    /// `None` where the pod stays: its container is restarted.
    since_deletion: Option<Duration>,
    exit: Exit,
}

/// The ends of a pod's processes that were told to end. On a cluster nobody sees a SIGTERM behind a
/// hook, and a server that is killed reports none: there it counts from the deletion.
fn terminations(pod: &PodRecord) -> impl Iterator<Item = Termination> {
    let (mut told, mut deleted) = (None, None);
    pod.events.iter().filter_map(move |event| match event.what {
        What::Deleted => {
            deleted = Some(event.at);
            told = told.or(deleted);
            None
        }
        What::Started | What::Restarted(_) => {
            told = None;
            None
        }
        What::Sigterm => {
            told = Some(event.at);
            None
        }
        What::Exited(exit) => told.take().map(|at| Termination {
            since_sigterm: event.at.saturating_sub(at),
            since_deletion: deleted.map(|at| event.at.saturating_sub(at)),
            exit,
        }),
        _ => None,
    })
}

/// An experiment that has pods.
pub(super) struct Live {
    timeline: Timeline,
    admin: AdminAddress,
    /// How many terminations of each pod have been counted.
    counted: HashMap<Arc<str>, usize>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("timeline", &self.timeline).finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(timeline: Timeline, admin: AdminAddress) -> Self {
        Self { timeline, admin, counted: HashMap::new() }
    }

    /// Sets the gauges of the pods, and counts the terminations since the last time.
    pub(super) fn read(&mut self, label: &str, families: &Families) {
        let counted = &mut self.counted;
        let mut pods = [[0; State::ALL.len()]; 2];
        self.timeline.read(|records| {
            for pod in records {
                let already = counted.entry(Arc::clone(&pod.name)).or_default();
                for ended in terminations(pod).skip(*already) {
                    let exit = ended.exit.status().to_string();
                    let histogram = families.termination.with_label_values(&[label, &exit]);
                    histogram.observe(ended.since_sigterm.as_secs_f64());
                    if let Some(took) = ended.since_deletion {
                        families.deletion.with_label_values(&[label]).observe(took.as_secs_f64());
                    }
                    *already += 1;
                }
                if let Some(state) = State::of(pod) {
                    pods[usize::from(&*pod.version == TO)][state as usize] += 1;
                }
            }
        });
        show(label, families, &pods);
    }

    /// Shows that there is no pod any more.
    pub(super) fn ended(label: &str, families: &Families) {
        show(label, families, &Default::default());
    }

    /// The pods whose processes live and have an admin listener.
    pub(super) fn targets(&self, run: &Arc<str>, label: &str) -> Vec<TargetGroup> {
        let living: Vec<_> = self.timeline.read(|records| {
            let living = records.iter().filter(|pod| has_process(pod));
            living.map(|pod| (Arc::clone(&pod.name), Arc::clone(&pod.version))).collect()
        });
        // Only now: a cluster records what happens to its pods while it holds them locked, and is
        // asked here for one of them.
        let targets = living.iter().filter_map(|(name, version)| {
            Some(TargetGroup::new((self.admin)(name)?, run, label, version, name))
        });
        targets.collect()
    }
}

fn show(label: &str, families: &Families, pods: &[[i64; State::ALL.len()]; 2]) {
    for (version, counts) in [FROM, TO].into_iter().zip(pods) {
        for (state, count) in State::ALL.into_iter().zip(counts) {
            families.pods.with_label_values(&[label, version, state.name()]).set(*count);
        }
    }
}
