//! Pods, endpoints and the Deployment as they change, until dropped.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{
    Api,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use super::{
    connect::Cluster,
    error::reason,
    manifests::is_load,
    observer::{Glance, Observer, PodEnd, containers},
    trouble::{self, Trouble},
};
use crate::timeline::Timeline;

/// A watch that cannot be taken up again for so long has nothing left to tell in time.
const BLIND: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The Deployment and the Service.
    pub name: String,
    /// The labels of the pods, the load's among them.
    pub selector: String,
}

/// What is seen at the moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The Deployment's pods that exist.
    pub pods: Vec<Glance>,
    /// How many of them are published as ready.
    pub published: usize,
    /// The Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// The pod of the load.
    pub load: Option<Arc<Pod>>,
    /// What pods said of their ends.
    pub reports: Vec<PodEnd>,
    /// How often a watch broke off and began anew.
    pub restarts: u64,
    /// Why nothing is seen any more.
    pub blind: Option<String>,
    /// Every pod as it is, and since when it has been known.
    objects: BTreeMap<String, (Arc<Pod>, Instant)>,
}

impl View {
    /// A reason to give up; `impatient` if nobody will wait longer.
    pub fn trouble(&self, impatient: bool) -> Option<Trouble> {
        let of_pod =
            |(pod, since): &(Arc<Pod>, Instant)| trouble::of_pod(pod, since.elapsed(), impatient);
        let of_pods = self.objects.values().find_map(of_pod);
        // What is wrong with a pod tells more than that there is no progress.
        of_pods.or_else(|| self.deployment.as_deref().and_then(trouble::of_deployment))
    }

    /// What is still missing, in words.
    pub fn missing(&self) -> String {
        let leaving = self.pods.iter().filter(|pod| pod.terminating).count();
        let load = match &self.load {
            Some(_) => "",
            None => "; the load has no pod",
        };
        let deployment = trouble::missing(self.deployment.as_deref());
        format!("{deployment}, {leaving} leaving, {} published{load}", self.published)
    }

    /// The name of the load's pod, once it runs, or did.
    pub fn load_runs(&self) -> Option<String> {
        let pod = self.load.as_deref()?;
        let state = containers(pod).find_map(|container| container.state.as_ref())?;
        (state.running.is_some() || state.terminated.is_some())
            .then(|| pod.metadata.name.clone())?
    }

    /// Whether all is as the Deployment wants it, and nothing else is left.
    pub fn settled(&self) -> bool {
        let deployment = self.deployment.as_deref();
        let wanted = deployment.and_then(|d| d.spec.replicas).unwrap_or(1);
        deployment.is_some_and(trouble::complete)
            && self.pods.len() == wanted as usize
            && self.pods.iter().all(|pod| pod.ready && !pod.terminating)
    }
}

/// Sees and records what happens, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    view: watch::Receiver<View>,
    task: JoinHandle<()>,
}

/// Something that arrived.
enum Change {
    Pod(Event<Pod>),
    Slice(Event<EndpointSlice>),
    Deployment(Event<Deployment>),
    Broke(String),
}

impl Watch {
    /// Begins to watch. `version` says which version an image is.
    pub fn start(
        cluster: &Cluster,
        watched: &Watched,
        timeline: Timeline,
        version: impl Fn(&str) -> Arc<str> + Send + Sync + 'static,
    ) -> Self {
        let (client, namespace) = (&cluster.client, &cluster.namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let config = watcher::Config::default;
        let service = format!("kubernetes.io/service-name={}", watched.name);
        let named = format!("metadata.name={}", watched.name);
        let changes = stream::select_all([
            changes(watcher(pods, config().labels(&watched.selector)), Change::Pod),
            changes(watcher(slices, config().labels(&service)), Change::Slice),
            changes(watcher(deployments, config().fields(&named)), Change::Deployment),
        ]);
        let (sender, view) = watch::channel(View::default());
        let mut watching = Watching::new(timeline, sender);
        let task = tokio::spawn(async move {
            let mut changes = std::pin::pin!(changes);
            let mut broken: Option<Instant> = None;
            while let Some(change) = changes.next().await {
                match change {
                    Change::Broke(why) => {
                        let since = *broken.get_or_insert_with(Instant::now);
                        watching.broke(why, since.elapsed() >= BLIND);
                    }
                    change => {
                        broken = None;
                        watching.take(change, &version);
                    }
                }
            }
        });
        Self { view, task }
    }

    /// What is seen, as it changes.
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A watch as changes; it begins anew by itself, also where the cluster has forgotten where it was.
fn changes<K: Send + 'static>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    change: impl Fn(Event<K>) -> Change + Send + 'static,
) -> stream::BoxStream<'static, Change> {
    let changes = events.default_backoff().map(move |event| match event {
        Ok(event) => change(event),
        Err(error) => Change::Broke(reason(&error)),
    });
    changes.boxed()
}

struct Watching {
    observer: Observer,
    timeline: Timeline,
    view: watch::Sender<View>,
    /// Since when pods are known, while they are listed anew: a watch that breaks again and again
    /// must not begin everybody's patience again.
    listed: HashMap<String, Instant>,
}

impl Watching {
    fn new(timeline: Timeline, view: watch::Sender<View>) -> Self {
        Self { observer: Observer::default(), timeline, view, listed: HashMap::new() }
    }

    fn broke(&mut self, why: String, for_good: bool) {
        self.view.send_modify(|view| {
            view.restarts += 1;
            view.blind = for_good.then_some(why);
        });
    }

    fn take(&mut self, change: Change, version: &impl Fn(&str) -> Arc<str>) {
        let at = self.timeline.now();
        let Self { observer, timeline, view, listed } = self;
        view.send_modify(|view| {
            view.blind = None;
            match change {
                Change::Pod(Event::Apply(pod) | Event::InitApply(pod)) => {
                    if is_load(pod.metadata.labels.as_ref()) {
                        view.load = Some(Arc::new(pod.clone()));
                    } else {
                        observer.pod(at, &pod, version, timeline);
                    }
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    let known = view.objects.get(&name).map(|(_, since)| since);
                    let since = known.or(listed.get(&name)).copied();
                    let since = since.unwrap_or_else(Instant::now);
                    view.objects.insert(name, (Arc::new(pod), since));
                }
                Change::Pod(Event::Delete(pod)) => {
                    if !is_load(pod.metadata.labels.as_ref()) {
                        observer.pod_gone(at, &pod, timeline);
                    }
                    view.objects.remove(pod.metadata.name.as_deref().unwrap_or_default());
                }
                Change::Pod(Event::Init) => {
                    observer.pods_listing();
                    let known = std::mem::take(&mut view.objects);
                    listed.extend(known.into_iter().map(|(name, (_, since))| (name, since)));
                }
                Change::Pod(Event::InitDone) => {
                    observer.pods_listed(at, timeline);
                    listed.clear();
                }
                Change::Slice(Event::Apply(slice) | Event::InitApply(slice)) => {
                    observer.slice(at, &slice, timeline);
                }
                Change::Slice(Event::Delete(slice)) => observer.slice_gone(at, &slice, timeline),
                Change::Slice(Event::Init) => observer.slices_listing(),
                Change::Slice(Event::InitDone) => observer.slices_listed(at, timeline),
                Change::Deployment(Event::Apply(deployment) | Event::InitApply(deployment)) => {
                    view.deployment = Some(Arc::new(deployment));
                }
                Change::Deployment(Event::Delete(_) | Event::Init) => view.deployment = None,
                Change::Deployment(Event::InitDone) | Change::Broke(_) => {}
            }
            view.pods = observer.pods();
            view.published = observer.published();
            view.reports = observer.reports();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_listed_again_and_again_is_known_since_it_was_first_seen() {
        let (sender, view) = watch::channel(View::default());
        let mut watching = Watching::new(Timeline::new(Instant::now()), sender);
        let mut pod = Pod::default();
        pod.metadata.name = Some("web-1".to_owned());
        let version = |_: &str| Arc::from("v1");
        let first = Instant::now();
        for _ in 0..3 {
            watching.take(Change::Pod(Event::Init), &version);
            // The watch may break in the middle of a listing, too.
            watching.take(Change::Pod(Event::Init), &version);
            watching.take(Change::Pod(Event::InitApply(pod.clone())), &version);
            watching.take(Change::Pod(Event::InitDone), &version);
            assert_eq!(view.borrow().objects["web-1"].1, first);
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        // One that has gone meanwhile, and comes back, is a new one.
        watching.take(Change::Pod(Event::Init), &version);
        watching.take(Change::Pod(Event::InitDone), &version);
        watching.take(Change::Pod(Event::Apply(pod)), &version);
        assert_eq!(view.borrow().objects["web-1"].1, first + Duration::from_secs(30));
    }
}
