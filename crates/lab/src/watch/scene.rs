//! What there is to be looked at, and what may be.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::{PodTemplateSpec, Service},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Resource, api::ListParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use websample_manifest::{Rule, Source, selects as labels_select};

use super::WatchArgs;
use crate::{
    advice::Manifest,
    cluster::kubernetes::{
        Cluster, ClusterProblem, HookTime, Kind, KubernetesError, Permission, Reference, Role,
        Seen, Served, View, Watched, Workload, access, persist::persist, to_see, to_watch,
    },
};

/// So many other workloads are named where one is not there.
const NAMED: usize = 10;

/// A workload on a cluster, with what belongs to it.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) cluster: Cluster,
    pub(super) reference: Reference,
    /// As it was at the beginning.
    pub(super) workload: Workload,
    /// The Service whose endpoints its pods are.
    pub(super) service: Option<Service>,
    /// All that lead to its pods; `None` where they may not be looked at.
    services: Option<Vec<Service>>,
    /// What protects its pods; `None` where that may not be looked at.
    budgets: Option<Vec<PodDisruptionBudget>>,
    pub(super) served: Served,
    events: bool,
    /// What is not seen, and why.
    notes: Vec<String>,
}

impl Scene {
    /// Finds what was asked for; changes nothing. `more` is what else has to be permitted, and `role` says
    /// where all that is written down.
    ///
    /// # Errors
    /// No cluster, no permission, or no such workload.
    pub(super) async fn find(
        args: &WatchArgs,
        more: &[Permission],
        role: Role,
    ) -> Result<Self, KubernetesError> {
        let cluster = Cluster::connect(&args.location()).await?;
        let reference = args.workload.clone();
        let needed = [&to_watch(reference.kind), more].concat();
        let missing = access::missing(&cluster, &needed).await?;
        if !missing.is_empty() {
            return Err(access::forbidden(&cluster, &missing, role));
        }
        let mut notes = Vec::new();
        let mut may = async |seen: Seen, without: &str| {
            let missing = access::missing(&cluster, &to_see(seen)).await?;
            if let Some(first) = missing.first() {
                notes.push(format!("{} is not permitted: {without}", first.name()));
            }
            Ok::<_, KubernetesError>(missing.is_empty())
        };
        let endpoints = may(Seen::Endpoints, "endpoints are not seen").await?;
        let events =
            may(Seen::Events, "hooks, SIGTERM and failed probes of foreign servers are not seen")
                .await?;
        let may_budgets = may(Seen::Budgets, "disruption budgets are not judged").await?;
        let workload = workload(&cluster, &reference).await?;
        let template = workload.template();
        let (service, services) = if endpoints {
            let all: Vec<Service> = all(&cluster, "Services").await?;
            let leads = |service: &&Service| selects(service, template);
            let leading = all.iter().filter(leads).cloned().collect();
            let wanted = args.service.as_deref();
            (service(&cluster, all, wanted, template, &mut notes)?, Some(leading))
        } else {
            (None, None)
        };
        let budgets = if may_budgets {
            let mut all: Vec<PodDisruptionBudget> = all(&cluster, "PodDisruptionBudgets").await?;
            all.retain(|budget| protects(budget, template));
            Some(all)
        } else {
            None
        };
        let spec = template.and_then(|template| template.spec.clone()).unwrap_or_default();
        let annotations = template.and_then(|template| template.metadata.as_ref());
        let annotations = annotations.and_then(|metadata| metadata.annotations.clone());
        let annotation = |name: &str| annotations.as_ref()?.get(name).cloned();
        let served = Served::of(&spec, annotation, service.as_ref());
        Ok(Self { cluster, reference, workload, service, services, budgets, served, events, notes })
    }

    /// The manifest of what is looked at, as the cluster had it at the beginning: that is what the pods
    /// that end are made from. `now` is what it is in the end.
    pub(super) fn manifest(&self, now: Option<&Workload>) -> Manifest {
        let mut manifest = Manifest::default();
        let mut add = |object: Option<Value>| {
            let Some(object) = object else { return };
            let name = format!("object {}", manifest.sources.len() + 1);
            manifest.sources.push(Source::object(name, &object));
        };
        add(match &self.workload {
            Workload::Deployment(object) => written(object),
            Workload::StatefulSet(object) => written(object),
            Workload::DaemonSet(object) => written(object),
        });
        self.services.iter().flatten().for_each(|service| add(written(service)));
        self.budgets.iter().flatten().for_each(|budget| add(written(budget)));
        if self.services.is_none() {
            manifest.notes.push("Services may not be listed, and are not judged".to_owned());
        }
        if self.budgets.is_none() {
            manifest.unread.push(Rule::NoDisruptionBudget);
            manifest
                .notes
                .push("disruption budgets may not be listed, and are not judged".to_owned());
        }
        if now.is_some_and(|now| pods(now) != pods(&self.workload)) {
            manifest.notes.push(
                "the rollout changed more than images: this is about the manifest before it, which the \
                 pods that ended were made from"
                    .to_owned(),
            );
        }
        manifest
    }

    /// What is to be watched.
    pub(super) fn watched(&self) -> Watched {
        Watched {
            workload: self.reference.clone(),
            service: self.service.as_ref().and_then(|service| service.metadata.name.clone()),
            selector: self.workload.selector(),
            served: self.served.clone(),
            events: self.events,
        }
    }

    /// What is looked at, and what is not seen of it.
    pub(super) fn announcement(&self, view: &View, args: &WatchArgs) -> String {
        let ready = view.pods.iter().filter(|pod| pod.ready && !pod.terminating).count();
        let service = self.service.as_ref().and_then(|service| service.metadata.name.as_deref());
        let endpoints =
            service.map_or_else(String::new, |service| format!(", endpoints of Service {service}"));
        let until = match (args.follow, view.settled()) {
            (true, _) => "until Ctrl-C",
            (false, true) => "until the next rollout is over",
            (false, false) => "until the rollout is over",
        };
        let mut text = format!(
            "{}, Kubernetes {}: {}: {ready} of {} pods ready{endpoints}; image {}; {}; {until}; times are UTC",
            self.cluster.name,
            self.cluster.version,
            self.reference.title(&self.cluster.namespace),
            self.workload.wanted(),
            self.image(),
            self.ending(),
        );
        for note in &self.notes {
            text.push('\n');
            text.push_str(note);
        }
        text
    }

    /// The image at the beginning.
    pub(super) fn image(&self) -> String {
        let spec = self.workload.template().and_then(|template| template.spec.as_ref());
        spec.map_or_else(String::new, |spec| self.served.image(spec).to_owned())
    }

    /// The preStop hook, in words.
    pub(super) fn hook(&self) -> String {
        let spec = self.workload.template().and_then(|template| template.spec.as_ref());
        match spec.and_then(|spec| self.served.hook(spec)) {
            None => "none".to_owned(),
            Some(HookTime::Sleeps(time)) => format!("sleep:{}", humantime::format_duration(time)),
            Some(HookTime::Unknown) => "a program's".to_owned(),
        }
    }

    /// The grace period, in seconds.
    pub(super) fn grace(&self) -> i64 {
        let spec = self.workload.template().and_then(|template| template.spec.as_ref());
        spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30)
    }

    fn ending(&self) -> String {
        format!("preStop hook {}, grace period {} s", self.hook(), self.grace())
    }
}

/// The workload, or what there is instead.
async fn workload(cluster: &Cluster, wanted: &Reference) -> Result<Workload, KubernetesError> {
    let Reference { kind, name } = wanted;
    let found = match kind {
        Kind::Deployment => get(cluster, name)
            .await
            .map(|o: Option<Deployment>| o.map(Box::new).map(Workload::Deployment)),
        Kind::StatefulSet => get(cluster, name)
            .await
            .map(|o: Option<StatefulSet>| o.map(Box::new).map(Workload::StatefulSet)),
        Kind::DaemonSet => get(cluster, name)
            .await
            .map(|o: Option<DaemonSet>| o.map(Box::new).map(Workload::DaemonSet)),
    };
    let object = wanted.title(&cluster.namespace);
    let found =
        found.map_err(|error| cluster.failed(ClusterProblem::of(&error, &object, "get")))?;
    if let Some(workload) = found {
        return Ok(workload);
    }
    let there = instead(wanted, &cluster.namespace, &others(cluster).await);
    Err(cluster.failed(ClusterProblem::Missing { object, there }))
}

/// What namespaces have, and the client can read.
trait Listed:
    Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + std::fmt::Debug
{
}

impl<K> Listed for K where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
{
}

async fn get<K: Listed>(cluster: &Cluster, name: &str) -> kube::Result<Option<K>> {
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    persist(|| api.get_opt(name)).await
}

/// Everything that rolls pods out there, as far as it may be seen.
async fn others(cluster: &Cluster) -> Vec<Reference> {
    let mut all = Vec::new();
    all.extend(named::<Deployment>(cluster, Kind::Deployment).await);
    all.extend(named::<StatefulSet>(cluster, Kind::StatefulSet).await);
    all.extend(named::<DaemonSet>(cluster, Kind::DaemonSet).await);
    all
}

async fn named<K: Listed>(cluster: &Cluster, kind: Kind) -> Vec<Reference> {
    let some = ListParams::default().limit(500);
    let items = listed::<K>(cluster, &some).await.unwrap_or_default();
    let names = items.into_iter().filter_map(|item| item.meta().name.clone());
    names.map(|name| Reference { kind, name }).collect()
}

/// What to say of a workload that is not there.
fn instead(wanted: &Reference, namespace: &str, there: &[Reference]) -> String {
    if there.is_empty() {
        return format!(
            "nothing that could be seen is rolled out in namespace {namespace}: name another one with --namespace"
        );
    }
    // The same name, of another kind, is what was meant.
    if let Some(same) = there.iter().find(|other| other.name == wanted.name) {
        return format!("there is {same}: `websample watch {same} -n {namespace}`");
    }
    let mut names: Vec<_> = there.iter().map(ToString::to_string).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("in namespace {namespace} there are {}{more}", names.join(", "))
}

/// Everything of a kind in the namespace.
async fn all<K: Listed>(cluster: &Cluster, kinds: &str) -> Result<Vec<K>, KubernetesError> {
    let all = listed(cluster, &ListParams::default()).await;
    all.map_err(|error| cluster.failed(ClusterProblem::of(&error, kinds, "list")))
}

async fn listed<K: Listed>(cluster: &Cluster, params: &ListParams) -> kube::Result<Vec<K>> {
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    persist(|| api.list(params)).await.map(|list| list.items)
}

/// An object as a file has it.
fn written(object: &impl Serialize) -> Option<Value> {
    serde_json::to_value(object).ok()
}

/// What pods are made from, but for their images.
fn pods(workload: &Workload) -> Option<Value> {
    let mut spec = written(&workload.template()?.spec)?;
    for containers in ["containers", "initContainers"] {
        for container in spec[containers].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    Some(spec)
}

/// Whether a budget is about the pods of a template.
fn protects(budget: &PodDisruptionBudget, template: Option<&PodTemplateSpec>) -> bool {
    let labels = template.and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| labels_select(selector, labels))
}

/// The Service that leads to pods of this template.
fn service(
    cluster: &Cluster,
    mut all: Vec<Service>,
    wanted: Option<&str>,
    template: Option<&PodTemplateSpec>,
    notes: &mut Vec<String>,
) -> Result<Option<Service>, KubernetesError> {
    let name = |service: &Service| service.metadata.name.clone().unwrap_or_default();
    if let Some(wanted) = wanted {
        if let Some(found) = all.iter().find(|service| name(service) == wanted) {
            return Ok(Some(found.clone()));
        }
        let names: Vec<_> = all.iter().map(name).take(NAMED).collect();
        let there = if names.is_empty() {
            "the namespace has no Service".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        let object = format!("Service {}/{wanted}", cluster.namespace);
        return Err(cluster.failed(ClusterProblem::Missing { object, there }));
    }
    all.retain(|service| selects(service, template));
    all.sort_by_key(|service| (disregards_readiness(service), is_headless(service), name(service)));
    if all.is_empty() {
        notes.push("no Service selects its pods: endpoints are not seen".to_owned());
    } else if all.len() > 1 {
        let others: Vec<_> = all[1..].iter().map(name).collect();
        notes.push(format!(
            "Service {} selects its pods too: name one with --service",
            others.join(", ")
        ));
    }
    Ok(all.into_iter().next())
}

/// Whether a Service selects the pods of a template.
pub(super) fn selects(service: &Service, template: Option<&PodTemplateSpec>) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let labels = template.and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    let (Some(selector), Some(labels)) = (selector, labels) else { return false };
    !selector.is_empty() && selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Whether its endpoints say nothing of readiness.
fn disregards_readiness(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_instead_is_told() {
        let web: Reference = "web".parse().expect("a name");
        let of = |names: &[&str]| -> Vec<Reference> {
            names.iter().map(|name| name.parse().expect("a name")).collect()
        };
        let text = |names: &[&str]| instead(&web, "shop", &of(names));
        assert!(text(&[]).contains("namespace shop"));
        assert!(text(&["api", "sts/web"]).contains("`websample watch statefulset/web -n shop`"));
        assert_eq!(
            text(&["api", "ds/agent"]),
            "in namespace shop there are deployment/api, daemonset/agent"
        );
        let many: Vec<_> = (0..13).map(|n| format!("a{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(text(&many).ends_with("deployment/a9 and 3 more"), "{}", text(&many));
    }

    #[test]
    fn a_service_selects_pods_that_have_all_its_labels() {
        let template: PodTemplateSpec = serde_json::from_value(json!({
            "metadata": {"labels": {"app": "web", "tier": "front"}},
        }))
        .expect("a template");
        let service = |selector| -> Service {
            serde_json::from_value(json!({"spec": {"selector": selector}})).expect("a Service")
        };
        let selected = |selector| selects(&service(selector), Some(&template));
        assert!(selected(json!({"app": "web"})));
        assert!(!selected(json!({"app": "web", "track": "stable"})));
        assert!(!selected(json!({})), "one without a selector has its endpoints from elsewhere");
    }
}
