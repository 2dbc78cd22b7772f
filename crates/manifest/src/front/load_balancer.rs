//! What a Service brings in front of itself.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;

use super::{
    super::objects::{Object, Origin},
    Sender, number,
};

const AWS: &str = "service.beta.kubernetes.io/aws-load-balancer-";

/// Who sends to the pods of a Service by itself, and how long.
pub(super) fn senders(service: &Object<Service>) -> Vec<(Sender, Option<Duration>)> {
    let Some(spec) = &service.object.spec else { return Vec::new() };
    let of = |sender: Sender| (sender, sender.needs());
    match spec.type_.as_deref() {
        Some("ExternalName") => Vec::new(),
        Some("LoadBalancer") => vec![of(Sender::KubeProxy), outside(service)],
        _ if spec.cluster_ip.as_deref() == Some("None") => vec![of(Sender::Names)],
        _ => vec![of(Sender::KubeProxy)],
    }
}

/// The load balancer outside of the cluster.
fn outside(service: &Object<Service>) -> (Sender, Option<Duration>) {
    let origin = &service.origin;
    let spec = service.object.spec.as_ref();
    let class = spec.and_then(|spec| spec.load_balancer_class.as_deref()).unwrap_or_default();
    let kind = origin.annotation(&format!("{AWS}type")).unwrap_or_default();
    let target = origin.annotation(&format!("{AWS}nlb-target-type")).unwrap_or_default();
    // The AWS Load Balancer Controller's; EKS' own takes ip targets if nothing else is said.
    let of_controller = class == "service.k8s.aws/nlb" || kind == "external" || kind == "nlb-ip";
    let to_pods = kind == "nlb-ip"
        || ((of_controller || kind == "nlb") && target == "ip")
        || (class == "eks.amazonaws.com/nlb" && target != "instance");
    if to_pods {
        return (Sender::NlbToPods, Sender::NlbToPods.needs());
    }
    let policy = spec.and_then(|spec| spec.external_traffic_policy.as_deref());
    if policy != Some("Local") {
        return (Sender::Nodes, Sender::Nodes.needs());
    }
    (Sender::AskedNodes, health_check(origin, of_controller))
}

/// Interval times threshold of the health check of nodes, as annotations or the provider has it.
fn health_check(origin: &Origin, of_controller: bool) -> Option<Duration> {
    let has = |part: &str| {
        let annotations = origin.node.get("metadata").and_then(|meta| meta.get("annotations"));
        annotations.is_some_and(|all| all.keys().any(|key| key.contains(part)))
    };
    let (interval, threshold) = if of_controller || has(AWS) {
        let written = |name: &str| number(origin, &format!("{AWS}healthcheck-{name}"));
        let threshold = written("unhealthy-threshold").unwrap_or(if of_controller { 3 } else { 6 });
        (written("interval").unwrap_or(10), threshold)
    } else if has("gke.io/") || has("cloud.google.com/") {
        (8, 3)
    } else if has("service.beta.kubernetes.io/azure-") {
        let written = |name: &str| {
            let prefix = "service.beta.kubernetes.io/azure-load-balancer-health-probe-";
            number(origin, &format!("{prefix}{name}"))
        };
        (written("interval").unwrap_or(5), written("num-of-probe").unwrap_or(2))
    } else {
        return None;
    };
    Some(Duration::from_secs(interval.checked_mul(threshold)?).min(super::super::LONGEST))
}

/// The deregistration delay of a target group, as annotations of an Ingress or a Service have it.
pub(super) fn drains(origin: &Origin) -> Option<Duration> {
    let names = ["alb.ingress.kubernetes.io/target-group-attributes".to_owned()]
        .into_iter()
        .chain([format!("{AWS}target-group-attributes")]);
    let text = names.into_iter().find_map(|name| origin.annotation(&name).map(str::to_owned))?;
    let seconds = text.split(',').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == "deregistration_delay.timeout_seconds")
            .then(|| value.trim().parse().ok())?
    })?;
    Some(Duration::from_secs(seconds).min(super::super::LONGEST))
}
