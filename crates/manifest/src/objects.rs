//! What was read: the objects that matter to a rollout.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use k8s_openapi::{
    api::{
        batch::v1::JobSpec,
        core::v1::{ConfigMap, PersistentVolumeClaim, PodTemplateSpec, Service},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use websample_kubernetes::IntOrPercent;

use super::{kinds::Bearing, node::Node, problem::Problem, routes::Route, select::Labels};

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) workloads: Vec<Workload>,
    pub(super) services: Vec<Object<Service>>,
    pub(super) budgets: Vec<Object<PodDisruptionBudget>>,
    pub(super) autoscalers: Vec<Object<Autoscaler>>,
    /// Ingresses, and the routes of the Gateway API and of OpenShift.
    pub(super) routes: Vec<Object<Route>>,
    pub(super) claims: Vec<Object<PersistentVolumeClaim>>,
    pub(super) config_maps: Vec<Object<ConfigMap>>,
    /// The labels of pods that are made by kinds which are not judged, such as Jobs.
    pub(super) others: Vec<Object<Labels>>,
    pub(super) jobs: Vec<Object<Job>>,
    pub(super) ingress_classes: Vec<IngressClass>,
    /// Gateways of the Gateway API, by the names of their classes.
    pub(super) gateways: Vec<Object<String>>,
    /// The classes of Gateways, with the names of their controllers.
    pub(super) gateway_classes: Vec<(String, String)>,
    /// The labels of namespaces.
    pub(super) namespaces: BTreeMap<String, Labels>,
    /// Objects of versions that no current cluster serves, with the version to use.
    pub(super) unserved: Vec<Object<Unserved>>,
    /// Documents that are no objects of Kubernetes, such as a chart's values.
    pub(super) foreign: Vec<Problem>,
    /// Kustomizations that were read without being built, and what only a build does.
    pub(super) unbuilt: Vec<(Problem, String)>,
    /// Documents that cannot be read.
    pub(super) problems: Vec<Problem>,
    /// How many of each other kind there were.
    pub(super) skipped: BTreeMap<String, usize>,
    /// Of those, what may make pods or carry traffic.
    pub(super) unjudged: BTreeMap<String, Unjudged>,
}

/// Objects of a kind that may matter to a rollout, and that nobody here can judge.
#[derive(Debug)]
pub(super) struct Unjudged {
    /// The namespaces that they are in.
    pub(super) namespaces: BTreeSet<Option<String>>,
    /// The first of them.
    pub(super) first: Origin,
    pub(super) version: String,
    pub(super) bearing: Bearing,
    pub(super) count: usize,
}

impl Objects {
    /// Where everything that was read as what it is came from.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Origin> {
        let workloads = self.workloads.iter().map(|workload| &workload.origin);
        workloads
            .chain(self.services.iter().map(|object| &object.origin))
            .chain(self.budgets.iter().map(|object| &object.origin))
            .chain(self.autoscalers.iter().map(|object| &object.origin))
            .chain(self.routes.iter().map(|object| &object.origin))
            .chain(self.claims.iter().map(|object| &object.origin))
    }
}

impl Unjudged {
    /// Whether one of them can be in this namespace, and make pods there.
    pub(super) fn can_be_in(&self, namespace: Option<&str>) -> bool {
        self.bearing != Bearing::Traffic
            && (namespace.is_none()
                || self.namespaces.iter().any(|own| own.is_none() || own.as_deref() == namespace))
    }
}

/// Where an object came from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) file: Rc<str>,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// Which of the file's documents it is in, from 0.
    pub(super) document: usize,
    /// Where in that, if it is an item of a list.
    pub(super) within: String,
    /// Fields that the API does not have, as paths.
    pub(super) unknown: Vec<String>,
    pub(super) node: Rc<Node>,
}

impl Origin {
    /// One that stands nowhere.
    #[cfg(test)]
    pub(super) fn bare(kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            file: Rc::from("x"),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            document: 0,
            within: String::new(),
            unknown: Vec::new(),
            node: Rc::new(Node::bare(super::node::Content::Null)),
        }
    }

    /// Whether two objects can be in one namespace: one that names none goes where it is applied.
    pub(super) fn shares_namespace(&self, other: &Self) -> bool {
        match (&self.namespace, &other.namespace) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }

    /// What one of its annotations says.
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.node.get("metadata")?.get("annotations")?.get(name)?.text()
    }

    /// `Kind namespace/name`, or `Kind name`.
    pub(super) fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

/// An object, typed.
#[derive(Debug)]
pub(super) struct Object<T> {
    pub(super) origin: Origin,
    pub(super) object: T,
}

/// An API version that no current cluster serves.
#[derive(Debug)]
pub(super) struct Unserved {
    pub(super) version: String,
    /// The release that dropped it; `None` where there has never been such a version.
    pub(super) since: Option<&'static str>,
    /// The version to use; `None` where there is none any more.
    pub(super) instead: Option<&'static str>,
}

/// A Job, or what a CronJob makes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) spec: JobSpec,
    /// Where that is in the object.
    pub(super) at: &'static str,
}

/// What carries out the Ingresses of a class.
#[derive(Debug)]
pub(super) struct IngressClass {
    pub(super) name: String,
    pub(super) controller: String,
    /// Whether it does those of no class too.
    pub(super) is_default: bool,
}

/// What a HorizontalPodAutoscaler scales, of whichever version.
#[derive(Debug)]
pub(super) struct Autoscaler {
    /// The version of what it scales, as it is written.
    pub(super) version: Option<String>,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) min: u32,
    /// What is written, 0 where nothing is; `None` of kinds that need not say it.
    pub(super) max: Option<u32>,
}

/// What makes pods.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) origin: Origin,
    /// What is written; `None` where nothing is, and for a DaemonSet.
    pub(super) replicas: Option<u32>,
    pub(super) selector: LabelSelector,
    pub(super) template: PodTemplateSpec,
    pub(super) rollout: Rollout,
    /// Where its pods are described.
    pub(super) pod_at: &'static str,
    /// Where its strategy has the bounds of a rolling update.
    pub(super) rolling: &'static str,
}

impl Workload {
    /// The labels of its pods.
    pub(super) fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.template.metadata.as_ref()?.labels.as_ref()
    }
}

/// How a workload replaces its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollout {
    /// A Deployment's RollingUpdate.
    Rolling { surge: IntOrPercent, unavailable: IntOrPercent, min_ready: u32, deadline: u32 },
    /// A Deployment's Recreate.
    Recreate,
    /// A StatefulSet's or DaemonSet's, in the place of the old pods: at most so many at a time.
    InPlace { unavailable: IntOrPercent },
    /// Traffic is switched to a second set of pods, and the first goes this many seconds later.
    Switched { delay: u32, is_written: bool },
    /// By hand, as pods are deleted, or in a way of its own.
    Other,
    /// Not at all: a Pod that stands for itself.
    Never,
}
