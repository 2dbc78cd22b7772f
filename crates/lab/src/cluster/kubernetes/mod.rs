//! A rolling update on a real cluster: what `websample rollout --target kubernetes` runs on.
//!
//! ```text
//! connect ─► access ─► apply ─► watch ─► observer ─► timeline
//!                        │         └───► trouble ─► error
//!                        └► load (a Job) ─► log ─► attempts
//! ```
//!
//! | file | its subject |
//! |---|---|
//! | `args` | the options, and what they come to |
//! | `connect`, `access` | a cluster that answers, and what may be done there |
//! | `manifests` | the objects of one mode, made from `deploy/kubernetes/base` |
//! | `session` | applying and removing them, and nothing else |
//! | `reference`, `workload`, `served` | what is rolled out, and which of its containers serves |
//! | `room` | whether the nodes have room for it |
//! | `watch` | pods, endpoints, events and the workload as they change |
//! | `observer`, `drained` | what a change means: events of the timeline |
//! | `trouble` | what a change means: a reason to give up |
//! | `load` | the load generator's log |
//! | `clock` | how far the clocks of the cluster and of this machine are apart |
//! | `persist` | asking again where a connection broke |
//! | `error` | what went wrong where, and the remedy |
//!
//! Decisions are functions of what was seen; only `connect`, `access`, `session`, `watch` and `load`
//! talk to the cluster.

pub(crate) mod access;
pub(crate) mod args;
pub mod clock;
mod connect;
mod drained;
mod error;
mod load;
pub mod manifests;
pub mod observer;
pub(crate) mod persist;
mod reference;
mod room;
mod served;
mod session;
pub mod trouble;
mod watch;
mod workload;

pub use self::{
    access::{Permission, Seen, for_events, permissions, to_change, to_see, to_watch},
    args::{DeploymentArgs, Images, KubernetesArgs, Options},
    connect::{Cluster, Location},
    drained::Drained,
    error::{ClusterProblem, KubernetesError, Role},
    load::{Load, Stopped},
    reference::{Kind, Reference, ReferenceError},
    room::Room,
    served::{HookTime, Served},
    session::Session,
    watch::{View, Watch, Watched},
    workload::{NO_REVISION, Workload, revision},
};
