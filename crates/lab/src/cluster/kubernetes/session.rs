//! Applying objects and removing them again, and nothing else: what was there before is left alone.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::{
    Api,
    api::{
        ApiResource, DeleteParams, DynamicObject, EvictParams, ListParams, Patch, PatchParams,
        Preconditions, PropagationPolicy,
    },
};

use tokio::time::Instant;

use super::{
    access,
    args::Options,
    connect::Cluster,
    error::{ClusterProblem, KubernetesError, Role},
    manifests::{FIELD_MANAGER, MANAGED_BY, MANAGER, Made, Manifest, RUN},
    persist::persist,
};
use crate::audience::Said;

/// Removing everything takes no longer, whatever the cluster does.
const REMOVAL_LIMIT: Duration = Duration::from_secs(20);
/// A namespace that is being removed is waited for: its pods have their grace period.
const NAMESPACE_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at it.
const NAMESPACE_LOOK: Duration = Duration::from_millis(500);
/// So many of a namespace's latest warnings are told.
const WARNINGS: usize = 8;

/// A cluster with everything that was put there.
#[derive(Debug)]
pub struct Session {
    /// The cluster.
    pub cluster: Cluster,
    /// What it was told.
    pub options: Options,
    id: String,
    /// What was asked for, before it was: an interrupt may come in between.
    placed: Mutex<Vec<Placed>>,
    /// What is to be told at the end.
    said: Mutex<Vec<Said>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Placed {
    run: String,
    /// The mode it is for; empty for the namespace.
    mode: String,
    resource: ApiResource,
    name: String,
}

impl Placed {
    fn title(&self, namespace: &str) -> String {
        if self.resource.kind == "Namespace" {
            return format!("Namespace {}", self.name);
        }
        format!("{} {namespace}/{}", self.resource.kind, self.name)
    }
}

impl Session {
    /// Finds the cluster and what may be done there; changes nothing.
    ///
    /// # Errors
    /// No cluster, or something that is not permitted.
    pub async fn open(options: Options, id: String) -> Result<Self, KubernetesError> {
        let cluster = Cluster::connect(&options.location).await?;
        let needed = access::permissions(options.url.is_none());
        access::check(&cluster, &needed, Role::Rollout).await?;
        access::check(&cluster, &access::for_events(&options.events), Role::Events).await?;
        Ok(Self::on(cluster, options, id))
    }

    /// One on a cluster of which it is known what may be done there.
    pub(crate) fn on(cluster: Cluster, options: Options, id: String) -> Self {
        Self { cluster, options, id, placed: Mutex::default(), said: Mutex::default() }
    }

    /// Makes the namespace, if it is missing. One that is being removed, as after a rollout that made
    /// it, is waited for.
    ///
    /// # Errors
    /// Where the cluster refuses it.
    pub async fn prepare(&self, tell: impl Fn(Said)) -> Result<(), KubernetesError> {
        let name = &self.cluster.namespace;
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        let until = Instant::now() + NAMESPACE_LIMIT;
        let mut waits = false;
        loop {
            match persist(|| namespaces.get_opt(name)).await {
                Ok(Some(there)) if there.metadata.deletion_timestamp.is_some() => {}
                Ok(Some(_)) => return Ok(()),
                // Whoever may not look is told by the first object whether it is there.
                Err(kube::Error::Api(status)) if status.code == 403 => return Ok(()),
                Ok(None) => break,
                Err(error) => return Err(self.failed(&error, &format!("Namespace {name}"), "get")),
            }
            if Instant::now() >= until {
                let (name, after) = (name.clone(), NAMESPACE_LIMIT);
                return Err(self.cluster.failed(ClusterProblem::Terminating { name, after }));
            }
            if !waits {
                let limit = NAMESPACE_LIMIT.as_secs();
                tell(Said::Warning(format!(
                    "namespace {name} is still being removed: waiting for that, {limit} s at most"
                )));
                waits = true;
            }
            // To watch namespaces takes a right that the Role does not give.
            tokio::time::sleep(NAMESPACE_LOOK).await;
        }
        let manifest = Manifest {
            resource: ApiResource::erase::<Namespace>(&()),
            name: name.clone(),
            object: serde_json::json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {MANAGED_BY: MANAGER, RUN: self.id}},
            }),
        };
        self.send(placed(&self.id, "", &manifest), &manifest).await.map(drop)
    }

    /// Applies an object of a run; again, if it was applied before.
    ///
    /// # Errors
    /// An object of that name that is somebody else's, and everything the cluster refuses.
    pub async fn apply(
        &self,
        made: &Made<'_>,
        manifest: &Manifest,
    ) -> Result<DynamicObject, KubernetesError> {
        let placed = placed(&made.run, &made.value(), manifest);
        if !self.lock().contains(&placed) {
            self.unoccupied(manifest).await?;
        }
        self.send(placed, manifest).await
    }

    async fn send(
        &self,
        placed: Placed,
        manifest: &Manifest,
    ) -> Result<DynamicObject, KubernetesError> {
        let title = placed.title(&self.cluster.namespace);
        let api = self.api(&placed.resource);
        {
            let mut all = self.lock();
            if !all.contains(&placed) {
                all.push(placed);
            }
        }
        // Not by force: a field that somebody else manages is a reason to stop.
        let params = PatchParams::apply(FIELD_MANAGER);
        let patch = Patch::Apply(&manifest.object);
        let applied = persist(|| api.patch(&manifest.name, &params, &patch)).await;
        applied.map_err(|error| self.failed(&error, &title, "apply"))
    }

    /// Refuses a name that is taken.
    async fn unoccupied(&self, manifest: &Manifest) -> Result<(), KubernetesError> {
        let title = placed("", "", manifest).title(&self.cluster.namespace);
        let api = self.api(&manifest.resource);
        let there = persist(|| api.get_opt(&manifest.name)).await;
        let there = there.map_err(|error| self.failed(&error, &title, "get"))?;
        let Some(there) = there else { return Ok(()) };
        Err(self.cluster.failed(occupied(&there, title, &self.cluster.namespace)))
    }

    /// Deletes a pod; one that has gone already is none to fail for.
    ///
    /// # Errors
    /// Where the cluster refuses it.
    pub(crate) async fn delete_pod(&self, name: &str) -> Result<(), KubernetesError> {
        let pods = self.pods();
        let params = DeleteParams::default();
        match persist(|| pods.delete(name, &params)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop).map_err(|error| self.failed(&error, &pod(name), "delete")),
        }
    }

    /// Evicts a pod; `false` where a budget does not allow it now.
    ///
    /// # Errors
    /// Where the cluster refuses it for another reason.
    pub(crate) async fn evict(&self, name: &str) -> Result<bool, KubernetesError> {
        let pods = self.pods();
        let params = EvictParams::default();
        match persist(|| pods.evict(name, &params)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 429 => Ok(false),
            Err(error) => Err(self.failed(&error, &pod(name), "evict")),
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace)
    }

    /// Removes what is there of one mode of a run, and says what could not be.
    pub async fn remove(&self, made: &Made<'_>) -> Vec<String> {
        let mode = made.value();
        self.remove_all(|placed| placed.run == made.run && placed.mode == mode).await
    }

    /// The last that was made is the first to go: the namespace is the last.
    async fn remove_all(&self, which: impl Fn(&Placed) -> bool) -> Vec<String> {
        let mut left = Vec::new();
        loop {
            let next = self.lock().iter().rposition(&which);
            let Some(next) = next else { break };
            let placed = self.lock()[next].clone();
            if let Err(error) = self.remove_one(&placed).await {
                left.push(format!("{}: {error}", placed.title(&self.cluster.namespace)));
            }
            // Taken out only now: an interrupt in between leaves it to whoever comes next.
            self.lock().retain(|other| *other != placed);
        }
        left
    }

    async fn remove_one(&self, placed: &Placed) -> Result<(), kube::Error> {
        let api = self.api(&placed.resource);
        let Some(there) = persist(|| api.get_opt(&placed.name)).await? else { return Ok(()) };
        let run = there.metadata.labels.as_ref().and_then(|labels| labels.get(RUN));
        if run.is_none_or(|run| *run != placed.run) {
            // It never came to be, and somebody else has the name.
            return Ok(());
        }
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: there.metadata.uid, resource_version: None }),
            ..DeleteParams::default()
        };
        match persist(|| api.delete(&placed.name, &params)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// Removes everything that is still there, within 20 s, or says how to; with --keep it says
    /// how to look at it, too.
    pub async fn close(&self) -> Vec<Said> {
        let mut said = std::mem::take(&mut *self.said());
        let namespace = &self.cluster.namespace;
        let runs = self.runs();
        if runs.is_empty() {
            return said;
        }
        if self.options.keep {
            said.push(Said::Kept(kept(namespace, &runs, self.made_namespace())));
            return said;
        }
        let left = tokio::time::timeout(REMOVAL_LIMIT, self.remove_all(|_| true)).await;
        let left = left.unwrap_or_else(|_| vec!["no answer in time".to_owned()]);
        if !left.is_empty() {
            said.push(Said::Warning(format!(
                "{}: not everything could be removed ({}); what is left: {}",
                self.cluster.name,
                left.join("; "),
                removal_command(namespace, &runs, self.made_namespace()),
            )));
        }
        said
    }

    /// Something could not be removed: told when the session is closed.
    pub(crate) fn could_not_remove(&self, what: &str) {
        self.said().push(Said::Warning(format!("could not be removed: {what}")));
    }

    /// What may be left, and how to remove it: for whoever does not wait for [`close`](Self::close).
    pub fn left(&self) -> String {
        let removal = removal_command(&self.cluster.namespace, &self.runs(), self.made_namespace());
        format!("{}: what may be left: {removal}", self.cluster.name)
    }

    /// The latest warnings of the namespace, the newest last.
    pub(crate) async fn warnings(&self) -> Vec<String> {
        let events: Api<Event> =
            Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        let warnings = ListParams::default().fields("type=Warning");
        let listed = persist(|| events.list(&warnings)).await;
        let mut events = listed.map(|list| list.items).unwrap_or_default();
        events.sort_by_key(|event| event.last_timestamp.clone());
        let about = |event: &Event| {
            let kind = event.involved_object.kind.clone().unwrap_or_default();
            let name = event.involved_object.name.clone().unwrap_or_default();
            let (reason, message) = (event.reason.clone(), event.message.clone());
            let (reason, message) = (reason.unwrap_or_default(), message.unwrap_or_default());
            format!("{kind} {name}: {reason}: {}", message.trim())
        };
        let mut warnings: Vec<_> = events.iter().map(about).collect();
        warnings.dedup();
        warnings.split_off(warnings.len().saturating_sub(WARNINGS))
    }

    fn runs(&self) -> Vec<String> {
        let mut runs: Vec<String> = Vec::new();
        for placed in self.lock().iter() {
            if !runs.contains(&placed.run) {
                runs.push(placed.run.clone());
            }
        }
        runs
    }

    fn made_namespace(&self) -> bool {
        self.lock().iter().any(|placed| placed.resource.kind == "Namespace")
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        let client = self.cluster.client.clone();
        if resource.kind == "Namespace" {
            return Api::all_with(client, resource);
        }
        Api::namespaced_with(client, &self.cluster.namespace, resource)
    }

    fn failed(&self, error: &kube::Error, title: &str, action: &'static str) -> KubernetesError {
        self.cluster.failed(ClusterProblem::of(error, title, action))
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Vec<Said>> {
        self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Placed>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pod(name: &str) -> String {
    format!("Pod {name}")
}

fn placed(run: &str, mode: &str, manifest: &Manifest) -> Placed {
    let (resource, name) = (manifest.resource.clone(), manifest.name.clone());
    Placed { run: run.to_owned(), mode: mode.to_owned(), resource, name }
}

/// Whose an object is that has the name of one to be made.
fn occupied(there: &DynamicObject, object: String, namespace: &str) -> ClusterProblem {
    let label = |name| there.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    match (label(MANAGED_BY), label(RUN)) {
        (Some(manager), Some(run)) if manager == MANAGER => {
            ClusterProblem::Taken { object, run: run.clone(), namespace: namespace.to_owned() }
        }
        _ => ClusterProblem::Foreign { object },
    }
}

/// The command that removes everything of these runs.
fn removal_command(namespace: &str, runs: &[String], made_namespace: bool) -> String {
    if made_namespace {
        return format!("kubectl delete namespace {namespace}");
    }
    let runs = runs.join(", ");
    format!("kubectl delete all,sa,pdb,netpol -n {namespace} -l '{RUN} in ({runs})'")
}

fn kept(namespace: &str, runs: &[String], made_namespace: bool) -> String {
    format!(
        "kept in namespace {namespace}:\n  look:   kubectl get all -n {namespace} -l {MANAGED_BY}={MANAGER}\n  remove: {}",
        removal_command(namespace, runs, made_namespace)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_an_object_is_decides_what_is_said() {
        let object = |labels: &[(&str, &str)]| {
            let labels: serde_json::Map<_, _> =
                labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
            let object = serde_json::json!({"metadata": {"name": "x", "labels": labels}});
            serde_json::from_value::<DynamicObject>(object).expect("an object")
        };
        let title = || "Service websample/websample-drain".to_owned();
        let said =
            |labels: &[(&str, &str)]| occupied(&object(labels), title(), "websample").to_string();
        let ours = said(&[(MANAGED_BY, MANAGER), (RUN, "r7")]);
        assert!(
            ours.contains("another rollout (r7)") && ours.contains("websample/run=r7"),
            "{ours}"
        );
        for foreign in [&[][..], &[(RUN, "r7")], &[(MANAGED_BY, "Helm"), (RUN, "r7")]] {
            let text = said(foreign);
            assert!(text.contains("not made by a rollout"), "{text}");
        }
    }

    #[test]
    fn what_is_kept_can_be_removed_with_the_command() {
        let runs = ["a1".to_owned(), "b2".to_owned()];
        assert!(kept("ns", &runs, false).contains("-n ns -l 'websample/run in (a1, b2)'"));
        assert!(kept("ns", &runs, true).contains("kubectl delete namespace ns"));
    }
}
