//! A faithful Kubernetes rolling update on one machine, with real processes.
//!
//! Decisions are pure and follow the rules of the real components: [`deployment`] and
//! [`replica_set`] (who is created and deleted), [`probe`] and
//! [`websample_kubernetes::termination`] (what the kubelet does), `endpoints` and [`propagation`]
//! (who knows what, when). Around them, thin: one kubelet task a pod, one controller, one
//! publisher of endpoints, and for each consumer of those a table of its own.
//!
//! ```text
//! Deployment ─ creates, deletes ─► pods ◄─ probes, hook, SIGTERM, SIGKILL ─ kubelet
//!                                   │ Ready, deleted
//!                        16-50 ms   ▼
//!                               endpoints ─ propagation ─► consumer's table ─► Service
//! ```
//!
//! Two things differ from a node. A pod's process is not PID 1 of a namespace, so SIGTERM ends a
//! program that does not handle it (PID 1 would ignore it until SIGKILL), and a process that
//! leaves its process group (`setsid`) is out of reach.

mod address;
mod by_pod;
mod companion;
mod consumer;
mod controller;
pub mod deployment;
mod disrupt;
mod endpoints;
mod error;
mod hint;
mod http;
mod inside;
mod kill;
mod kubelet;
mod listener;
mod logs;
mod node;
pub mod probe;
mod prober;
mod process;
pub mod propagation;
mod publisher;
pub mod replica_set;
mod seed;
mod service;
mod shutdown;
mod spec;
mod store;
mod supervisor;
mod watchdog;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

pub use self::{
    address::PodAddress,
    companion::{Companion, Companions},
    consumer::{Consumer, Fallback, Table, routes},
    deployment::ProgressCondition,
    disrupt::EVICTION_RETRY,
    endpoints::{Endpoint, EndpointSlice},
    error::{ClusterError, LogTail},
    hint::Hint,
    listener::Listener,
    probe::{Port, Probe, ProbeAction, ProbeKind, Probes, Scheme},
    propagation::{Propagation, PropagationArg},
    replica_set::PodPhase,
    service::Service,
    spec::{Addressing, ClusterSpec, CommandTemplate, Identity, PreStop},
    store::Pod,
};
use self::{
    inside::BehindShell,
    node::Node,
    publisher::Publisher,
    store::{State, Template},
};
use crate::timeline::Timeline;
pub use websample_kubernetes::{Fenceposts, IntOrPercent, ParseIntOrPercentError};
use websample_load::connect::Connect;

/// How long the end of killed processes is waited for.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// A Deployment with a Service on this machine.
///
/// Everything ends with it: dropping it, in whatever state, kills all pods.
#[derive(Debug)]
pub struct LocalCluster {
    node: Arc<Node>,
    publisher: Arc<Publisher>,
    /// Until then, consumers learn of changes at once.
    settled: Arc<AtomicBool>,
    default: Arc<Consumer>,
    service: Arc<Service>,
}

/// A pod at a glance.
#[derive(Debug, Clone)]
pub struct PodSummary {
    /// Its name.
    pub name: Arc<str>,
    /// The version it runs.
    pub version: Arc<str>,
    /// Where it listens.
    pub address: PodAddress,
    /// How far it has come.
    pub phase: PodPhase,
    /// Its Ready condition.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl LocalCluster {
    /// A cluster without pods. Its times count from `start`, as the load generator's do. Must be
    /// called in a Tokio runtime.
    pub fn new(spec: ClusterSpec, start: Instant) -> Result<Self, ClusterError> {
        let propagation = spec.propagation.clone();
        let node = Arc::new(Node::new(spec, Timeline::new(start))?);
        let publisher = Arc::new(Publisher::new());
        let settled = Arc::new(AtomicBool::new(false));
        let fallback = if propagation.gives_up() { Fallback::None } else { Fallback::Terminating };
        let default = consume(&node, &publisher, &settled, "service", &propagation, fallback);
        let service = Arc::new(Service::new(
            Arc::clone(&default),
            node.seed.child("service"),
            node.spec.syn_timeout,
        ));
        node.spawn(controller::run(Arc::clone(&node)));
        let task = {
            let (node, publisher) = (Arc::clone(&node), Arc::clone(&publisher));
            async move {
                publisher.run(&node.store, &node.timeline, node.seed.child("endpoints")).await;
            }
        };
        node.spawn(task);
        Ok(Self { node, publisher, settled, default, service })
    }

    /// Brings up the first version and returns when all its pods are available and every consumer
    /// knows them: a cluster that has been up for long.
    ///
    /// # Errors
    /// A program that does not start or ends early, and a pod that does not become Ready within
    /// [`ClusterSpec::ready_deadline`]; with the pod's last output.
    pub async fn start(&self, version: &str) -> Result<(), ClusterError> {
        self.rollout(version).await?;
        self.settle().await;
        self.settled.store(true, Ordering::Release);
        Ok(())
    }

    /// Rolls out a version of the same command and returns when all its pods are available and all
    /// others are gone, their ends included.
    ///
    /// Dropping the future leaves the rollout going on; a new call changes its target.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn rollout(&self, version: &str) -> Result<(), ClusterError> {
        self.rollout_command(version, self.node.spec.command.clone()).await
    }

    /// Like [`Self::rollout`], to another command.
    pub async fn rollout_command(
        &self,
        version: &str,
        command: CommandTemplate,
    ) -> Result<(), ClusterError> {
        let template =
            Template { version: version.into(), command: Arc::new(command), restarted: 0 };
        self.replace(template).await
    }

    /// Sets a template and waits until its pods have replaced all others.
    async fn replace(&self, template: Template) -> Result<(), ClusterError> {
        self.node.store.update(|state| state.template = Some(template.clone()));
        self.steady().await
    }

    /// Waits until the pods of the present template, as many as are wanted, are available and all
    /// others are gone.
    async fn steady(&self) -> Result<(), ClusterError> {
        self.until(|state| self.is_steady(state)).await
    }

    /// Waits until something is so, or the cluster has failed.
    async fn until(&self, so: impl Fn(&State) -> bool) -> Result<(), ClusterError> {
        let mut changes = self.node.store.watch();
        let over = |state: &State| state.failure.is_some() || so(state);
        match changes.wait_for(over).await.map(|state| state.failure.clone()) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            Err(_) => Err(ClusterError::ShutDown),
        }
    }

    fn is_steady(&self, state: &State) -> bool {
        let wanted =
            |id: &usize| state.template.as_ref() == Some(&state.replica_sets[*id].template);
        let current = state.current.filter(wanted);
        let all_new = state
            .pods
            .values()
            .all(|(pod, status)| Some(pod.replica_set) == current && status.deleted.is_none());
        // The condition says that all are available, the pods that the others have gone.
        let complete = current.is_some() && state.progress == Some(ProgressCondition::Complete);
        complete && all_new && self.complete(state)
    }

    fn complete(&self, state: &State) -> bool {
        let bounds = self.node.bounds(state);
        controller::replica_sets(&self.node, state)
            .is_some_and(|(new, old)| deployment::complete(bounds, &new, &old))
    }

    /// Waits until the endpoints are published as the pods are, and every consumer of this moment
    /// has learned of it.
    pub async fn settle(&self) {
        self.publisher.in_step_with(&self.node.store).await;
        let generation = self.publisher.watch().borrow().generation;
        for consumer in self.publisher.consumers() {
            let mut table = consumer.watch();
            // An error would mean that the consumer is gone, and with it the wait.
            let _ = table.wait_for(|table| table.generation >= generation).await;
        }
    }

    /// The Service: a pod for every connection, as the default consumer knows them.
    pub fn service(&self) -> Arc<dyn Connect> {
        Arc::clone(&self.service) as Arc<dyn Connect>
    }

    /// The consumer behind the Service; its name is `service`.
    pub fn consumer(&self) -> &Arc<Consumer> {
        &self.default
    }

    /// Another consumer, with its own delays: another node, or the controller of a real proxy.
    pub fn add_consumer(
        &self,
        name: &str,
        propagation: &Propagation,
        fallback: Fallback,
    ) -> Arc<Consumer> {
        consume(&self.node, &self.publisher, &self.settled, name, propagation, fallback)
    }

    /// The published endpoints, without any consumer's delay.
    pub fn endpoints(&self) -> watch::Receiver<Arc<EndpointSlice>> {
        self.publisher.watch()
    }

    /// What happened, and when.
    pub fn timeline(&self) -> &Timeline {
        &self.node.timeline
    }

    /// The specification it was made from.
    pub fn spec(&self) -> &ClusterSpec {
        &self.node.spec
    }

    /// All pods that exist, in order of creation.
    pub fn pods(&self) -> Vec<PodSummary> {
        self.node.store.read(|state| {
            let pods = state.pods.values();
            pods.map(|(pod, status)| PodSummary {
                name: Arc::clone(&pod.name),
                version: Arc::clone(&pod.version),
                address: pod.address,
                phase: status.phase,
                ready: status.ready_since.is_some(),
                terminating: status.deleted.is_some(),
            })
            .collect()
        })
    }

    /// Tells where the admin listeners of its pods are, by the pods' names, for as long as the pods
    /// exist. Nobody has one whose command does not name `{admin_port}`.
    pub fn admin_addresses(&self) -> impl Fn(&str) -> Option<SocketAddr> + Send + Sync + 'static {
        let store = self.node.store.clone();
        let have_one = self.node.spec.command.names_admin_port();
        move |name| {
            let of = |state: &State| {
                let mut pods = state.pods.values();
                let (pod, _) = pods.find(|(pod, _)| *pod.name == *name)?;
                Some(pod.address.admin)
            };
            if have_one { store.read(of) } else { None }
        }
    }

    /// The Deployment's Progressing condition (facts 3.7); `None` before the first rollout.
    pub fn progress(&self) -> Option<ProgressCondition> {
        self.node.store.read(|state| state.progress)
    }

    /// What is odd about its pods, though they run: what somebody should know before reading a result.
    pub fn oddities(&self) -> Vec<String> {
        let behind = self.node.processes.behind_shell();
        let said = behind.map(|BehindShell { shell, server }| {
            format!(
                "the command is run by {shell}, which keeps SIGTERM from {server}: write exec before \
                 it. Here the end of {shell} ends all; as PID 1 of a container it ignores SIGTERM, \
                 and everything in it is killed after the grace period"
            )
        });
        said.into_iter().collect()
    }

    /// The first failure, as soon as there is one; for a caller that is not in a rollout.
    pub async fn failed(&self) -> ClusterError {
        let mut changes = self.node.store.watch();
        let failure = changes.wait_for(|state| state.failure.is_some()).await;
        failure.ok().and_then(|state| state.failure.clone()).unwrap_or(ClusterError::ShutDown)
    }

    /// Kills every pod and waits until all are gone, five seconds at most. The timeline ends here.
    pub async fn shutdown(self) {
        self.node.stop();
        self.node.processes.reaped(REAP_LIMIT).await;
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        self.node.stop();
    }
}

fn consume(
    node: &Arc<Node>,
    publisher: &Arc<Publisher>,
    settled: &Arc<AtomicBool>,
    name: &str,
    propagation: &Propagation,
    fallback: Fallback,
) -> Arc<Consumer> {
    let consumer = Arc::new(Consumer::new(name, fallback));
    let slices = publisher.follow(&consumer);
    let schedule = propagation.schedule(node.seed.child("propagation").child(name));
    let task = {
        let (consumer, settled) = (Arc::clone(&consumer), Arc::clone(settled));
        let timeline = node.timeline.clone();
        async move { consumer.run(slices, schedule, &settled, &timeline).await }
    };
    node.spawn(task);
    consumer
}
