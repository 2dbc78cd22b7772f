//! What a change of a pod or of its endpoint means: events of the timeline.
//!
//! Times are those at which a change arrived here. The API has none that would do: deletion is
//! written down as its deadline, and everything in whole seconds.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{ContainerStatus, Pod},
    discovery::v1::EndpointSlice,
};

use super::{drained::Drained, manifests::CONTAINER};
use crate::rollout::timeline::{Conditions, Exit, Timeline, What};

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

/// What is known of a pod.
#[derive(Debug, Clone, Default)]
struct Known {
    version: Arc<str>,
    /// Where it listens; its history in the timeline begins when that is known.
    address: Option<SocketAddr>,
    /// When it was first seen.
    since: Duration,
    /// The events that came before its address did.
    early: Vec<(Duration, What)>,
    running: bool,
    restarts: i32,
    ready: bool,
    deleted: Option<Duration>,
    endpoint: Option<Conditions>,
    /// When its end was seen, and its own report of it.
    exited: Option<(Duration, Exit)>,
    drained: Option<Drained>,
    removed: bool,
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
pub struct Report {
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
    pub fn reports(&self) -> Vec<Report> {
        let said = |(name, known): (&Arc<str>, &Known)| {
            Some(Report {
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

impl Known {
    /// What is new, in the order in which it must have happened.
    fn learn(&mut self, at: Duration, pod: &Pod) -> Vec<What> {
        let mut new = Vec::new();
        let status = pod.status.as_ref();
        let container = container(pod);
        let first = !self.running && self.restarts == 0 && self.exited.is_none();
        let restarted = container.map_or(0, |c| c.restart_count);
        let running = container.and_then(|c| c.state.as_ref()?.running.as_ref()).is_some();
        let terminated = container.and_then(|c| c.state.as_ref()?.terminated.as_ref());
        if first && (running || terminated.is_some() || restarted > 0) {
            new.push(What::Started);
            self.running = true;
        }
        let ready = status.is_some_and(|status| {
            let conditions = status.conditions.iter().flatten();
            conditions.filter(|c| c.type_ == "Ready").any(|c| c.status == "True")
        });
        if ready && !self.ready {
            new.push(What::Ready);
        }
        if pod.metadata.deletion_timestamp.is_some() && self.deleted.is_none() {
            self.deleted = Some(at);
            new.push(What::Deleted);
        }
        if restarted > self.restarts {
            let last = container.and_then(|c| c.last_state.as_ref()?.terminated.as_ref());
            if let (true, Some(last)) = (self.running, last) {
                new.extend(ended(last.exit_code, last.reason.as_deref()));
            }
            self.running = false;
        }
        if running && !self.running {
            new.push(What::Restarted(restarted.cast_unsigned()));
            self.running = true;
        }
        self.restarts = self.restarts.max(restarted);
        if let (true, Some(terminated)) = (self.running, terminated) {
            self.running = false;
            self.exited = Some((at, exit_of(terminated.exit_code)));
            self.drained = terminated.message.as_deref().and_then(Drained::read);
            new.extend(ended(terminated.exit_code, terminated.reason.as_deref()));
        }
        if self.ready && !ready {
            new.push(What::NotReady);
        }
        self.ready = ready;
        new
    }

    /// Begins the pod's history once its address is known, with what is known from before.
    fn begin(&mut self, name: &Arc<str>, pod: &Pod, timeline: &Timeline) {
        if self.address.is_some() {
            return;
        }
        let Some(address) = address(pod) else { return };
        self.address = Some(address);
        let created = self.early.first().map_or(self.since, |(at, _)| self.since.min(*at));
        timeline.created_at(name, &self.version, address, created);
        for (at, what) in std::mem::take(&mut self.early) {
            timeline.record_at(name, at, what);
        }
    }

    fn tell(&mut self, name: &Arc<str>, at: Duration, what: What, timeline: &Timeline) {
        if self.address.is_some() {
            timeline.record_at(name, at, what);
        } else {
            self.early.push((at, what));
        }
    }

    fn remove(&mut self, name: &Arc<str>, at: Duration, timeline: &Timeline) {
        if !std::mem::replace(&mut self.removed, true) {
            // Gone without a word, while nobody looked: what must have been before it is not known.
            self.ready = false;
            self.tell(name, at, What::Removed, timeline);
        }
    }
}

/// How a container ended.
fn ended(code: i32, reason: Option<&str>) -> Vec<What> {
    // By signal 9 the kubelet ends what outlives its grace; the kernel does so without memory.
    match (code, reason) {
        (137, Some("OOMKilled")) => vec![What::Exited(exit_of(code))],
        (137, _) => vec![What::Sigkill, What::Exited(exit_of(code))],
        (code, _) => vec![What::Exited(exit_of(code))],
    }
}

/// Only of SIGKILL is it sure that no program chose the code.
fn exit_of(code: i32) -> Exit {
    if code == 137 { Exit::Signal(9) } else { Exit::Code(code) }
}

fn image(pod: &Pod) -> String {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let own = containers.into_iter().find(|container| container.name == CONTAINER);
    own.and_then(|container| container.image.clone()).unwrap_or_default()
}

fn address(pod: &Pod) -> Option<SocketAddr> {
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let ports =
        pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|c| c.ports.iter().flatten());
    let port = ports.into_iter().find(|port| port.name.as_deref() == Some("http"));
    Some(SocketAddr::new(ip, port.map_or(5_000, |port| port.container_port as u16)))
}

/// The server's container; others may have put theirs beside it.
fn container(pod: &Pod) -> Option<&ContainerStatus> {
    containers(pod).find(|container| container.name == CONTAINER)
}

/// A container's status, for whoever looks for trouble.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

#[cfg(test)]
mod tests;
