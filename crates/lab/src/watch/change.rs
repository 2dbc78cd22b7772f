//! What is changed of somebody's Deployment, and how it is changed back: its image or its restart
//! annotation, and nothing else.

use std::time::SystemTime;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::scene::Scene;
use crate::{
    cluster::kubernetes::{
        ClusterProblem, DeploymentArgs, KubernetesError, Workload,
        manifests::{FIELD_MANAGER, RESTARTED_AT},
        persist::persist,
    },
    plan::PlanError,
};

/// A change of a Deployment's template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// What is changed, in words.
    pub(super) words: String,
    /// As a strategic merge patch.
    pub(super) patch: Value,
    /// What undoes it, and the state that leaves, in words.
    pub(super) undo: (Value, String),
}

impl Change {
    /// The change that was asked for.
    ///
    /// # Errors
    /// A container that is not there, or an image that it has already.
    pub(super) fn new(
        asked: &DeploymentArgs,
        scene: &Scene,
        now: SystemTime,
    ) -> Result<Self, PlanError> {
        if let Some(image) = &asked.image {
            let name = asked.container.as_deref().or(scene.served.container.as_deref());
            return Self::image(image, name, &scene.workload);
        }
        let now = humantime::format_rfc3339_seconds(now).to_string();
        let template = scene.workload.template().and_then(|template| template.metadata.as_ref());
        let before = template.and_then(|metadata| metadata.annotations.as_ref()?.get(RESTARTED_AT));
        let patch = |at: Option<&str>| json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}}});
        Ok(Self {
            words: format!("template annotation {RESTARTED_AT}: {now}, which restarts its pods"),
            patch: patch(Some(&now)),
            undo: (
                patch(before.map(String::as_str)),
                format!("the annotation as it was ({})", before.map_or("none", String::as_str)),
            ),
        })
    }

    fn image(image: &str, name: Option<&str>, workload: &Workload) -> Result<Self, PlanError> {
        let spec = workload.template().and_then(|template| template.spec.as_ref());
        let containers = spec.map(|spec| &spec.containers[..]).unwrap_or_default();
        let Some(container) = containers.iter().find(|known| Some(&*known.name) == name) else {
            let names: Vec<_> = containers.iter().map(|known| known.name.as_str()).collect();
            let problem = format!(
                "there is no container {}; there are {}",
                name.unwrap_or_default(),
                names.join(", ")
            );
            return Err(PlanError { option: "--container", problem });
        };
        let before = container.image.clone().unwrap_or_default();
        if before == image {
            let problem =
                format!("{image} is its image already: use --restart to roll it out again");
            return Err(PlanError { option: "--image", problem });
        }
        let name = &container.name;
        let patch = |image: &str| {
            let containers = json!([{"name": name, "image": image}]);
            json!({"spec": {"template": {"spec": {"containers": containers}}}})
        };
        Ok(Self {
            words: format!("container {name}: image {before} to {image}"),
            patch: patch(image),
            undo: (patch(&before), format!("image {before}")),
        })
    }

    /// Makes it.
    ///
    /// # Errors
    /// Where the cluster refuses it.
    pub(super) async fn make(scene: &Scene, patch: &Value) -> Result<(), KubernetesError> {
        let cluster = &scene.cluster;
        let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let (name, patch) = (&scene.reference.name, Patch::Strategic(patch));
        let made = persist(|| api.patch(name, &params, &patch)).await;
        let title = scene.reference.title(&cluster.namespace);
        made.map(drop).map_err(|error| cluster.failed(ClusterProblem::of(&error, &title, "patch")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        let object = json!({"metadata": {"name": "web"}, "spec": {
            "selector": {}, "template": {"spec": {"containers": [
                {"name": "mesh", "image": "mesh:v7"}, {"name": "app", "image": "shop:v1"},
            ]}},
        }});
        Workload::Deployment(Box::new(serde_json::from_value(object).expect("a Deployment")))
    }

    #[test]
    fn nothing_but_the_image_is_changed_and_changed_back() {
        let change = Change::image("shop:v2", Some("app"), &workload()).expect("a change");
        let patch = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
        assert_eq!(change.patch, patch("shop:v2"));
        assert_eq!(change.undo, (patch("shop:v1"), "image shop:v1".to_owned()));
        assert_eq!(change.words, "container app: image shop:v1 to shop:v2");
    }

    #[test]
    fn what_would_change_nothing_or_nobody_is_refused() {
        let refused = |image: &str, name: &str| {
            Change::image(image, Some(name), &workload()).expect_err("it cannot be").to_string()
        };
        assert!(refused("shop:v1", "app").contains("--restart"));
        assert!(refused("shop:v2", "web").contains("there are mesh, app"));
    }
}
