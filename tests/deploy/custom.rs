//! The objects that come with CRDs, as far as the manifests use them. A field that is not here is
//! refused: it was checked against the CRD's reference when it was added.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;

/// monitoring.coreos.com/v1, of the Prometheus Operator.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PodMonitor {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: PodMonitorSpec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PodMonitorSpec {
    pub(crate) selector: LabelSelector,
    pub(crate) job_label: String,
    pub(crate) pod_target_labels: Vec<String>,
    pub(crate) pod_metrics_endpoints: Vec<PodMetricsEndpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PodMetricsEndpoint {
    pub(crate) port: String,
    pub(crate) path: String,
    pub(crate) interval: String,
    pub(crate) scrape_timeout: String,
    pub(crate) relabelings: Vec<Relabeling>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Relabeling {
    pub(crate) source_labels: Vec<String>,
    pub(crate) regex: String,
    pub(crate) target_label: String,
    pub(crate) replacement: String,
    pub(crate) action: String,
}

/// gateway.networking.k8s.io/v1.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HttpRoute {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: HttpRouteSpec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HttpRouteSpec {
    pub(crate) parent_refs: Vec<BTreeMap<String, String>>,
    pub(crate) rules: Vec<HttpRouteRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HttpRouteRule {
    pub(crate) matches: Vec<HttpRouteMatch>,
    pub(crate) backend_refs: Vec<BackendRef>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpRouteMatch {
    pub(crate) path: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackendRef {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) port: i32,
}
