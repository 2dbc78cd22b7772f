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

/// monitoring.coreos.com/v1, of the Prometheus Operator.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PrometheusRule {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub(crate) metadata: ObjectMeta,
    #[serde(rename = "spec")]
    _spec: PrometheusRuleSpec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PrometheusRuleSpec {
    #[serde(rename = "groups")]
    _groups: Vec<RuleGroup>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleGroup {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "rules")]
    _rules: Vec<Rule>,
}

/// An alert, or something recorded; Prometheus itself reads the expressions elsewhere.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    #[serde(rename = "alert")]
    _alert: Option<String>,
    #[serde(rename = "record")]
    _record: Option<String>,
    #[serde(rename = "expr")]
    _expr: String,
    #[serde(rename = "for")]
    _for: Option<String>,
    #[serde(rename = "labels", default)]
    _labels: BTreeMap<String, String>,
    #[serde(rename = "annotations", default)]
    _annotations: BTreeMap<String, String>,
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
