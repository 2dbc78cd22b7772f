//! The objects of one mode, made from `deploy/kubernetes/base`: what a rollout tries is what the
//! manifests say, but for the name, the mode, the image, the hook, the grace, and the rollout's own
//! bounds.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use k8s_openapi::{
    Resource,
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        batch::v1::{Job, JobSpec},
        core::v1::{
            Container, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec,
            PodTemplateSpec, ResourceRequirements, Service, ServiceAccount, SleepAction,
        },
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::api::ApiResource;
use serde::{Serialize, de::DeserializeOwned};
use websample_load::Mix;

use super::served::Served;
use crate::cluster::local::{ClusterSpec, IntOrPercent, PreStop, Scheme};

/// Who manages the fields that are set here.
pub const FIELD_MANAGER: &str = "websample";
/// The label that says who made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGER: &str = "websample-rollout";
/// The label that says which rollout an object is of.
pub const RUN: &str = "websample/run";
/// The label that says which mode an object is of.
pub const MODE: &str = "mode";

const NAME: &str = "app.kubernetes.io/name";
/// The container of the base, and the port its Service has.
const CONTAINER: &str = "websample";
/// The container of the load.
pub(super) const LOAD: &str = "load";
/// No load goes on for longer, should its rollout be gone without having stopped it.
const LONGEST_LOAD: i64 = 3_600;
/// The annotation that `kubectl rollout restart` sets.
pub(crate) const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// A pod that is new and does not get available within this stops the rollout.
const PROGRESS_DEADLINE: i32 = 600;
/// The load's pod gets this much longer than its last answer, to print what it knows.
const LOAD_GRACE: i64 = 10;

/// An object to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its kind.
    pub resource: ApiResource,
    /// Its name.
    pub name: String,
    /// The whole object.
    pub object: serde_json::Value,
}

impl Manifest {
    fn new<K>(object: &K) -> Self
    where
        K: Resource + kube::Resource<DynamicType = ()> + Serialize,
    {
        Self {
            resource: ApiResource::erase::<K>(&()),
            name: object.meta().name.clone().unwrap_or_default(),
            // Typed objects have string keys only.
            object: serde_json::to_value(object).unwrap_or_default(),
        }
    }

    /// As a person would call it, such as `Deployment websample-drain`.
    pub fn title(&self) -> String {
        format!("{} {}", self.resource.kind, self.name)
    }
}

/// What the objects of one mode are made for.
#[derive(Debug, Clone)]
pub struct Made<'a> {
    /// Which rollout.
    pub run: String,
    /// The label of the variant, such as `graceful+sleep:5s`.
    pub label: &'a str,
    /// The drain mode's name, as the server takes it.
    pub mode: &'a str,
    /// The Deployment's numbers, its hook and probes.
    pub spec: &'a ClusterSpec,
}

macro_rules! base {
    ($file:literal) => {
        LazyLock::new(|| parsed(include_str!(concat!("../../../base/", $file))))
    };
}

static DEPLOYMENT: LazyLock<Deployment> = base!("deployment.yaml");
static SERVICE: LazyLock<Service> = base!("service.yaml");
static ACCOUNT: LazyLock<ServiceAccount> = base!("serviceaccount.yaml");
static BUDGET: LazyLock<PodDisruptionBudget> = base!("poddisruptionbudget.yaml");
static POLICY: LazyLock<NetworkPolicy> = base!("networkpolicy.yaml");

fn parsed<K: DeserializeOwned>(yaml: &str) -> K {
    let value: serde_json::Value = serde_saphyr::from_str(yaml)
        .unwrap_or_else(|error| unreachable!("a base manifest: {error}"));
    // By way of JSON, as the client reads the same types: each further format compiles them anew.
    serde_json::from_slice(value.to_string().as_bytes())
        .unwrap_or_else(|error| unreachable!("a base manifest: {error}"))
}

/// What of a Deployment is changed besides its image.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// How many pods it is to have, if not those it began with.
    pub replicas: Option<u32>,
    /// Whether all old pods go before the new ones come.
    pub recreates: bool,
    /// What `kubectl rollout restart` writes into the template.
    pub restarted: Option<String>,
}

impl Made<'_> {
    /// The name of its objects: `websample-` and the label, as far as names go.
    pub fn name(&self) -> String {
        format!("websample-{}", self.value())
    }

    /// The label as a value of a Kubernetes label.
    pub fn value(&self) -> String {
        let text = self.label.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        // "websample-" and a pod's suffix have to fit into 63 characters as well.
        let short: String = text.to_ascii_lowercase().chars().take(30).collect();
        short.trim_matches('-').to_owned()
    }

    /// The container that serves, and its port.
    pub fn served(&self) -> Served {
        Served {
            container: Some(CONTAINER.into()),
            port_name: Some("http".to_owned()),
            port: 5_000,
        }
    }

    /// Which pods are its own.
    pub fn selector(&self) -> String {
        format!("{RUN}={},{MODE}={}", self.run, self.value())
    }

    /// Everything but the Deployment, which comes after it and in two versions.
    pub fn surroundings(&self) -> Vec<Manifest> {
        let mut account = ACCOUNT.clone();
        self.name_it(&mut account.metadata);
        let mut service = SERVICE.clone();
        self.name_it(&mut service.metadata);
        if let Some(spec) = &mut service.spec
            && let Some(selector) = &mut spec.selector
        {
            self.relabel(selector);
        }
        let mut budget = BUDGET.clone();
        self.name_it(&mut budget.metadata);
        if let Some(spec) = &mut budget.spec {
            self.reselect(spec.selector.as_mut());
        }
        let mut policy = POLICY.clone();
        self.name_it(&mut policy.metadata);
        if let Some(spec) = &mut policy.spec {
            self.reselect(spec.pod_selector.as_mut());
        }
        vec![
            Manifest::new(&account),
            Manifest::new(&policy),
            Manifest::new(&budget),
            Manifest::new(&service),
        ]
    }

    /// The Deployment with this image, and something that differs from what was first applied.
    pub fn changed(&self, image: &str, change: &Change) -> Manifest {
        let mut deployment = DEPLOYMENT.clone();
        self.name_it(&mut deployment.metadata);
        let spec = &mut deployment.spec;
        self.fit(spec, image);
        if let Some(replicas) = change.replicas {
            spec.replicas = Some(replicas.cast_signed());
        }
        if change.recreates {
            let type_ = Some("Recreate".to_owned());
            spec.strategy = Some(DeploymentStrategy { type_, rolling_update: None });
        }
        if let Some(at) = &change.restarted {
            let metadata = spec.template.metadata.get_or_insert_default();
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(RESTARTED_AT.to_owned(), at.clone());
        }
        Manifest::new(&deployment)
    }

    /// The Deployment with this image.
    pub fn deployment(&self, image: &str) -> Manifest {
        self.changed(image, &Change::default())
    }

    fn fit(&self, spec: &mut DeploymentSpec, image: &str) {
        spec.replicas = Some(self.spec.replicas.cast_signed());
        spec.min_ready_seconds = Some(self.spec.min_ready.as_secs() as i32);
        spec.progress_deadline_seconds = Some(PROGRESS_DEADLINE);
        spec.strategy = Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(bound(self.spec.max_surge)),
                max_unavailable: Some(bound(self.spec.max_unavailable)),
            }),
        });
        self.reselect(Some(&mut spec.selector));
        if let Some(labels) = spec.template.metadata.as_mut().and_then(|m| m.labels.as_mut()) {
            self.relabel(labels);
        }
        let Some(pod) = &mut spec.template.spec else { return };
        pod.service_account_name = Some(self.name());
        pod.termination_grace_period_seconds = Some(self.spec.grace.as_secs().cast_signed());
        for spread in pod.topology_spread_constraints.iter_mut().flatten() {
            self.reselect(spread.label_selector.as_mut());
        }
        for container in pod.containers.iter_mut().filter(|c| c.name == CONTAINER) {
            self.fit_container(container, image);
        }
    }

    fn fit_container(&self, container: &mut Container, image: &str) {
        container.image = Some(image.to_owned());
        let grace = format!("{}s", self.spec.grace.as_secs());
        let env = container.env.get_or_insert_default();
        for (name, value) in [("WEBSAMPLE_MODE", self.mode), ("WEBSAMPLE_GRACE_PERIOD", &grace)] {
            env.retain(|variable| variable.name != name);
            env.push(EnvVar {
                name: name.to_owned(),
                value: Some(value.to_owned()),
                ..EnvVar::default()
            });
        }
        let hook = container.lifecycle.as_ref().and_then(|hooks| hooks.pre_stop.clone());
        container.lifecycle = pre_stop(&self.spec.pre_stop, hook);
        if let (Some(told), Some(probe)) =
            (&self.spec.probes.readiness, &mut container.readiness_probe)
        {
            probe.period_seconds = Some(told.period.as_secs() as i32);
            probe.failure_threshold = Some(told.failure_threshold.cast_signed());
        }
    }

    /// The pods of the Deployment, as far as nodes are concerned.
    pub(super) fn server_pod(&self) -> Option<PodSpec> {
        let mut spec = DEPLOYMENT.spec.clone();
        self.fit(&mut spec, "");
        spec.template.spec
    }

    /// The Job that sends the load to `host`, the Service, until its pod is told to stop. `limit` is
    /// the time limit of a request.
    pub fn load(
        &self,
        image: &str,
        host: &str,
        mix: &Mix,
        [connect, limit]: [Duration; 2],
    ) -> Manifest {
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let wait = limit + Duration::from_secs(1);
        let args = [
            "attack",
            &format!("http://{host}"),
            "--mix",
            &mix.to_string(),
            "--duration",
            "0s",
            "--format",
            "lab",
            "--timeout",
            &seconds(limit),
            "--connect-timeout",
            &seconds(connect),
            "--wait",
            &seconds(wait),
        ]
        .map(str::to_owned);
        let name = format!("{}-{LOAD}", self.name());
        // As careful a pod as the server's own.
        let server = DEPLOYMENT.spec.template.spec.clone().unwrap_or_default();
        let contained = server.containers.into_iter().find(|c| c.name == CONTAINER);
        let contained = contained.unwrap_or_default();
        let container = Container {
            name: LOAD.to_owned(),
            image: Some(image.to_owned()),
            image_pull_policy: contained.image_pull_policy,
            args: Some(args.into()),
            resources: Some(load_resources()),
            security_context: contained.security_context,
            ..Container::default()
        };
        let pod = PodSpec {
            restart_policy: Some("Never".to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: server.security_context,
            termination_grace_period_seconds: Some(wait.as_secs().cast_signed() + LOAD_GRACE),
            containers: vec![container],
            ..PodSpec::default()
        };
        let mut labels = BTreeMap::from([(NAME.to_owned(), "websample-load".to_owned())]);
        self.relabel(&mut labels);
        let mut metadata =
            ObjectMeta { name: Some(name), labels: Some(labels.clone()), ..ObjectMeta::default() };
        own(metadata.labels.get_or_insert_default());
        let job = Job {
            metadata,
            spec: Some(JobSpec {
                // What is lost is lost: a second load would be another one.
                backoff_limit: Some(0),
                active_deadline_seconds: Some(LONGEST_LOAD),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                    spec: Some(pod),
                },
                ..JobSpec::default()
            }),
            ..Job::default()
        };
        Manifest::new(&job)
    }

    fn name_it(&self, metadata: &mut ObjectMeta) {
        metadata.name = Some(self.name());
        let labels = metadata.labels.get_or_insert_default();
        self.relabel(labels);
        own(labels);
    }

    fn relabel(&self, labels: &mut BTreeMap<String, String>) {
        labels.insert(MODE.to_owned(), self.value());
        labels.insert(RUN.to_owned(), self.run.clone());
    }

    fn reselect(&self, selector: Option<&mut LabelSelector>) {
        if let Some(labels) = selector.and_then(|selector| selector.match_labels.as_mut()) {
            self.relabel(labels);
        }
    }
}

/// What the container of the load gets.
pub(super) fn load_resources() -> ResourceRequirements {
    let quantities = |list: &[(&str, &str)]| {
        let quantity = |(name, quantity): &(&str, &str)| {
            ((*name).to_owned(), Quantity((*quantity).to_owned()))
        };
        Some(list.iter().map(quantity).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "100m"), ("memory", "64Mi")]),
        limits: quantities(&[("memory", "512Mi")]),
        ..ResourceRequirements::default()
    }
}

fn own(labels: &mut BTreeMap<String, String>) {
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
}

/// Whether a pod is the load's and not the Deployment's.
pub(super) fn is_load(labels: Option<&BTreeMap<String, String>>) -> bool {
    labels.and_then(|labels| labels.get(NAME)).is_some_and(|name| name == "websample-load")
}

fn bound(bound: IntOrPercent) -> IntOrString {
    match bound {
        IntOrPercent::Int(pods) => IntOrString::Int(pods.cast_signed()),
        IntOrPercent::Percent(_) => IntOrString::String(bound.to_string()),
    }
}

/// The hook; the manifest's own where it is the server's.
fn pre_stop(told: &PreStop, own: Option<LifecycleHandler>) -> Option<Lifecycle> {
    let handler = match told {
        PreStop::None => return None,
        PreStop::Sleep(time) => LifecycleHandler {
            sleep: Some(SleepAction { seconds: time.as_secs().cast_signed() }),
            ..LifecycleHandler::default()
        },
        PreStop::Http { path, scheme, .. } => {
            let own = own.and_then(|own| own.http_get);
            let port = own.as_ref().map_or(IntOrString::Int(5_000), |own| own.port.clone());
            LifecycleHandler {
                http_get: Some(HTTPGetAction {
                    path: Some(path.clone()),
                    port,
                    scheme: (*scheme == Scheme::Https)
                        .then(|| "HTTPS".to_owned())
                        .or_else(|| own.as_ref().and_then(|own| own.scheme.clone())),
                    ..own.unwrap_or_default()
                }),
                ..LifecycleHandler::default()
            }
        }
    };
    Some(Lifecycle { pre_stop: Some(handler), ..Lifecycle::default() })
}

#[cfg(test)]
mod tests;
