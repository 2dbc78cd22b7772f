//! A pod's history, and its state at any moment of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{Event, Exit, What, seconds};

/// A pod's whole history.
#[derive(Debug, Clone, PartialEq)]
pub struct PodRecord {
    /// Its name.
    pub name: Arc<str>,
    /// The version it runs.
    pub version: Arc<str>,
    /// Where its application listens; unspecified as long as it has no address.
    pub address: SocketAddr,
    /// Everything that happened to it, in order.
    pub events: Vec<Event>,
}

impl PodRecord {
    /// When this first happened.
    pub fn first(&self, matches: impl Fn(&What) -> bool) -> Option<Duration> {
        self.events.iter().find(|event| matches(&event.what)).map(|event| event.at)
    }

    /// How its process ended, the last time it did.
    pub fn exit(&self) -> Option<Exit> {
        self.events.iter().rev().find_map(|event| match event.what {
            What::Exited(exit) => Some(exit),
            _ => None,
        })
    }

    /// From its deletion to the end of the pod object.
    pub fn termination(&self) -> Option<Duration> {
        let deleted = self.first(|what| *what == What::Deleted)?;
        let removed = self.first(|what| *what == What::Removed)?;
        Some(removed.saturating_sub(deleted))
    }

    /// Whether SIGKILL had to end it.
    pub fn killed(&self) -> bool {
        self.first(|what| *what == What::Sigkill).is_some()
    }

    /// Its state at a moment; `None` before it was created.
    pub fn state_at(&self, at: Duration) -> Option<PodState> {
        let mut state: Option<PodState> = None;
        for event in self.events.iter().take_while(|event| event.at <= at) {
            let state = state.get_or_insert_with(|| PodState {
                pod: Arc::clone(&self.name),
                version: Arc::clone(&self.version),
                phase: PodPhase::Starting,
                ready: false,
                deleted: None,
                hook: None,
                sigterm: None,
                sigkill: None,
                restarted: None,
            });
            state.apply(event);
        }
        state
    }

    /// Whether this consumer sent new connections to it at a moment.
    pub fn routed_by(&self, consumer: &str, at: Duration) -> bool {
        let mut known = self.events.iter().rev().filter(|event| event.at <= at);
        let latest = known.find_map(|event| match &event.what {
            What::ProxyChanged { consumer: name, routed } if **name == *consumer => Some(*routed),
            _ => None,
        });
        latest.unwrap_or(false)
    }
}

impl Serialize for PodRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pod = serializer.serialize_struct("Pod", 6)?;
        pod.serialize_field("name", &*self.name)?;
        pod.serialize_field("version", &*self.version)?;
        let address = Some(self.address).filter(|address| !address.ip().is_unspecified());
        pod.serialize_field("address", &address)?;
        pod.serialize_field("events", &self.events)?;
        pod.serialize_field("exit", &self.exit())?;
        pod.serialize_field("termination_seconds", &self.termination().map(seconds))?;
        pod.end()
    }
}

/// What a pod's process was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodPhase {
    /// Created, its process not yet started (or waiting for its restart).
    Starting,
    /// The process runs and nobody asked it to stop.
    Running,
    /// It was asked to end, and its process still runs.
    Terminating {
        /// When its pod was deleted, or its container's end began.
        since: Duration,
    },
    /// The process has ended; its network still answers with RST.
    Dead {
        /// When it ended.
        since: Duration,
        /// How.
        exit: Exit,
    },
    /// Packets to it vanish.
    SandboxGone {
        /// Since when.
        since: Duration,
    },
}

/// A pod at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// Its name.
    pub pod: Arc<str>,
    /// The version it runs.
    pub version: Arc<str>,
    /// What its process was doing.
    pub phase: PodPhase,
    /// Its Ready condition.
    pub ready: bool,
    /// When it had been deleted.
    pub deleted: Option<Duration>,
    /// When its preStop hook had been called.
    pub hook: Option<Duration>,
    /// When it had been sent SIGTERM.
    pub sigterm: Option<Duration>,
    /// When it had been sent SIGKILL.
    pub sigkill: Option<Duration>,
    /// Where its container was restarted: whether the one before had been told to end.
    pub restarted: Option<bool>,
}

impl PodState {
    /// Whether anybody had asked its process to end: its pod is deleted, or its container is killed
    /// for a probe.
    pub fn leaving(&self) -> bool {
        self.deleted.is_some() || self.hook.is_some() || self.sigterm.is_some()
    }

    fn asked(&mut self, at: Duration) {
        if matches!(self.phase, PodPhase::Running) {
            self.phase = PodPhase::Terminating { since: at };
        }
    }

    fn apply(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            What::Started | What::Restarted(_) => {
                if matches!(event.what, What::Restarted(_)) {
                    self.restarted = Some(self.leaving());
                }
                self.phase = match self.deleted {
                    Some(since) => PodPhase::Terminating { since },
                    None => PodPhase::Running,
                };
                (self.hook, self.sigterm, self.sigkill) = (None, None, None);
            }
            What::Ready => self.ready = true,
            What::NotReady => self.ready = false,
            What::Deleted => {
                self.deleted = Some(at);
                self.asked(at);
            }
            What::HookCalled => {
                self.hook = Some(at);
                self.asked(at);
            }
            What::Sigterm => {
                self.sigterm = Some(at);
                self.asked(at);
            }
            What::Sigkill => self.sigkill = Some(at),
            What::Exited(exit) => self.phase = PodPhase::Dead { since: at, exit: *exit },
            What::SandboxGone => self.phase = PodPhase::SandboxGone { since: at },
            _ => {}
        }
    }
}
