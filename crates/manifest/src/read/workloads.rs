//! What makes pods: Kubernetes' own workloads, bare Pods, Argo's Rollouts and OpenShift's
//! DeploymentConfigs.

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::{Pod, PodTemplateSpec},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use serde::Deserialize;
use websample_kubernetes::IntOrPercent;

use super::{Reader, seconds};
use crate::{
    node::{Content, Node},
    objects::{Object, Origin, Rollout, Workload},
    problem::Problem,
    select::Labels,
    unknown::unknown_fields,
};

/// The progress deadline in seconds, where none is written: of Deployments, of Rollouts
/// (argo-rollouts: utils/defaults), and of DeploymentConfigs (timeoutSeconds).
const DEADLINE: u32 = 600;

/// How long a Rollout leaves old pods after traffic has been switched, in seconds (argo-rollouts:
/// utils/defaults).
const SCALE_DOWN_DELAY: u32 = 30;

/// Annotations of pods that somebody else keeps: the kubelet, by a file of its own, or Helm, once.
const KEPT_ELSEWHERE: [&str; 3] =
    ["kubernetes.io/config.mirror", "kubernetes.io/config.source", "helm.sh/hook"];

impl Reader<'_> {
    pub(super) fn deployment(&self) -> Result<Workload, Problem> {
        let Object { origin, object } = self.typed::<Deployment>()?;
        let spec = object.spec;
        let strategy = spec.strategy.unwrap_or_default();
        let rolling = strategy.rolling_update.unwrap_or_default();
        let rollout = match strategy.type_.as_deref() {
            Some("Recreate") => Rollout::Recreate,
            Some("RollingUpdate") | None => Rollout::Rolling {
                surge: self.bound("rollingUpdate.maxSurge", rolling.max_surge)?,
                unavailable: self.bound("rollingUpdate.maxUnavailable", rolling.max_unavailable)?,
                min_ready: seconds(spec.min_ready_seconds).unwrap_or(0),
                deadline: seconds(spec.progress_deadline_seconds).unwrap_or(DEADLINE),
            },
            Some(other) => {
                return Err(self.problem(
                    "spec.strategy.type",
                    &format!("there is no strategy '{other}'"),
                    "use RollingUpdate",
                ));
            }
        };
        self.workload(origin, seconds(spec.replicas), spec.selector, spec.template, rollout)
    }

    pub(super) fn stateful_set(&self) -> Result<Workload, Problem> {
        let Object { origin, object } = self.typed::<StatefulSet>()?;
        let spec = object.spec;
        let replicas = seconds(spec.replicas);
        let update = spec.update_strategy.unwrap_or_default();
        let unavailable = update.rolling_update.and_then(|rolling| rolling.max_unavailable);
        let rollout = self.in_place(update.type_.as_deref(), unavailable)?;
        self.workload(origin, replicas, spec.selector, spec.template, rollout)
    }

    pub(super) fn daemon_set(&self) -> Result<Workload, Problem> {
        let Object { origin, object } = self.typed::<DaemonSet>()?;
        let spec = object.spec;
        let update = spec.update_strategy.unwrap_or_default();
        let rolling = update.rolling_update.unwrap_or_default();
        let surges = match &rolling.max_surge {
            None | Some(IntOrString::Int(0)) => false,
            Some(IntOrString::Int(_)) => true,
            Some(IntOrString::String(text)) => text != "0%",
        };
        // With a surge the old pod stays until the new one is ready.
        let rollout = if surges {
            Rollout::Other
        } else {
            self.in_place(update.type_.as_deref(), rolling.max_unavailable)?
        };
        self.workload(origin, None, spec.selector, spec.template, rollout)
    }

    fn in_place(
        &self,
        how: Option<&str>,
        unavailable: Option<IntOrString>,
    ) -> Result<Rollout, Problem> {
        let unavailable = match unavailable {
            None => IntOrPercent::Int(1),
            Some(value) => {
                self.parsed("spec.updateStrategy.rollingUpdate.maxUnavailable", &value)?
            }
        };
        Ok(if how == Some("OnDelete") { Rollout::Other } else { Rollout::InPlace { unavailable } })
    }

    fn workload(
        &self,
        origin: Origin,
        replicas: Option<u32>,
        selector: LabelSelector,
        template: PodTemplateSpec,
        rollout: Rollout,
    ) -> Result<Workload, Problem> {
        if template.spec.as_ref().is_none_or(|spec| spec.containers.is_empty()) {
            let path = "spec.template.spec.containers";
            return Err(self.problem(path, &format!("{path}: there is none"), "name at least one"));
        }
        let pod_at = "spec.template.spec";
        Ok(Workload {
            origin,
            replicas,
            selector,
            template,
            rollout,
            pod_at,
            rolling: "rollingUpdate",
        })
    }

    /// One of Argo Rollouts (argoproj.github.io/argo-rollouts/features/specification).
    pub(super) fn rollout(&self) -> Result<Workload, Problem> {
        let spec: RolloutSpec = self.part("spec")?;
        let (origin, template) = self.template()?;
        let canary = spec.strategy.canary.unwrap_or_default();
        let rollout = if let Some(switched) = spec.strategy.blue_green {
            Rollout::Switched {
                delay: seconds(switched.scale_down_delay_seconds).unwrap_or(SCALE_DOWN_DELAY),
                is_written: switched.scale_down_delay_seconds.is_some(),
            }
        } else if canary.traffic_routing.is_some() && canary.dynamic_stable_scale != Some(true) {
            Rollout::Switched {
                delay: seconds(canary.scale_down_delay_seconds).unwrap_or(SCALE_DOWN_DELAY),
                is_written: canary.scale_down_delay_seconds.is_some(),
            }
        } else {
            Rollout::Rolling {
                surge: self.bound("canary.maxSurge", canary.max_surge)?,
                unavailable: self.bound("canary.maxUnavailable", canary.max_unavailable)?,
                min_ready: seconds(spec.min_ready_seconds).unwrap_or(0),
                deadline: seconds(spec.progress_deadline_seconds).unwrap_or(DEADLINE),
            }
        };
        let replicas = seconds(spec.replicas);
        let workload = self.workload(origin, replicas, spec.selector, template, rollout)?;
        Ok(Workload { rolling: "canary", ..workload })
    }

    /// The labels that a Rollout gives to a part of its pods, and to those of its experiments.
    pub(super) fn labels_of_parts(&self, origin: &Origin) -> Vec<Object<Labels>> {
        let read = |node: Option<&Node>| {
            let labels = serde_json::from_value(node?.to_value()).ok()?;
            Some(Object { origin: origin.clone(), object: labels })
        };
        let own = read(self.built.at("spec.template.metadata.labels"));
        let own = own.map(|own| own.object).unwrap_or_default();
        let metadata =
            ["canary.canaryMetadata", "canary.stableMetadata", "blueGreen.activeMetadata"]
                .into_iter()
                .chain(["blueGreen.previewMetadata"])
                .filter_map(|path| read(self.built.at(&format!("spec.strategy.{path}.labels"))));
        let list = |node: Option<&'_ Node>| match node.map(|node| &node.content) {
            Some(Content::List(items)) => items.clone(),
            _ => Vec::new(),
        };
        let steps = list(self.built.at("spec.strategy.canary.steps"));
        let templates = steps.iter().flat_map(|step| list(step.at("experiment.templates")));
        let templates: Vec<_> =
            templates.filter_map(|part| read(part.at("metadata.labels"))).collect();
        metadata
            .chain(templates)
            .map(|mut part: Object<Labels>| {
                let more = own.iter().map(|(key, value)| (key.clone(), value.clone()));
                let mut all: Labels = more.collect();
                all.append(&mut part.object);
                Object { origin: part.origin, object: all }
            })
            .collect()
    }

    /// One of OpenShift (apps.openshift.io/v1).
    pub(super) fn deployment_config(&self) -> Result<Workload, Problem> {
        let spec: DeploymentConfigSpec = self.part("spec")?;
        let (origin, template) = self.template()?;
        let rolling = spec.strategy.rolling_params.unwrap_or_default();
        let rollout = match spec.strategy.r#type.as_deref() {
            Some("Rolling") | None => Rollout::Rolling {
                surge: self.bound("rollingParams.maxSurge", rolling.max_surge)?,
                unavailable: self.bound("rollingParams.maxUnavailable", rolling.max_unavailable)?,
                min_ready: seconds(spec.min_ready_seconds).unwrap_or(0),
                deadline: rolling
                    .timeout_seconds
                    .and_then(|n| n.try_into().ok())
                    .unwrap_or(DEADLINE),
            },
            Some("Recreate") => Rollout::Recreate,
            Some("Custom") => Rollout::Other,
            Some(other) => {
                return Err(self.problem(
                    "spec.strategy.type",
                    &format!("there is no strategy '{other}'"),
                    "use Rolling",
                ));
            }
        };
        let own = || template.metadata.as_ref().and_then(|meta| meta.labels.clone());
        // Without a selector it is the labels of its pods.
        let match_labels = spec.selector.or_else(own);
        let selector = LabelSelector { match_labels, ..LabelSelector::default() };
        let replicas = seconds(spec.replicas);
        let workload = self.workload(origin, replicas, selector, template, rollout)?;
        Ok(Workload { rolling: "rollingParams", ..workload })
    }

    /// Whether it is a Pod that stands for itself: nobody made it who would make another, and it is not
    /// to end by itself.
    pub(super) fn is_kept(&self) -> Result<bool, Problem> {
        let origin = self.bare()?;
        let text = |path: &str| self.built.at(path).and_then(|node| node.text());
        Ok(!self.has("metadata.ownerReferences[0]")
            && text("spec.restartPolicy").is_none_or(|policy| policy == "Always")
            && KEPT_ELSEWHERE.iter().all(|name| origin.annotation(name).is_none()))
    }

    pub(super) fn pod(&self) -> Result<Workload, Problem> {
        let Object { origin, object } = self.typed::<Pod>()?;
        let match_labels = object.metadata.labels.clone();
        let selector = LabelSelector { match_labels, ..LabelSelector::default() };
        let template = PodTemplateSpec { metadata: Some(object.metadata), spec: object.spec };
        let workload = self.workload(origin, None, selector, template, Rollout::Never)?;
        Ok(Workload { pod_at: "spec", ..workload })
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.built.at(path).is_some()
    }

    /// The pods of a kind that has no type here, with what their type does not know.
    fn template(&self) -> Result<(Origin, PodTemplateSpec), Problem> {
        const PATH: &str = "spec.template";
        let given = self.built.at(PATH).map(Node::to_value).unwrap_or_default();
        let template: PodTemplateSpec = serde_path_to_error::deserialize(&given)
            .map_err(|error| self.refused(&format!("{PATH}.{}", error.path()), error.inner()))?;
        let known = serde_json::to_value(&template).unwrap_or_default();
        let unknown = unknown_fields(&given, &known);
        let unknown = unknown.into_iter().map(|path| format!("{PATH}.{path}")).collect();
        Ok((Origin { unknown, ..self.bare()? }, template))
    }

    /// maxSurge or maxUnavailable, 25 % where it is not set (facts 3.1).
    fn bound(&self, name: &str, value: Option<IntOrString>) -> Result<IntOrPercent, Problem> {
        let path = format!("spec.strategy.{name}");
        value.map_or(Ok(IntOrPercent::Percent(25)), |value| self.parsed(&path, &value))
    }

    fn parsed(&self, path: &str, value: &IntOrString) -> Result<IntOrPercent, Problem> {
        let text = match value {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        text.parse().map_err(|error: websample_kubernetes::ParseIntOrPercentError| {
            self.problem(path, &error.to_string(), "correct it there")
        })
    }
}

/// What is read of a Rollout's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RolloutSpec {
    replicas: Option<i32>,
    selector: LabelSelector,
    min_ready_seconds: Option<i32>,
    progress_deadline_seconds: Option<i32>,
    strategy: RolloutStrategy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RolloutStrategy {
    canary: Option<Canary>,
    blue_green: Option<BlueGreen>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Canary {
    max_surge: Option<IntOrString>,
    max_unavailable: Option<IntOrString>,
    traffic_routing: Option<serde_json::Value>,
    dynamic_stable_scale: Option<bool>,
    scale_down_delay_seconds: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlueGreen {
    scale_down_delay_seconds: Option<i32>,
}

/// What is read of a DeploymentConfig's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentConfigSpec {
    replicas: Option<i32>,
    selector: Option<Labels>,
    min_ready_seconds: Option<i32>,
    strategy: DeploymentConfigStrategy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentConfigStrategy {
    r#type: Option<String>,
    rolling_params: Option<RollingParams>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingParams {
    max_surge: Option<IntOrString>,
    max_unavailable: Option<IntOrString>,
    timeout_seconds: Option<i64>,
}
