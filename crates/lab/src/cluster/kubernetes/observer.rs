//! What a change of a pod or of its endpoint means: events of the timeline.
//!
//! Times are those at which a change arrived here. The API has none that would do: deletion is
//! written down as its deadline, and everything in whole seconds.

mod ending;
mod events;
mod known;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{Event, Pod},
    discovery::v1::EndpointSlice,
};

use self::{events::told, known::Known};
use super::{drained::Drained, served::Served};
use crate::timeline::{Conditions, Exit, Timeline, What};

/// Events that came before their pods: more than these are of pods that never come.
const EARLY: usize = 1_000;

/// The pods of one workload, as far as they were seen.
#[derive(Debug)]
pub struct Observer {
    served: Served,
    pods: BTreeMap<Arc<str>, Known>,
    /// What the slices say, by slice: a pod may move from one to another.
    slices: BTreeMap<String, BTreeMap<Arc<str>, Conditions>>,
    /// Pods and slices that a new listing has named so far; the others are gone.
    listed_pods: HashSet<Arc<str>>,
    listed_slices: HashSet<String>,
    /// Whether a listing was complete: pods that come later are new.
    begun: bool,
    /// Events by their UID, with how often each was told: a listing tells all of them again.
    heard: HashMap<String, i32>,
    events_begun: bool,
    early: Vec<(String, Duration, Event)>,
}

/// A pod at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Its name.
    pub name: Arc<str>,
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
    /// Sees what happens to the containers that serve.
    pub fn new(served: Served) -> Self {
        Self {
            served,
            pods: BTreeMap::new(),
            slices: BTreeMap::new(),
            listed_pods: HashSet::new(),
            listed_slices: HashSet::new(),
            begun: false,
            heard: HashMap::new(),
            events_begun: false,
            early: Vec::new(),
        }
    }

    /// A pod as it is now, and the version it runs.
    pub fn pod(
        &mut self,
        at: Duration,
        pod: &Arc<Pod>,
        version: impl Fn(&Pod) -> Arc<str>,
        timeline: &Timeline,
    ) {
        let Some(name) = pod.metadata.name.as_deref() else { return };
        let name: Arc<str> = name.into();
        self.listed_pods.insert(Arc::clone(&name));
        let Self { pods, served, begun, .. } = self;
        let known = pods.entry(Arc::clone(&name)).or_insert_with(|| {
            let mut known = Known { version: version(pod), ..Known::default() };
            if !*begun {
                known.met(pod, served);
            }
            let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), served.port_of(pod));
            timeline.created_at(&name, &known.version, nowhere, at);
            known
        });
        if known.address.is_none()
            && let Some(address) = served.address(pod)
        {
            known.address = Some(address);
            timeline.addressed(&name, address);
        }
        let new = known.learn(at, pod, served);
        let first = known.object.replace(Arc::clone(pod)).is_none();
        for what in new {
            timeline.record_at(&name, at, what);
        }
        if first {
            self.told_before(&name, timeline);
            self.endpoint_changed(at, &name, timeline);
        }
    }

    /// A pod's object is gone; as it was last.
    pub fn pod_gone(&mut self, at: Duration, pod: &Arc<Pod>, timeline: &Timeline) {
        let Some(name) = pod.metadata.name.as_deref() else { return };
        let Self { pods, served, .. } = self;
        let Some((name, known)) = pods.get_key_value(name) else { return };
        let (name, mut known) = (Arc::clone(name), known.clone());
        for what in known.learn(at, pod, served) {
            timeline.record_at(&name, at, what);
        }
        known.remove(&name, at, timeline);
        pods.insert(name, known);
    }

    /// An event of the cluster; again, where it was told before.
    pub fn event(&mut self, at: Duration, event: &Event, timeline: &Timeline) {
        let uid = event.metadata.uid.clone().unwrap_or_default();
        let series = event.series.as_ref().and_then(|series| series.count);
        let count = event.count.or(series).unwrap_or(1);
        let before = self.heard.insert(uid, count);
        // What happened before anybody looked is history.
        if !self.events_begun || before.is_some_and(|before| before >= count) {
            return;
        }
        let Some(name) = event.involved_object.name.as_deref() else { return };
        if self.pods.contains_key(name) {
            self.tell(at, &Arc::from(name), event, timeline);
        } else if self.early.len() < EARLY {
            self.early.push((name.to_owned(), at, event.clone()));
        }
    }

    /// The first listing of events is complete: what comes now is new.
    pub fn events_listed(&mut self) {
        self.events_begun = true;
    }

    fn told_before(&mut self, name: &Arc<str>, timeline: &Timeline) {
        let early = std::mem::take(&mut self.early);
        let (now, later) = early.into_iter().partition(|(pod, ..)| *pod == **name);
        self.early = later;
        let now: Vec<(String, Duration, Event)> = now;
        for (_, at, event) in now {
            self.tell(at, name, &event, timeline);
        }
    }

    fn tell(&mut self, at: Duration, name: &Arc<str>, event: &Event, timeline: &Timeline) {
        let Some(known) = self.pods.get_mut(name) else { return };
        let Some((told, container)) = told(event) else { return };
        let of_another_pod = known.object.as_ref().is_some_and(|pod| {
            event.involved_object.uid.is_some() && pod.metadata.uid != event.involved_object.uid
        });
        let serves = |container: &String| {
            let spec = known.object.as_ref().and_then(|pod| pod.spec.as_ref());
            spec.and_then(|spec| self.served.spec(spec)).is_none_or(|own| own.name == *container)
        };
        if known.removed || of_another_pod || !container.as_ref().is_none_or(serves) {
            return;
        }
        for what in known.hear(at, told, &self.served) {
            timeline.record_at(name, at, what);
        }
    }

    /// When the kubelet does the next thing that nobody will tell.
    pub fn next_due(&self) -> Option<Duration> {
        self.pods.values().filter_map(Known::next_due).min()
    }

    /// Records what the kubelet has done by now, as it does.
    pub fn pass(&mut self, now: Duration, timeline: &Timeline) {
        for (name, known) in &mut self.pods {
            for (at, what) in known.pass(now) {
                timeline.record_at(name, at, what);
            }
        }
    }

    /// A listing of all pods begins: those that it does not name are gone.
    pub fn pods_listing(&mut self) {
        self.listed_pods.clear();
    }

    /// The listing is complete.
    pub fn pods_listed(&mut self, at: Duration, timeline: &Timeline) {
        self.begun = true;
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
        let names: Vec<_> = self.pods.keys().cloned().collect();
        for name in names {
            self.endpoint_changed(at, &name, timeline);
        }
    }

    fn endpoint_changed(&mut self, at: Duration, name: &Arc<str>, timeline: &Timeline) {
        let Some(known) = self.pods.get_mut(name) else { return };
        let published = self.slices.values().find_map(|endpoints| endpoints.get(name)).copied();
        let now = match (published, known.endpoint) {
            (Some(now), _) => now,
            // Taken out altogether, which is the end of a published one.
            (None, Some(_)) => Conditions { serving: false, terminating: true },
            (None, None) => return,
        };
        if known.endpoint.replace(now) != Some(now) {
            timeline.record_at(name, at, What::EndpointChanged(now));
        }
    }

    /// The pods that exist.
    pub fn pods(&self) -> Vec<Glance> {
        let existing = self.pods.iter().filter(|(_, known)| !known.removed);
        existing
            .map(|(name, known)| Glance {
                name: Arc::clone(name),
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
