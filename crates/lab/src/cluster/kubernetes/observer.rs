//! What a change of a pod or of its endpoint means: events of the timeline.
//!
//! Times are those at which a change arrived here. The API has none that would do: deletion is
//! written down as its deadline, and everything in whole seconds.

mod known;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};

pub(super) use self::known::containers;
use self::known::{Known, image};
use super::drained::Drained;
use crate::timeline::{Conditions, Exit, Timeline, What};

/// The pods of one Deployment, as far as they were seen.
#[derive(Debug, Default)]
pub struct Observer {
    pods: BTreeMap<Arc<str>, Known>,
    /// What the slices say, by slice: a pod may move from one to another.
    slices: BTreeMap<String, BTreeMap<Arc<str>, Conditions>>,
    /// Pods and slices that a new listing has named so far; the others are gone.
    listed_pods: HashSet<Arc<str>>,
    listed_slices: HashSet<String>,
}

/// A pod at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The version it runs.
    pub version: Arc<str>,
    /// Its Ready condition.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// A pod's own report of its end.
#[derive(Debug, Clone, PartialEq)]
pub struct PodEnd {
    /// The pod.
    pub pod: Arc<str>,
    /// When its deletion was seen.
    pub deleted: Option<Duration>,
    /// When its end was seen.
    pub exited: Duration,
    /// How it ended.
    pub exit: Exit,
    /// What it said.
    pub drained: Drained,
}

impl Observer {
    /// A pod as it is now. `version` says which version an image is.
    pub fn pod(
        &mut self,
        at: Duration,
        pod: &Pod,
        version: impl Fn(&str) -> Arc<str>,
        timeline: &Timeline,
    ) {
        let Some(name) = pod.metadata.name.as_deref() else { return };
        let name: Arc<str> = name.into();
        self.listed_pods.insert(Arc::clone(&name));
        let known = self.pods.entry(Arc::clone(&name)).or_insert_with(|| Known {
            since: at,
            version: version(&image(pod)),
            ..Known::default()
        });
        for what in known.learn(at, pod) {
            known.tell(&name, at, what, timeline);
        }
        known.begin(&name, pod, timeline);
    }

    /// A pod's object is gone; as it was last.
    pub fn pod_gone(&mut self, at: Duration, pod: &Pod, timeline: &Timeline) {
        let Some(name) = pod.metadata.name.as_deref() else { return };
        let Some((name, known)) = self.pods.get_key_value(name) else { return };
        let (name, mut known) = (Arc::clone(name), known.clone());
        for what in known.learn(at, pod) {
            known.tell(&name, at, what, timeline);
        }
        known.remove(&name, at, timeline);
        self.pods.insert(name, known);
    }

    /// A listing of all pods begins: those that it does not name are gone.
    pub fn pods_listing(&mut self) {
        self.listed_pods.clear();
    }

    /// The listing is complete.
    pub fn pods_listed(&mut self, at: Duration, timeline: &Timeline) {
        for (name, known) in &mut self.pods {
            if !self.listed_pods.contains(name) {
                known.remove(name, at, timeline);
            }
        }
    }

    /// A slice of the Service's endpoints as it is now.
    pub fn slice(&mut self, at: Duration, slice: &EndpointSlice, timeline: &Timeline) {
        let name = slice.metadata.name.clone().unwrap_or_default();
        self.listed_slices.insert(name.clone());
        let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            let target =
                endpoint.target_ref.as_ref().filter(|t| t.kind.as_deref() == Some("Pod"))?;
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let terminating = conditions.terminating.unwrap_or(false);
            // Absent means ready; `serving` is what `ready` would be if it were not terminating.
            let serving = conditions.serving.or(conditions.ready).unwrap_or(true);
            Some((target.name.as_deref()?.into(), Conditions { serving, terminating }))
        });
        self.slices.insert(name, endpoints.collect());
        self.endpoints_changed(at, timeline);
    }

    /// A slice is gone.
    pub fn slice_gone(&mut self, at: Duration, slice: &EndpointSlice, timeline: &Timeline) {
        if let Some(name) = &slice.metadata.name {
            self.slices.remove(name);
            self.endpoints_changed(at, timeline);
        }
    }

    /// A listing of all slices begins.
    pub fn slices_listing(&mut self) {
        self.listed_slices.clear();
    }

    /// The listing is complete.
    pub fn slices_listed(&mut self, at: Duration, timeline: &Timeline) {
        let listed = &self.listed_slices;
        self.slices.retain(|name, _| listed.contains(name));
        self.endpoints_changed(at, timeline);
    }

    fn endpoints_changed(&mut self, at: Duration, timeline: &Timeline) {
        for (name, known) in &mut self.pods {
            let published = self.slices.values().find_map(|endpoints| endpoints.get(name)).copied();
            let now = match (published, known.endpoint) {
                (Some(now), _) => now,
                // Taken out altogether, which is the end of a published one.
                (None, Some(_)) => Conditions { serving: false, terminating: true },
                (None, None) => continue,
            };
            if known.endpoint.replace(now) != Some(now) {
                known.tell(name, at, What::EndpointChanged(now), timeline);
            }
        }
    }

    /// The pods that exist.
    pub fn pods(&self) -> Vec<Glance> {
        let existing = self.pods.values().filter(|known| !known.removed);
        existing
            .map(|known| Glance {
                version: Arc::clone(&known.version),
                ready: known.ready,
                terminating: known.deleted.is_some(),
            })
            .collect()
    }

    /// Pods in the published endpoints that are ready there.
    pub fn published(&self) -> usize {
        let endpoints = self.slices.values().flatten();
        let ready = endpoints.filter(|(_, conditions)| conditions.ready());
        // A pod with two addresses is in two slices.
        ready.map(|(pod, _)| pod).collect::<HashSet<_>>().len()
    }

    /// What pods said of their ends.
    pub fn reports(&self) -> Vec<PodEnd> {
        let said = |(name, known): (&Arc<str>, &Known)| {
            Some(PodEnd {
                pod: Arc::clone(name),
                deleted: known.deleted,
                exited: known.exited?.0,
                exit: known.exited?.1,
                drained: known.drained.clone()?,
            })
        };
        self.pods.iter().filter_map(said).collect()
    }
}

#[cfg(test)]
mod tests;
