//! Objects, typed: by the API of the newest Kubernetes, and strictly.

use k8s_openapi::{
    Resource,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Container, PodTemplateSpec, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::custom::{HttpRoute, PodMonitor, PrometheusRule};

/// Every kind of object that the manifests hold.
#[derive(Debug)]
pub(crate) enum Object {
    Deployment(Box<Deployment>),
    Service(Box<Service>),
    ServiceAccount(ServiceAccount),
    PodDisruptionBudget(PodDisruptionBudget),
    NetworkPolicy(NetworkPolicy),
    Ingress(Ingress),
    HttpRoute(HttpRoute),
    PodMonitor(PodMonitor),
    PrometheusRule(PrometheusRule),
    Rbac(ObjectMeta),
    ConfigMap(ObjectMeta),
}

impl Object {
    /// Reads an object, and refuses what its API does not know.
    pub(crate) fn parse(value: Value) -> Result<Self, String> {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let is = |known: (&str, &str)| known == (api_version.as_str(), kind.as_str());
        Ok(if is(named::<Deployment>()) {
            Self::Deployment(Box::new(strict(&value)?))
        } else if is(named::<Service>()) {
            Self::Service(Box::new(strict(&value)?))
        } else if is(named::<ServiceAccount>()) {
            Self::ServiceAccount(strict(&value)?)
        } else if is(named::<PodDisruptionBudget>()) {
            Self::PodDisruptionBudget(strict(&value)?)
        } else if is(named::<NetworkPolicy>()) {
            Self::NetworkPolicy(strict(&value)?)
        } else if is(named::<Ingress>()) {
            Self::Ingress(strict(&value)?)
        } else if is(named::<Role>()) {
            Self::Rbac(strict::<Role>(&value)?.metadata)
        } else if is(named::<RoleBinding>()) {
            Self::Rbac(strict::<RoleBinding>(&value)?.metadata)
        } else if is(named::<ClusterRole>()) {
            Self::Rbac(strict::<ClusterRole>(&value)?.metadata)
        } else if is(named::<ClusterRoleBinding>()) {
            Self::Rbac(strict::<ClusterRoleBinding>(&value)?.metadata)
        } else if is(named::<ConfigMap>()) {
            Self::ConfigMap(strict::<ConfigMap>(&value)?.metadata)
        } else if is(("gateway.networking.k8s.io/v1", "HTTPRoute")) {
            Self::HttpRoute(serde_json::from_value(value).map_err(|error| error.to_string())?)
        } else if is(("monitoring.coreos.com/v1", "PodMonitor")) {
            Self::PodMonitor(serde_json::from_value(value).map_err(|error| error.to_string())?)
        } else if is(("monitoring.coreos.com/v1", "PrometheusRule")) {
            Self::PrometheusRule(serde_json::from_value(value).map_err(|error| error.to_string())?)
        } else {
            return Err(format!("{api_version} {kind} is not a kind that is used here"));
        })
    }

    pub(crate) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::ServiceAccount(object) => &object.metadata,
            Self::PodDisruptionBudget(object) => &object.metadata,
            Self::NetworkPolicy(object) => &object.metadata,
            Self::Ingress(object) => &object.metadata,
            Self::HttpRoute(object) => &object.metadata,
            Self::PodMonitor(object) => &object.metadata,
            Self::PrometheusRule(object) => &object.metadata,
            Self::Rbac(metadata) | Self::ConfigMap(metadata) => metadata,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }
}

fn named<T: Resource>() -> (&'static str, &'static str) {
    (T::API_VERSION, T::KIND)
}

/// The types skip fields that they do not know, so those are missing in what they write again.
fn strict<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T, String> {
    let typed: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(&typed).map_err(|error| error.to_string())?;
    match lost(value, &again, String::new()) {
        Some(path) => Err(format!("{path} is not a field of its API")),
        None => Ok(typed),
    }
}

/// The first thing of `before` that is not in `after` as it was.
fn lost(before: &Value, after: &Value, path: String) -> Option<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match after.get(key) {
                Some(kept) => lost(value, kept, path),
                None => Some(path),
            }
        }),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => before
            .iter()
            .zip(after)
            .enumerate()
            .find_map(|(at, (value, kept))| lost(value, kept, format!("{path}[{at}]"))),
        _ => (before != after).then_some(path),
    }
}

/// Picks the objects of one kind.
macro_rules! all {
    ($objects:expr, $kind:ident) => {
        $objects.iter().filter_map(|object| match object {
            $crate::objects::Object::$kind(object) => Some(object),
            _ => None,
        })
    };
}
pub(crate) use all;

/// The only Deployment among the objects.
pub(crate) fn deployment(objects: &[Object]) -> &Deployment {
    let mut found = all!(objects, Deployment);
    let deployment = found.next().expect("there is a Deployment");
    assert!(found.next().is_none(), "there is one Deployment");
    deployment
}

/// Its pods.
pub(crate) fn pods(deployment: &Deployment) -> &PodTemplateSpec {
    &deployment.spec.template
}

/// Their only container.
pub(crate) fn container(deployment: &Deployment) -> &Container {
    match pods(deployment).spec.as_ref().expect("pods have a spec").containers.as_slice() {
        [container] => container,
        other => panic!("{} containers", other.len()),
    }
}

#[test]
fn unknown_fields_and_wrong_types_are_found() {
    let service = |spec: Value| {
        let metadata = serde_json::json!({ "name": "x" });
        let value = serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec,
        });
        Object::parse(value).map(|_| ()).map_err(|error| error.clone())
    };
    assert_eq!(
        service(serde_json::json!({ "ports": [{ "port": 80, "targetPort": "http" }] })),
        Ok(())
    );
    let error = service(serde_json::json!({ "ports": [{ "port": 80, "targetport": "http" }] }));
    assert_eq!(error, Err(".spec.ports[0].targetport is not a field of its API".to_owned()));
    let error = service(serde_json::json!({ "ports": [{ "port": "80" }] })).unwrap_err();
    assert!(error.contains("invalid type"), "{error}");
}
