//! What may be done on the cluster, asked before anything is: `deploy/kubernetes/rollout-role.yaml`
//! lists the same.

use futures_util::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::{
    connect::Cluster,
    error::{ClusterProblem, KubernetesError},
    persist::persist,
};

/// Something to be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, with its subresource after a slash.
    pub resource: &'static str,
    /// The verb.
    pub verb: &'static str,
}

/// Server-side apply is a patch, and a create where there was nothing.
const MANAGE: &[&str] = &["get", "create", "patch", "delete"];
const FOLLOW: &[&str] = &["list", "watch"];

/// What the objects of every mode need.
const NEEDED: &[(&str, &str, &[&str])] = &[
    ("apps", "deployments", MANAGE),
    ("apps", "deployments", FOLLOW),
    ("", "services", MANAGE),
    ("", "serviceaccounts", MANAGE),
    ("policy", "poddisruptionbudgets", MANAGE),
    ("networking.k8s.io", "networkpolicies", MANAGE),
    ("", "pods", FOLLOW),
    ("discovery.k8s.io", "endpointslices", FOLLOW),
    ("", "events", &["list"]),
];

/// What sending the load from inside needs, besides.
const FOR_LOAD: &[(&str, &str, &[&str])] =
    &[("batch", "jobs", MANAGE), ("", "pods", &["delete"]), ("", "pods/log", &["get"])];

/// Everything that has to be permitted in the namespace.
pub fn permissions(load_inside: bool) -> Vec<Permission> {
    let load = if load_inside { FOR_LOAD } else { &[] };
    let each =
        |&(group, resource, verbs): &(&'static str, &'static str, &'static [&'static str])| {
            verbs.iter().map(move |verb| Permission { group, resource, verb })
        };
    NEEDED.iter().chain(load).flat_map(each).collect()
}

impl Permission {
    /// As a person would say it, such as `create deployments.apps`.
    pub fn name(self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{} {}{dot}{}", self.verb, self.resource, self.group)
    }

    fn review(self, namespace: &str) -> SelfSubjectAccessReview {
        let (resource, subresource) =
            self.resource.split_once('/').map_or((self.resource, None), |(r, s)| (r, Some(s)));
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(self.group.to_owned()),
                    namespace: Some(namespace.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource: subresource.map(str::to_owned),
                    verb: Some(self.verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }
}

/// Asks the cluster for every permission.
///
/// # Errors
/// Names every one that is missing.
pub(super) async fn check(cluster: &Cluster, load_inside: bool) -> Result<(), KubernetesError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let (reviews, namespace) = (&reviews, &cluster.namespace);
    let asked = permissions(load_inside).into_iter().map(|permission| async move {
        let review = permission.review(namespace);
        let params = PostParams::default();
        let answer = persist(|| reviews.create(&params, &review)).await;
        let answer = answer.map_err(|error| {
            cluster.failed(ClusterProblem::of(&error, "SelfSubjectAccessReview", "answer"))
        })?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        Ok((!allowed).then(|| permission.name()))
    });
    let missing: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(cluster.failed(ClusterProblem::Forbidden { namespace: namespace.clone(), missing }))
}
