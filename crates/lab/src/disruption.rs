//! What happens to the pods while requests come: a rolling update, and every other way in which
//! pods go.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An event that takes pods away, or their containers.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    ValueEnum,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Disruption {
    /// A rolling update from the first version to the second
    #[default]
    Update,
    /// `kubectl rollout restart`: a rolling update to the same version
    Restart,
    /// A rolling update that is undone when half of its new pods are ready
    Rollback,
    /// The strategy Recreate: all old pods go, then the new ones come
    Recreate,
    /// Half of the replicas are enough from now on
    ScaleIn,
    /// No replicas, and all of them again once none is left that is not terminating
    ScaleToZeroAndBack,
    /// All pods are deleted at once; so does `kubectl drain` without a budget
    DeleteAll,
    /// Every pod is evicted, as soon as a budget of maxUnavailable 1 allows it
    Evict,
    /// `kubectl drain` with the same budget: what is refused is tried again after 5 s
    NodeDrain,
    /// A node with half of the pods shuts down, and its kubelet ends them first
    NodeShutdown,
    /// Each container in turn is killed for its liveness probe; its pod stays
    Liveness,
    /// Each process in turn ends by SIGKILL, as for want of memory; its pod stays
    Crash,
    /// Each server in turn starts its successor and hands its sockets over (SIGUSR2), as without Kubernetes
    Handoff,
}

impl Disruption {
    /// Every event, the gentlest first.
    pub const ALL: [Self; 13] = [
        Self::Update,
        Self::Restart,
        Self::Rollback,
        Self::Recreate,
        Self::ScaleIn,
        Self::ScaleToZeroAndBack,
        Self::DeleteAll,
        Self::Evict,
        Self::NodeDrain,
        Self::NodeShutdown,
        Self::Liveness,
        Self::Crash,
        Self::Handoff,
    ];

    /// Its name, as `--event` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Restart => "restart",
            Self::Rollback => "rollback",
            Self::Recreate => "recreate",
            Self::ScaleIn => "scale-in",
            Self::ScaleToZeroAndBack => "scale-to-zero-and-back",
            Self::DeleteAll => "delete-all",
            Self::Evict => "evict",
            Self::NodeDrain => "node-drain",
            Self::NodeShutdown => "node-shutdown",
            Self::Liveness => "liveness",
            Self::Crash => "crash",
            Self::Handoff => "handoff",
        }
    }

    /// What is true once it is over.
    pub const fn when_over(self) -> &'static str {
        match self {
            Self::Update | Self::Restart | Self::Recreate => "every old pod was gone",
            Self::Rollback => "every pod of the update was gone",
            Self::ScaleIn => "every pod that was too many was gone",
            Self::ScaleToZeroAndBack | Self::DeleteAll | Self::Evict | Self::NodeDrain => {
                "every pod was replaced"
            }
            Self::NodeShutdown => "every pod of the node was replaced",
            Self::Liveness | Self::Crash => "every container was restarted",
            Self::Handoff => "every server was succeeded",
        }
    }

    /// Why nobody outside of a cluster's pods and nodes can bring it about, if so.
    pub const fn only_inside(self) -> Option<&'static str> {
        match self {
            Self::Liveness => Some("a probe fails where its server does not answer"),
            Self::Crash => Some("a process can be killed on its node"),
            Self::Handoff => Some(
                "a process is told by a signal where it runs, and process 1 of a container hands nothing over",
            ),
            Self::NodeShutdown => Some("a node shuts down for its machine's owner"),
            _ => None,
        }
    }

    /// Whether it is an update from one version to another that goes through.
    pub fn is_update(&self) -> bool {
        *self == Self::Update
    }
}

impl fmt::Display for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_the_report_and_the_table_call_it_the_same() {
        assert_eq!(Disruption::value_variants(), Disruption::ALL);
        for event in Disruption::ALL {
            assert_eq!(Disruption::from_str(event.name(), false), Ok(event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.name());
        }
    }
}
