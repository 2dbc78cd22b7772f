//! What a kind that is not read has to do with a rollout.

mod removed;

/// Why a kind that is not read may matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bearing {
    /// It makes pods, or is one.
    Pods,
    /// It says where requests go.
    Traffic,
    /// Nobody here knows it.
    Unknown,
}

/// Groups of operators whose objects neither make pods that serve nor carry traffic; all of
/// Kubernetes' own that are not named in [`bearing`] do not either.
const HARMLESS: [&str; 27] = [
    "acme.cert-manager.io",
    "argoproj.io",
    "bitnami.com",
    "cert-manager.io",
    "cilium.io",
    "config.openshift.io",
    "crd.projectcalico.org",
    "external-secrets.io",
    "generators.external-secrets.io",
    "helm.toolkit.fluxcd.io",
    "image.toolkit.fluxcd.io",
    "kustomize.toolkit.fluxcd.io",
    "kyverno.io",
    "monitoring.coreos.com",
    "notification.toolkit.fluxcd.io",
    "operators.coreos.com",
    "project.openshift.io",
    "projectcalico.org",
    "rbac.istio.io",
    "security.istio.io",
    "security.openshift.io",
    "source.toolkit.fluxcd.io",
    "telemetry.istio.io",
    "templates.gatekeeper.sh",
    "trust.cert-manager.io",
    "velero.io",
    "wgpolicyk8s.io",
];

/// What a kind has to do with a rollout, if it may have anything to do with it.
pub(super) fn bearing(version: &str, kind: &str) -> Option<Bearing> {
    let group = group(version);
    match (group, kind) {
        ("", "Pod" | "ReplicationController")
        | ("apps", "ReplicaSet")
        | ("argoproj.io", "Rollout")
        | ("apps.openshift.io", "DeploymentConfig")
        | ("serving.knative.dev", _)
        | ("apps.kruise.io", _)
        | ("leaderworkerset.x-k8s.io", _) => Some(Bearing::Pods),
        (
            "networking.istio.io",
            "VirtualService" | "Gateway" | "DestinationRule" | "ServiceEntry",
        )
        | ("projectcontour.io" | "getambassador.io", _)
        | ("traefik.io" | "traefik.containo.us", "IngressRoute" | "IngressRouteTCP")
        | ("discovery.k8s.io", "EndpointSlice")
        | ("", "Endpoints") => Some(Bearing::Traffic),
        _ if is_of_kubernetes(group) || HARMLESS.contains(&group) => None,
        _ => Some(Bearing::Unknown),
    }
}

fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether a group is one that Kubernetes itself keeps: all with a dot are below `k8s.io`.
fn is_of_kubernetes(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// Since when a version is not served any more, if it ever was, and what is instead, if anything is;
/// `None` where nothing is known against it.
pub(super) fn unserved(
    version: &str,
    kind: &str,
) -> Option<(Option<&'static str>, Option<&'static str>)> {
    if let Some((since, instead)) = removed::removed(version, kind) {
        return Some((Some(since), instead));
    }
    let right = right(kind)?;
    // Others have kinds of these names too, such as Knative its Services.
    (is_of_kubernetes(group(version)) && version != right).then_some((None, Some(right)))
}

/// The version of a kind that is read.
fn right(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => "apps/v1",
        "Service" | "ConfigMap" | "PersistentVolumeClaim" => "v1",
        "PodDisruptionBudget" => "policy/v1",
        "Ingress" => "networking.k8s.io/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_matter_to_a_rollout() {
        for (version, kind, expected) in [
            ("v1", "Secret", None),
            ("batch/v1", "CronJob", None),
            ("rbac.authorization.k8s.io/v1", "Role", None),
            ("monitoring.coreos.com/v1", "ServiceMonitor", None),
            ("argoproj.io/v1alpha1", "Application", None),
            ("v1", "Pod", Some(Bearing::Pods)),
            ("argoproj.io/v1alpha1", "Rollout", Some(Bearing::Pods)),
            ("serving.knative.dev/v1", "Service", Some(Bearing::Pods)),
            ("gateway.networking.k8s.io/v1", "GatewayClass", None),
            ("example.com/v1", "Database", Some(Bearing::Unknown)),
        ] {
            assert_eq!(bearing(version, kind), expected, "{version} {kind}");
        }
    }

    #[test]
    fn versions_that_are_gone_and_versions_that_never_were() {
        for (version, kind, expected) in [
            ("apps/v1", "Deployment", None),
            ("serving.knative.dev/v1", "Service", None),
            ("apps/v1beta2", "Deployment", Some((Some("1.16"), Some("apps/v1")))),
            ("policy/v1beta1", "PodSecurityPolicy", Some((Some("1.25"), None))),
            ("node.k8s.io/v1alpha1", "RuntimeClass", Some((Some("1.24"), Some("node.k8s.io/v1")))),
            ("v1", "Deployment", Some((None, Some("apps/v1")))),
            ("apps/v1", "Service", Some((None, Some("v1")))),
            ("apps/v1", "Secret", None),
        ] {
            assert_eq!(unserved(version, kind), expected, "{version} {kind}");
        }
    }
}
