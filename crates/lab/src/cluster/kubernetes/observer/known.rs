//! What is known of one pod, and what is new in what is heard of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::super::{drained::Drained, manifests::CONTAINER};
use crate::timeline::{Conditions, Exit, Timeline, What};

/// What is known of a pod.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) version: Arc<str>,
    /// Where it listens; its history in the timeline begins when that is known.
    pub(super) address: Option<SocketAddr>,
    /// When it was first seen.
    pub(super) since: Duration,
    /// The events that came before its address did.
    pub(super) early: Vec<(Duration, What)>,
    pub(super) running: bool,
    pub(super) restarts: i32,
    pub(super) ready: bool,
    pub(super) deleted: Option<Duration>,
    pub(super) endpoint: Option<Conditions>,
    /// When its end was seen, and its own report of it.
    pub(super) exited: Option<(Duration, Exit)>,
    pub(super) drained: Option<Drained>,
    pub(super) removed: bool,
}

impl Known {
    /// What is new, in the order in which it must have happened.
    pub(super) fn learn(&mut self, at: Duration, pod: &Pod) -> Vec<What> {
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
    pub(super) fn begin(&mut self, name: &Arc<str>, pod: &Pod, timeline: &Timeline) {
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

    pub(super) fn tell(&mut self, name: &Arc<str>, at: Duration, what: What, timeline: &Timeline) {
        if self.address.is_some() {
            timeline.record_at(name, at, what);
        } else {
            self.early.push((at, what));
        }
    }

    pub(super) fn remove(&mut self, name: &Arc<str>, at: Duration, timeline: &Timeline) {
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

pub(super) fn image(pod: &Pod) -> String {
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
pub(in super::super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}
