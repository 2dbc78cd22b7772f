//! What scales workloads: Kubernetes' own autoscalers, and KEDA's.

use k8s_openapi::api::autoscaling::{v1, v2};
use serde::Deserialize;

use super::{
    super::{
        objects::{Autoscaler, Object},
        problem::Problem,
    },
    Reader, seconds,
};

impl Reader<'_> {
    /// A HorizontalPodAutoscaler, of either version.
    pub(super) fn autoscaler(&self) -> Result<Object<Autoscaler>, Problem> {
        let (origin, version, kind, name, bounds) = if self.version == "autoscaling/v1" {
            let read = self.typed::<v1::HorizontalPodAutoscaler>()?;
            let spec = read.object.spec;
            let target = spec.scale_target_ref;
            let bounds = (spec.min_replicas, spec.max_replicas);
            (read.origin, target.api_version, target.kind, target.name, bounds)
        } else {
            let read = self.typed::<v2::HorizontalPodAutoscaler>()?;
            let spec = read.object.spec;
            let target = spec.scale_target_ref;
            let bounds = (spec.min_replicas, spec.max_replicas);
            (read.origin, target.api_version, target.kind, target.name, bounds)
        };
        let (min, max) = (seconds(bounds.0).unwrap_or(1), seconds(Some(bounds.1)));
        let object = Autoscaler { version, kind, name, min, max };
        Ok(Object { origin, object })
    }

    /// KEDA's, of what it scales by default, and down to nothing by default (keda.sh/docs: ScaledObject
    /// specification).
    pub(super) fn scaled_object(&self) -> Result<Object<Autoscaler>, Problem> {
        let ScaledObject { scale_target_ref: target, min_replica_count, idle_replica_count } =
            self.part("spec")?;
        let min = seconds(min_replica_count).unwrap_or(0);
        let object = Autoscaler {
            version: Some(target.api_version.unwrap_or_else(|| "apps/v1".to_owned())),
            kind: target.kind.unwrap_or_else(|| "Deployment".to_owned()),
            name: target.name,
            min: seconds(idle_replica_count).map_or(min, |idle| idle.min(min)),
            max: None,
        };
        Ok(Object { origin: self.bare()?, object })
    }
}

/// What is read of a ScaledObject (keda.sh/v1alpha1).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScaledObject {
    scale_target_ref: ScaleTarget,
    min_replica_count: Option<i32>,
    idle_replica_count: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScaleTarget {
    api_version: Option<String>,
    kind: Option<String>,
    name: String,
}
