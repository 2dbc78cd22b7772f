//! What may be done on the cluster, asked before anything is: `deploy/kubernetes/rollout-role.yaml`
//! lists the same.

use futures_util::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::{
    connect::Cluster,
    error::{ClusterProblem, KubernetesError, Role},
    persist::persist,
    reference::Kind,
};
use crate::disruption::Disruption;

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

/// Group, resource and verbs.
type Needed = (&'static str, &'static str, &'static [&'static str]);

/// Server-side apply is a patch, and a create where there was nothing.
const MANAGE: &[&str] = &["get", "create", "patch", "delete"];
const FOLLOW: &[&str] = &["list", "watch"];

/// What the objects of every mode need.
const NEEDED: &[Needed] = &[
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
const FOR_LOAD: &[Needed] =
    &[("batch", "jobs", MANAGE), ("", "pods", &["delete"]), ("", "pods/log", &["get"])];

/// What events other than updates need: `deploy/kubernetes/rollout-events-role.yaml`.
const FOR_DELETIONS: &[Needed] = &[("", "pods", &["delete"])];
const FOR_EVICTIONS: &[Needed] = &[("", "pods/eviction", &["create"])];

/// What these events need besides.
pub fn for_events(events: &[Disruption]) -> Vec<Permission> {
    let needed = |event: &Disruption| match event {
        Disruption::DeleteAll => FOR_DELETIONS,
        Disruption::Evict | Disruption::NodeDrain => FOR_EVICTIONS,
        _ => &[],
    };
    events.iter().flat_map(needed).flat_map(each).collect()
}

/// Everything that has to be permitted in the namespace.
pub fn permissions(load_inside: bool) -> Vec<Permission> {
    let load = if load_inside { FOR_LOAD } else { &[] };
    NEEDED.iter().chain(load).flat_map(each).collect()
}

fn each(&(group, resource, verbs): &Needed) -> impl Iterator<Item = Permission> + use<> {
    verbs.iter().map(move |verb| Permission { group, resource, verb })
}

/// What looking on cannot do without.
pub fn to_watch(kind: Kind) -> Vec<Permission> {
    let workload: Needed = ("apps", kind.resource(), &["get", "list", "watch"]);
    [workload, ("", "pods", FOLLOW)].iter().flat_map(each).collect()
}

/// What rolling a Deployment out that exists needs besides; `inside` with requests from a Job.
pub fn to_change(inside: bool) -> Vec<Permission> {
    let load = if inside { FOR_LOAD } else { &[] };
    let change: Needed = ("apps", "deployments", &["patch"]);
    [change].iter().chain(load).flat_map(each).collect()
}

/// What looking on sees more with: Services and their endpoints, and the cluster's events.
pub fn to_see(resource: Seen) -> Vec<Permission> {
    let needed: &[Needed] = match resource {
        Seen::Endpoints => {
            &[("", "services", &["list"]), ("discovery.k8s.io", "endpointslices", FOLLOW)]
        }
        Seen::Events => &[("", "events", FOLLOW)],
    };
    needed.iter().flat_map(each).collect()
}

/// What is seen where it is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Services, and the endpoints they publish.
    Endpoints,
    /// The cluster's events.
    Events,
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

/// Asks the cluster for every permission that a rollout needs, and where they are written down.
///
/// # Errors
/// Names every one that is missing.
pub(super) async fn check(
    cluster: &Cluster,
    needed: &[Permission],
    role: Role,
) -> Result<(), KubernetesError> {
    let missing = missing(cluster, needed).await?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(forbidden(cluster, &missing, role))
}

/// The error for what is not permitted.
pub(crate) fn forbidden(cluster: &Cluster, missing: &[Permission], role: Role) -> KubernetesError {
    let missing = missing.iter().map(|permission| permission.name()).collect();
    cluster.failed(ClusterProblem::Forbidden {
        namespace: cluster.namespace.clone(),
        missing,
        role,
    })
}

/// Which of these are not permitted.
///
/// # Errors
/// When the cluster does not say.
pub(crate) async fn missing(
    cluster: &Cluster,
    asked: &[Permission],
) -> Result<Vec<Permission>, KubernetesError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let (reviews, namespace) = (&reviews, &cluster.namespace);
    let asked = asked.iter().map(|&permission| async move {
        let review = permission.review(namespace);
        let params = PostParams::default();
        let answer = persist(|| reviews.create(&params, &review)).await;
        let answer = answer.map_err(|error| {
            cluster.failed(ClusterProblem::of(&error, "SelfSubjectAccessReview", "answer"))
        })?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        Ok((!allowed).then_some(permission))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}
