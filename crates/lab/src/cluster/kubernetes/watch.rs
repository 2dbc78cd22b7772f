//! Pods, endpoints, their events and their workload as they change, until dropped.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::{Event as ClusterEvent, Pod},
    discovery::v1::EndpointSlice,
};
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
    observer::{Glance, Observer, PodEnd},
    reference::{Kind, Reference},
    served::{Served, containers},
    trouble::{self, Trouble},
    workload::Workload,
};
use crate::timeline::Timeline;

/// A watch that cannot be taken up again for so long has nothing left to tell in time.
const BLIND: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The workload.
    pub workload: Reference,
    /// The Service whose endpoints its pods are, if there is one.
    pub service: Option<String>,
    /// The labels of the pods, the load's among them.
    pub selector: String,
    /// The container that is looked at.
    pub served: Served,
    /// Whether the cluster's events about the pods are listened to.
    pub events: bool,
}

/// What is seen at the moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The workload's pods that exist.
    pub pods: Vec<Glance>,
    /// How many of them are published as ready.
    pub published: usize,
    /// The workload; `None` before it was seen, and when it is gone.
    pub workload: Option<Arc<Workload>>,
    /// The pod of the load.
    pub load: Option<Arc<Pod>>,
    /// What pods said of their ends.
    pub reports: Vec<PodEnd>,
    /// How often a watch broke off and began anew.
    pub restarts: u64,
    /// Why nothing is seen any more.
    pub blind: Option<String>,
    /// What has been listed whole.
    listed: Listed,
    /// Every pod as it is, and since when it has been known.
    objects: BTreeMap<String, (Arc<Pod>, Instant)>,
}

/// When what had been listed whole.
#[derive(Debug, Clone, Copy, Default)]
struct Listed {
    pods: Option<Duration>,
    slices: Option<Duration>,
    workload: Option<Duration>,
    events: Option<Duration>,
}

impl View {
    /// A reason to give up; `impatient` if nobody will wait longer.
    pub fn trouble(&self, impatient: bool) -> Option<Trouble> {
        let of_pod =
            |(pod, since): &(Arc<Pod>, Instant)| trouble::of_pod(pod, since.elapsed(), impatient);
        let of_pods = self.objects.values().find_map(of_pod);
        // What is wrong with a pod tells more than that there is no progress.
        of_pods.or_else(|| self.workload.as_deref().and_then(Workload::trouble))
    }

    /// When all that there was at the beginning had been seen.
    pub fn begun(&self) -> Option<Duration> {
        let Listed { pods, slices, workload, events } = self.listed;
        pods?.max(slices?).max(workload?).max(events?).into()
    }

    /// A pod as it is.
    pub fn pod(&self, name: &str) -> Option<&Arc<Pod>> {
        self.objects.get(name).map(|(pod, _)| pod)
    }

    /// What is still missing, in words.
    pub fn missing(&self) -> String {
        let leaving = self.pods.iter().filter(|pod| pod.terminating).count();
        let load = match &self.load {
            Some(_) => "",
            None => "; the load has no pod",
        };
        let workload = self.workload.as_deref();
        let workload = workload.map_or_else(|| "it was not seen".to_owned(), Workload::missing);
        format!("{workload}, {leaving} leaving, {} published{load}", self.published)
    }

    /// The name of the load's pod, once it runs, or did.
    pub fn load_runs(&self) -> Option<String> {
        let pod = self.load.as_deref()?;
        let state = containers(pod).find_map(|container| container.state.as_ref())?;
        (state.running.is_some() || state.terminated.is_some())
            .then(|| pod.metadata.name.clone())?
    }

    /// Whether all is as the workload wants it, and nothing else is left.
    pub fn settled(&self) -> bool {
        let Some(workload) = self.workload.as_deref() else { return false };
        workload.complete()
            && self.pods.len() == workload.wanted() as usize
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
#[allow(clippy::large_enum_variant)] // One at a time, and none is kept.
enum Change {
    Pod(Event<Pod>),
    Slice(Event<EndpointSlice>),
    Workload(Event<Workload>),
    Event(Event<ClusterEvent>),
    Broke(String),
}

impl Watch {
    /// Begins to watch. `version` says which version a pod runs.
    pub fn start(
        cluster: &Cluster,
        watched: &Watched,
        timeline: Timeline,
        version: impl Fn(&Pod) -> Arc<str> + Send + Sync + 'static,
    ) -> Self {
        let mut changes = stream::select_all(watches(cluster, watched));
        let (sender, view) = watch::channel(View::default());
        let mut watching = Watching::new(watched, timeline, sender);
        let task = tokio::spawn(async move {
            let mut broken: Option<Instant> = None;
            loop {
                let due = watching.next_due();
                let change = tokio::select! {
                    change = changes.next() => change,
                    () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                        watching.pass();
                        continue;
                    }
                };
                match change {
                    None => break,
                    Some(Change::Broke(why)) => {
                        let since = *broken.get_or_insert_with(Instant::now);
                        watching.broke(why, since.elapsed() >= BLIND);
                    }
                    Some(change) => {
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

/// Everything that is watched, as changes.
fn watches(cluster: &Cluster, watched: &Watched) -> Vec<stream::BoxStream<'static, Change>> {
    let (client, namespace) = (&cluster.client, &cluster.namespace);
    let config = watcher::Config::default;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let named = config().fields(&format!("metadata.name={}", watched.workload.name));
    let workload = match watched.workload.kind {
        Kind::Deployment => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            changes(watcher(api, named), |e| Change::Workload(of(e, Workload::Deployment)))
        }
        Kind::StatefulSet => {
            let api: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
            changes(watcher(api, named), |e| Change::Workload(of(e, Workload::StatefulSet)))
        }
        Kind::DaemonSet => {
            let api: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
            changes(watcher(api, named), |e| Change::Workload(of(e, Workload::DaemonSet)))
        }
    };
    let mut all =
        vec![changes(watcher(pods, config().labels(&watched.selector)), Change::Pod), workload];
    if let Some(service) = &watched.service {
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let service = config().labels(&format!("kubernetes.io/service-name={service}"));
        all.push(changes(watcher(slices, service), Change::Slice));
    }
    if watched.events {
        let events: Api<ClusterEvent> = Api::namespaced(client.clone(), namespace);
        let of_pods = config().fields("involvedObject.kind=Pod");
        all.push(changes(watcher(events, of_pods), Change::Event));
    }
    all
}

/// What happened to a workload of one kind.
fn of<K>(event: Event<K>, kind: impl Fn(Box<K>) -> Workload) -> Event<Workload> {
    match event {
        Event::Apply(object) => Event::Apply(kind(Box::new(object))),
        Event::Delete(object) => Event::Delete(kind(Box::new(object))),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(kind(Box::new(object))),
        Event::InitDone => Event::InitDone,
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
    workload: Reference,
    timeline: Timeline,
    view: watch::Sender<View>,
    /// Since when pods are known, while they are listed anew: a watch that breaks again and again
    /// must not begin everybody's patience again.
    listed: HashMap<String, Instant>,
    /// Whether a listing of the workload has named it so far.
    named: bool,
}

impl Watching {
    fn new(watched: &Watched, timeline: Timeline, view: watch::Sender<View>) -> Self {
        view.send_modify(|view| {
            // What is not watched need not be waited for.
            view.listed.slices = watched.service.is_none().then_some(Duration::ZERO);
            view.listed.events = (!watched.events).then_some(Duration::ZERO);
        });
        Self {
            observer: Observer::new(watched.served.clone()),
            workload: watched.workload.clone(),
            timeline,
            view,
            listed: HashMap::new(),
            named: false,
        }
    }

    fn broke(&mut self, why: String, for_good: bool) {
        self.view.send_modify(|view| {
            view.restarts += 1;
            view.blind = for_good.then_some(why);
        });
    }

    fn next_due(&self) -> Option<Instant> {
        self.observer.next_due().map(|due| self.timeline.start() + due)
    }

    fn pass(&mut self) {
        self.observer.pass(self.timeline.now(), &self.timeline);
    }

    fn take(&mut self, change: Change, version: &impl Fn(&Pod) -> Arc<str>) {
        let at = self.timeline.now();
        let Self { observer, workload: reference, timeline, view, listed, named } = self;
        // Not a view for every event of a namespace, of which nearly all are about others.
        if let Change::Event(Event::Apply(event) | Event::InitApply(event)) = &change {
            observer.event(at, event, timeline);
            return;
        }
        view.send_modify(|view| {
            view.blind = None;
            match change {
                Change::Pod(Event::Apply(pod) | Event::InitApply(pod)) => {
                    let pod = Arc::new(pod);
                    if is_load(pod.metadata.labels.as_ref()) {
                        view.load = Some(Arc::clone(&pod));
                    } else if reference.owns(&pod) {
                        observer.pod(at, &pod, version, timeline);
                    } else {
                        return;
                    }
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    let known = view.objects.get(&name).map(|(_, since)| since);
                    let since = known.or(listed.get(&name)).copied();
                    let since = since.unwrap_or_else(Instant::now);
                    view.objects.insert(name, (pod, since));
                }
                Change::Pod(Event::Delete(pod)) => {
                    let pod = Arc::new(pod);
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
                    view.listed.pods.get_or_insert(at);
                }
                Change::Slice(Event::Apply(slice) | Event::InitApply(slice)) => {
                    observer.slice(at, &slice, timeline);
                }
                Change::Slice(Event::Delete(slice)) => observer.slice_gone(at, &slice, timeline),
                Change::Slice(Event::Init) => observer.slices_listing(),
                Change::Slice(Event::InitDone) => {
                    observer.slices_listed(at, timeline);
                    view.listed.slices.get_or_insert(at);
                }
                Change::Workload(Event::Apply(workload) | Event::InitApply(workload)) => {
                    *named = true;
                    view.workload = Some(Arc::new(workload));
                }
                Change::Workload(Event::Delete(_)) => view.workload = None,
                Change::Workload(Event::Init) => *named = false,
                Change::Workload(Event::InitDone) => {
                    view.listed.workload.get_or_insert(at);
                    if !*named {
                        view.workload = None;
                    }
                }
                Change::Event(Event::InitDone) => {
                    observer.events_listed();
                    view.listed.events.get_or_insert(at);
                }
                Change::Event(_) | Change::Broke(_) => {}
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
        let watched = Watched {
            workload: "web".parse().expect("a name"),
            service: None,
            selector: String::new(),
            served: Served { container: None, port_name: None, port: 80 },
            events: false,
        };
        let mut watching = Watching::new(&watched, Timeline::new(Instant::now()), sender);
        let mut pod = Pod::default();
        pod.metadata.name = Some("web-1".to_owned());
        let version = |_: &Pod| Arc::from("v1");
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
