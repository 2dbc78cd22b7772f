//! Versions that Kubernetes has stopped serving.

/// A version of a kind, the release that stopped serving it, and what is instead; the last is `None`
/// where nothing is.
type Removed = (&'static str, &'static [&'static str], &'static str, Option<&'static str>);

const FLOW: &[&str] = &["FlowSchema", "PriorityLevelConfiguration"];
const WEBHOOKS: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
const RBAC: &[&str] = &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
const REVIEWS: &[&str] = &[
    "LocalSubjectAccessReview",
    "SelfSubjectAccessReview",
    "SelfSubjectRulesReview",
    "SubjectAccessReview",
];
const STORAGE: &[&str] = &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"];

/// From the deprecated API migration guide of Kubernetes
/// (kubernetes.io/docs/reference/using-api/deprecation-guide), the newest first; and the alpha
/// versions that its release notes name.
const REMOVED: &[Removed] = &[
    ("flowcontrol.apiserver.k8s.io/v1beta3", FLOW, "1.32", Some("flowcontrol.apiserver.k8s.io/v1")),
    ("flowcontrol.apiserver.k8s.io/v1beta2", FLOW, "1.29", Some("flowcontrol.apiserver.k8s.io/v1")),
    ("storage.k8s.io/v1beta1", &["CSIStorageCapacity"], "1.27", Some("storage.k8s.io/v1")),
    ("flowcontrol.apiserver.k8s.io/v1beta1", FLOW, "1.26", Some("flowcontrol.apiserver.k8s.io/v1")),
    ("autoscaling/v2beta2", &["HorizontalPodAutoscaler"], "1.26", Some("autoscaling/v2")),
    ("batch/v1beta1", &["CronJob"], "1.25", Some("batch/v1")),
    ("discovery.k8s.io/v1beta1", &["EndpointSlice"], "1.25", Some("discovery.k8s.io/v1")),
    ("events.k8s.io/v1beta1", &["Event"], "1.25", Some("events.k8s.io/v1")),
    ("autoscaling/v2beta1", &["HorizontalPodAutoscaler"], "1.25", Some("autoscaling/v2")),
    ("policy/v1beta1", &["PodDisruptionBudget"], "1.25", Some("policy/v1")),
    ("policy/v1beta1", &["PodSecurityPolicy"], "1.25", None),
    ("node.k8s.io/v1beta1", &["RuntimeClass"], "1.25", Some("node.k8s.io/v1")),
    ("node.k8s.io/v1alpha1", &["RuntimeClass"], "1.24", Some("node.k8s.io/v1")),
    (
        "admissionregistration.k8s.io/v1beta1",
        WEBHOOKS,
        "1.22",
        Some("admissionregistration.k8s.io/v1"),
    ),
    (
        "apiextensions.k8s.io/v1beta1",
        &["CustomResourceDefinition"],
        "1.22",
        Some("apiextensions.k8s.io/v1"),
    ),
    ("apiregistration.k8s.io/v1beta1", &["APIService"], "1.22", Some("apiregistration.k8s.io/v1")),
    ("authentication.k8s.io/v1beta1", &["TokenReview"], "1.22", Some("authentication.k8s.io/v1")),
    ("authorization.k8s.io/v1beta1", REVIEWS, "1.22", Some("authorization.k8s.io/v1")),
    (
        "certificates.k8s.io/v1beta1",
        &["CertificateSigningRequest"],
        "1.22",
        Some("certificates.k8s.io/v1"),
    ),
    ("coordination.k8s.io/v1beta1", &["Lease"], "1.22", Some("coordination.k8s.io/v1")),
    ("extensions/v1beta1", &["Ingress"], "1.22", Some("networking.k8s.io/v1")),
    (
        "networking.k8s.io/v1beta1",
        &["Ingress", "IngressClass"],
        "1.22",
        Some("networking.k8s.io/v1"),
    ),
    ("rbac.authorization.k8s.io/v1beta1", RBAC, "1.22", Some("rbac.authorization.k8s.io/v1")),
    ("rbac.authorization.k8s.io/v1alpha1", RBAC, "1.23", Some("rbac.authorization.k8s.io/v1")),
    ("scheduling.k8s.io/v1beta1", &["PriorityClass"], "1.22", Some("scheduling.k8s.io/v1")),
    ("scheduling.k8s.io/v1alpha1", &["PriorityClass"], "1.23", Some("scheduling.k8s.io/v1")),
    ("storage.k8s.io/v1beta1", STORAGE, "1.22", Some("storage.k8s.io/v1")),
    ("batch/v2alpha1", &["CronJob"], "1.21", Some("batch/v1")),
    ("settings.k8s.io/v1alpha1", &["PodPreset"], "1.20", None),
    ("extensions/v1beta1", &["NetworkPolicy"], "1.16", Some("networking.k8s.io/v1")),
    ("extensions/v1beta1", &["PodSecurityPolicy"], "1.16", None),
    ("extensions/v1beta1", &["DaemonSet", "Deployment", "ReplicaSet"], "1.16", Some("apps/v1")),
    (
        "apps/v1beta2",
        &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
        "1.16",
        Some("apps/v1"),
    ),
    ("apps/v1beta1", &["Deployment", "ReplicaSet", "StatefulSet"], "1.16", Some("apps/v1")),
];

/// The release that stopped serving a version of a kind, and what is instead.
pub(super) fn removed(version: &str, kind: &str) -> Option<(&'static str, Option<&'static str>)> {
    let known = REMOVED.iter().find(|(gone, kinds, ..)| *gone == version && kinds.contains(&kind));
    known.map(|(_, _, since, instead)| (*since, *instead))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_version_of_a_kind_is_gone_once_and_its_successor_is_not() {
        let mut seen = BTreeSet::new();
        for (version, kinds, _, instead) in REMOVED {
            for kind in *kinds {
                assert!(seen.insert((version, kind)), "{version} {kind}");
                let left = instead.and_then(|instead| removed(instead, kind));
                assert_eq!(left, None, "{version} {kind}");
            }
        }
        assert!(seen.len() > 50, "{}", seen.len());
    }
}
