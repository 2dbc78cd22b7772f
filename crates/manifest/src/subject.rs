//! A workload with everything that was read about it: what the checks look at.

use std::time::Duration;

use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, Container, ContainerPort, PodSpec, Service},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use websample_kubernetes::{Fenceposts, propagation::PROXY};

use super::{
    front::{self, Front},
    hook::Hook,
    image,
    index::Index,
    known::Knows,
    objects::{Object, Objects, Origin, Rollout, Workload},
    select::{self, Labels},
    server::{Server, Told},
    traffic::{self, Traffic},
};

/// The pod's grace period where nothing is written, in seconds (core/v1: `PodSpec`).
const DEFAULT_GRACE: i64 = 30;

/// A workload in its surroundings.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) workload: &'a Workload,
    pub(super) pod: &'a PodSpec,
    pub(super) units: Vec<Unit<'a>>,
    pub(super) traffic: Traffic,
    /// The Services that select its pods.
    pub(super) services: Vec<&'a Object<Service>>,
    pub(super) budgets: Vec<&'a Object<PodDisruptionBudget>>,
    /// What sends to its pods by those Services, who needs the longest first.
    pub(super) fronts: Vec<Front>,
    /// How long one of them was seen to go on sending, where somebody measured it.
    pub(super) seen_sending: Option<Duration>,
    /// The labels of its namespace, if they were read.
    pub(super) namespace: Option<&'a Labels>,
    /// The least number of pods that an autoscaler keeps, if there is one.
    pub(super) autoscaled: Option<u32>,
    pub(super) grace: Duration,
}

/// What a container is beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Application,
    /// A service mesh's, or a database's, beside the container whose traffic it carries.
    Proxy,
    /// What answers those who watch: an exporter, or the guard of somebody's metrics.
    Monitor,
}

/// A container that runs as long as the pod does.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    /// Where it is in the object.
    pub(super) path: String,
    pub(super) container: &'a Container,
    /// A native sidecar: an init container that is always restarted. It ends after the others.
    pub(super) native_sidecar: bool,
    pub(super) role: Role,
    /// Whether requests come to it.
    pub(super) serving: bool,
    pub(super) hook: Hook,
    pub(super) server: Server,
}

impl<'a> Subject<'a> {
    pub(super) fn of(
        workload: &'a Workload,
        objects: &'a Objects,
        index: &Index<'a>,
        told: Told,
        known: &dyn Knows,
    ) -> Option<Self> {
        let pod = workload.template.spec.as_ref()?;
        let labels = workload.labels();
        let origin = &workload.origin;
        let services: Vec<_> = index
            .services(workload)
            .into_iter()
            .map(|place| &objects.services[place])
            .filter(|service| origin.shares_namespace(&service.origin))
            .filter(|service| select::service(&service.object, labels))
            .collect();
        let budgets = index
            .budgets(workload)
            .into_iter()
            .map(|place| &objects.budgets[place])
            .filter(|budget| origin.shares_namespace(&budget.origin))
            .filter(|budget| {
                let selector = budget.object.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                selector.is_some_and(|selector| select::labels(selector, labels))
            })
            .collect();
        let fronts = front::in_front(&services, origin, objects, index);
        let namespace = origin.namespace.as_ref().and_then(|name| objects.namespaces.get(name));
        let autoscaled = index.autoscaler(workload).map(|scaler| scaler.object.min);
        let all = pod.containers.iter().chain(pod.init_containers.iter().flatten());
        let maps: Vec<_> = all
            .flat_map(|container| container.env_from.iter().flatten())
            .filter_map(|source| source.config_map_ref.as_ref())
            .filter_map(|reference| index.config_map(&reference.name, origin))
            .collect();
        let mounted = |container: &'a Container| mounted(pod, container, index, origin);
        let mut units = units(workload.pod_at, pod, &maps, mounted, told, known);
        let traffic = traffic::mark(&mut units, &services);
        let grace = super::seconds(pod.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE));
        Some(Self {
            workload,
            pod,
            units,
            traffic,
            services,
            budgets,
            fronts,
            seen_sending: told.sending.map(|sending| sending.min(super::LONGEST)),
            namespace,
            autoscaled,
            grace,
        })
    }

    /// Whether requests come to its pods, as far as can be seen.
    pub(super) fn serves(&self) -> bool {
        self.traffic == Traffic::Requests
    }

    /// Who goes on longest sending to a pod that is deleted, and for how long.
    pub(super) fn slowest(&self) -> Option<(&Front, Duration)> {
        let fronts = self.fronts.iter().filter(|front| front.sender.is_waited_for());
        fronts.filter_map(|front| Some((front, front.needs?))).max_by_key(|(_, needs)| *needs)
    }

    /// Who sends to a pod that is deleted for how long, by what is in front and by what was seen of it; a
    /// kube-proxy is everywhere.
    pub(super) fn sending(&self) -> (&'static str, Duration) {
        let known = self.slowest();
        let known =
            known.map_or(("a kube-proxy", PROXY), |(front, needs)| (front.sender.name(), needs));
        match self.seen_sending {
            Some(seen) if seen > known.1 => ("what is in front", seen),
            _ => known,
        }
    }

    /// How long a pod should go on accepting.
    pub(super) fn right_sleep(&self) -> Duration {
        front::right_sleep(self.sending().1)
    }

    /// The number of pods, the least that is sure; one where an autoscaler goes down to none, for then
    /// there is nothing to lose.
    pub(super) fn replicas(&self) -> u32 {
        self.autoscaled.map(|min| min.max(1)).or(self.workload.replicas).unwrap_or(1)
    }

    /// The first port of its node that a pod takes, and the container that does.
    pub(super) fn host_port(&self) -> Option<(&Unit<'a>, i32)> {
        let on_host = self.pod.host_network == Some(true);
        self.units.iter().find_map(|unit| {
            let taken = |port: &&ContainerPort| on_host || port.host_port.is_some_and(|p| p > 0);
            let port = unit.ports().iter().find(taken)?;
            Some((unit, port.host_port.filter(|port| *port > 0).unwrap_or(port.container_port)))
        })
    }

    /// Whether its pods keep data that outlives them: another replica would not be the same again.
    pub(super) fn keeps_data(&self) -> bool {
        let volumes = self.pod.volumes.iter().flatten();
        self.workload.origin.kind == "StatefulSet"
            || volumes.into_iter().any(|volume| volume.persistent_volume_claim.is_some())
    }

    /// The bounds of its rolling update, if that is how it replaces its pods.
    pub(super) fn bounds(&self) -> Option<Fenceposts> {
        match self.workload.rollout {
            Rollout::Rolling { surge, unavailable, .. } => {
                Some(Fenceposts::resolve(self.replicas(), surge, unavailable))
            }
            Rollout::Recreate
            | Rollout::InPlace { .. }
            | Rollout::Switched { .. }
            | Rollout::Other
            | Rollout::Never => None,
        }
    }

    /// Whether any container declares this port.
    pub(super) fn declares(&self, port: &IntOrString) -> bool {
        self.units.iter().any(|unit| unit.declares(port))
    }
}

impl Unit<'_> {
    pub(super) fn is_proxy(&self) -> bool {
        self.role == Role::Proxy
    }

    pub(super) fn ports(&self) -> &[ContainerPort] {
        self.container.ports.as_deref().unwrap_or_default()
    }

    /// Whether the container declares a port, or our server is known to listen on it.
    pub(super) fn declares(&self, port: &IntOrString) -> bool {
        match port {
            IntOrString::String(name) => match name.parse() {
                Ok(number) => self.declares(&IntOrString::Int(number)),
                Err(_) => self.ports().iter().any(|port| port.name.as_ref() == Some(name)),
            },
            IntOrString::Int(number) => {
                self.ports().iter().any(|port| port.container_port == *number)
                    || self.listens(*number).unwrap_or(false)
            }
        }
    }

    /// Whether our server listens on a port; `None` is unknown.
    pub(super) fn listens(&self, number: i32) -> Option<bool> {
        let termination = self.server.termination()?;
        let ports = [Some(termination.port), termination.admin_port];
        Some(ports.into_iter().flatten().any(|port| i32::from(port) == number))
    }

    /// The number of a port.
    pub(super) fn number(&self, port: &IntOrString) -> Option<i32> {
        match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => name.parse().ok().or_else(|| {
                let named = self.ports().iter().find(|port| port.name.as_ref() == Some(name));
                named.map(|port| port.container_port)
            }),
        }
    }

    /// How long the hook holds SIGTERM back; `None` is unknown. Our own hook waits for the delay
    /// that SIGTERM would begin, on the same clock, and so adds nothing.
    pub(super) fn hook_takes(&self) -> Option<Duration> {
        match &self.hook {
            Hook::None | Hook::Tcp => Some(Duration::ZERO),
            Hook::Sleep(duration) => Some(*duration),
            Hook::Exec { sleeps, .. } => *sleeps,
            Hook::Http { .. } => self.server.termination().map(|_| Duration::ZERO),
        }
    }

    /// A field of the container, as a path.
    pub(super) fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }
}

fn units<'a>(
    pod_at: &str,
    pod: &'a PodSpec,
    maps: &[&Object<ConfigMap>],
    mounted: impl Fn(&'a Container) -> Vec<String>,
    told: Told,
    known: &dyn Knows,
) -> Vec<Unit<'a>> {
    let all = |native_sidecar, field: &'static str, containers: &'a [Container]| {
        containers.iter().enumerate().map(move |(index, container)| {
            let path = format!("{pod_at}.{field}[{index}]");
            (native_sidecar, path, container)
        })
    };
    let image = |container: &'a Container| container.image.as_deref().unwrap_or_default();
    let is_proxy = |container: &'a Container| image::is_proxy(&container.name, image(container));
    // A gateway is the same program, with nobody's traffic to carry but its own.
    let carries = pod.containers.iter().any(|container| !is_proxy(container));
    let init = pod.init_containers.as_deref().unwrap_or_default();
    let sidecars = all(true, "initContainers", init)
        .filter(|(_, _, container)| container.restart_policy.as_deref() == Some("Always"));
    let containers = all(false, "containers", &pod.containers).chain(sidecars);
    containers
        .map(|(native_sidecar, path, container)| Unit {
            path,
            container,
            native_sidecar,
            role: if carries && is_proxy(container) {
                Role::Proxy
            } else if image::is_monitor(&container.name, image(container)) {
                Role::Monitor
            } else {
                Role::Application
            },
            serving: false,
            hook: Hook::of(container),
            server: Server::of(container, maps, &mounted(container), told, known),
        })
        .collect()
}

/// What is in the ConfigMaps that were read and are mounted into a container.
fn mounted<'a>(
    pod: &'a PodSpec,
    container: &'a Container,
    index: &Index<'a>,
    origin: &'a Origin,
) -> Vec<String> {
    let volumes = pod.volumes.as_deref().unwrap_or_default();
    let mounts = container.volume_mounts.iter().flatten();
    mounts
        .filter_map(|mount| volumes.iter().find(|volume| volume.name == mount.name))
        .filter_map(|volume| index.config_map(&volume.config_map.as_ref()?.name, origin))
        .filter_map(|map| map.object.data.as_ref())
        .flat_map(|data| data.values().cloned())
        .collect()
}
