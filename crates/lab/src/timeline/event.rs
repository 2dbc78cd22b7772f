//! What can happen to a pod.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::seconds;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal of this number ended it.
    Signal(i32),
}

impl Exit {
    /// The status as a container runtime reports it: the code, or 128 + the signal.
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal} (status {})", 128 + signal),
        }
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(self.status())
    }
}

/// What can happen to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The ReplicaSet created it.
    Created,
    /// Its process was started.
    Started,
    /// Its process was started again, for the n-th time.
    Restarted(u32),
    /// Its Ready condition became True.
    Ready,
    /// Its Ready condition became False.
    NotReady,
    /// A probe failed: which, and why.
    ProbeFailed {
        /// `startup`, `readiness` or `liveness`.
        probe: &'static str,
        /// Why.
        reason: String,
    },
    /// Its deletion was written.
    Deleted,
    /// The kubelet called the preStop hook (or began its sleep).
    HookCalled,
    /// The preStop hook came back.
    HookReturned,
    /// The preStop hook failed or was abandoned; termination goes on.
    HookFailed(String),
    /// SIGTERM was sent to the process.
    Sigterm,
    /// SIGKILL was sent to every process of the pod.
    Sigkill,
    /// The kernel ended a process of the pod, which had no memory left.
    OomKilled,
    /// The process ended.
    Exited(Exit),
    /// The process was told to hand over to a successor.
    HandoffAsked,
    /// A successor serves in place of the process.
    HandedOver,
    /// A process that has handed over has ended; its successor serves.
    PredecessorExited(Exit),
    /// Somebody in the cluster warns of something that has no event of its own here.
    Warning {
        /// The cluster's word for it, such as `FailedMount`.
        reason: String,
        /// Its sentence.
        message: String,
    },
    /// The published endpoint changed.
    EndpointChanged(Conditions),
    /// A consumer's own view of the pod changed.
    ProxyChanged {
        /// The consumer's name.
        consumer: Arc<str>,
        /// Whether it now sends new connections to the pod.
        routed: bool,
    },
    /// The pod's network is gone: from here on packets to it vanish.
    SandboxGone,
    /// The pod object is gone; its termination is over.
    Removed,
}

/// The conditions of a published endpoint (facts 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Conditions {
    /// The pod is Ready.
    pub serving: bool,
    /// The pod is being deleted.
    pub terminating: bool,
}

impl Conditions {
    /// Whether proxies use it first: serving and not terminating.
    pub fn ready(self) -> bool {
        self.serving && !self.terminating
    }
}

impl What {
    /// The event's name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Restarted(_) => "restarted",
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::ProbeFailed { .. } => "probe_failed",
            Self::Deleted => "deleted",
            Self::HookCalled => "hook_called",
            Self::HookReturned => "hook_returned",
            Self::HookFailed(_) => "hook_failed",
            Self::Sigterm => "sigterm",
            Self::Sigkill => "sigkill",
            Self::Exited(_) => "exited",
            Self::HandoffAsked => "handoff_asked",
            Self::HandedOver => "handed_over",
            Self::PredecessorExited(_) => "predecessor_exited",
            Self::EndpointChanged(conditions) if conditions.ready() => "endpoint_ready_true",
            Self::EndpointChanged(_) => "endpoint_ready_false",
            Self::ProxyChanged { .. } => "proxy_changed",
            Self::OomKilled => "oom_killed",
            Self::Warning { .. } => "warning",
            Self::SandboxGone => "sandbox_gone",
            Self::Removed => "removed",
        }
    }

    /// What the name does not say.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Restarted(times) => Some(format!("restart {times}")),
            Self::ProbeFailed { probe, reason } => Some(format!("{probe}: {reason}")),
            Self::HookFailed(reason) => Some(reason.clone()),
            Self::Warning { reason, message } => Some(format!("{reason}: {message}")),
            Self::Exited(exit) | Self::PredecessorExited(exit) => Some(exit.to_string()),
            Self::EndpointChanged(c) => {
                Some(format!("serving={} terminating={}", c.serving, c.terminating))
            }
            Self::ProxyChanged { consumer, routed: true } => Some(format!("{consumer}: routed")),
            Self::ProxyChanged { consumer, routed: false } => {
                Some(format!("{consumer}: not routed"))
            }
            _ => None,
        }
    }
}

/// One thing that happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, from the start of the run.
    pub at: Duration,
    /// What.
    pub what: What,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let detail = self.what.detail();
        let mut event = serializer.serialize_struct("Event", 2 + usize::from(detail.is_some()))?;
        event.serialize_field("at", &seconds(self.at))?;
        event.serialize_field("what", self.what.name())?;
        if let Some(detail) = &detail {
            event.serialize_field("detail", detail)?;
        }
        event.end()
    }
}
