//! What is known of one pod, and what is new in what is heard of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;

use super::{
    super::{drained::Drained, served::Served},
    ending::after_killing,
    events::Told,
};
use crate::timeline::{Conditions, Exit, Timeline, What};

/// Kubernetes' own default, should a pod not say.
const GRACE: Duration = Duration::from_secs(30);

/// What the container's process is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Process {
    /// It was never started.
    #[default]
    New,
    Runs,
    Ended,
}

/// What is known of a pod.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) version: Arc<str>,
    /// Where it listens, once that is known.
    pub(super) address: Option<SocketAddr>,
    /// Its object, as it was seen last.
    pub(super) object: Option<Arc<Pod>>,
    pub(super) process: Process,
    pub(super) restarts: i32,
    pub(super) ready: bool,
    pub(super) deleted: Option<Duration>,
    pub(super) endpoint: Option<Conditions>,
    /// When its end was seen, and its own report of it.
    pub(super) exited: Option<(Duration, Exit)>,
    pub(super) drained: Option<Drained>,
    pub(super) removed: bool,
    /// What the kubelet is going to do to its container and when, once it has begun to end it.
    pub(super) due: Option<Vec<(Duration, What)>>,
}

impl Known {
    /// Takes what happened before anybody looked for granted.
    pub(super) fn met(&mut self, pod: &Pod, served: &Served) {
        self.restarts = served.status(pod).map_or(0, |container| container.restart_count);
    }

    /// What is new, in the order in which it must have happened.
    pub(super) fn learn(&mut self, at: Duration, pod: &Pod, served: &Served) -> Vec<What> {
        let mut new = Vec::new();
        let status = pod.status.as_ref();
        let container = served.status(pod);
        let first = self.process == Process::New;
        let restarted = container.map_or(0, |c| c.restart_count);
        let running = container.and_then(|c| c.state.as_ref()?.running.as_ref()).is_some();
        let terminated = container.and_then(|c| c.state.as_ref()?.terminated.as_ref());
        if first && (running || terminated.is_some() || restarted > 0) {
            new.push(What::Started);
            self.process = Process::Runs;
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
            if let (Process::Runs, Some(last)) = (self.process, last) {
                new.extend(ended(last.exit_code, last.reason.as_deref()));
            }
            self.process = Process::Ended;
            // Another process is to come, which nobody has asked to end.
            self.due = None;
        }
        if running && self.process != Process::Runs {
            new.push(What::Restarted(restarted.cast_unsigned()));
            self.process = Process::Runs;
        }
        self.restarts = self.restarts.max(restarted);
        if let (Process::Runs, Some(terminated)) = (self.process, terminated) {
            self.process = Process::Ended;
            self.over();
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

    /// Learns what was told of it; events are the cluster's, and come in no order with its changes.
    pub(super) fn hear(&mut self, at: Duration, told: Told, served: &Served) -> Vec<What> {
        match told {
            Told::Killing if self.due.is_some() || self.exited.is_some() => Vec::new(),
            Told::Killing => {
                let spec = self.object.as_ref().and_then(|pod| pod.spec.as_ref());
                let hook = spec.and_then(|spec| served.hook(spec));
                let due = after_killing(hook, self.grace());
                let due = due.into_iter().map(|(after, what)| (at + after, what));
                self.due = Some(due.collect());
                self.pass(at).into_iter().map(|(_, what)| what).collect()
            }
            // SIGTERM follows at once.
            Told::HookFailed(why) => {
                self.over();
                vec![What::HookFailed(why), What::Sigterm]
            }
            Told::Unhealthy(probe, reason) => vec![What::ProbeFailed { probe, reason }],
            Told::Warning(reason, message) => vec![What::Warning { reason, message }],
        }
    }

    /// When the kubelet does the next thing to it.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.iter().flatten().next().map(|(at, _)| *at)
    }

    /// What the kubelet has done to it by now.
    pub(super) fn pass(&mut self, now: Duration) -> Vec<(Duration, What)> {
        let Some(due) = &mut self.due else { return Vec::new() };
        let later = due.partition_point(|(at, _)| *at <= now);
        due.drain(..later).collect()
    }

    /// The kubelet does no more to its container.
    fn over(&mut self) {
        if let Some(due) = &mut self.due {
            due.clear();
        }
    }

    /// The time it has to end.
    fn grace(&self) -> Duration {
        let pod = self.object.as_ref();
        // What whoever deleted it wanted comes before what it says itself.
        let seconds = pod.and_then(|pod| {
            let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
            pod.metadata.deletion_grace_period_seconds.or(own)
        });
        seconds.map_or(GRACE, |seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    pub(super) fn remove(&mut self, name: &Arc<str>, at: Duration, timeline: &Timeline) {
        if !std::mem::replace(&mut self.removed, true) {
            // Gone without a word, while nobody looked: what must have been before it is not known.
            self.ready = false;
            self.over();
            timeline.record_at(name, at, What::Removed);
        }
    }
}

/// How a container ended.
fn ended(code: i32, reason: Option<&str>) -> Vec<What> {
    // By signal 9 the kubelet ends what outlives its grace; the kernel does so without memory.
    match (code, reason) {
        (_, Some("OOMKilled")) => vec![What::OomKilled, What::Exited(exit_of(code))],
        (137, _) => vec![What::Sigkill, What::Exited(exit_of(code))],
        (code, _) => vec![What::Exited(exit_of(code))],
    }
}

/// Only of SIGKILL is it sure that no program chose the code.
fn exit_of(code: i32) -> Exit {
    if code == 137 { Exit::Signal(9) } else { Exit::Code(code) }
}
