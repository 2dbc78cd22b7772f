//! The API server of a test: its objects, what it permits, and what is behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread,
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    behaviour::Behaviour,
    load::{LoadPod, Log},
    pods,
    real::Real,
    requests,
    store::{Collection, Refusal, Store},
};

/// The namespace that there is.
pub(crate) const NAMESPACE: &str = "websample";

/// Every Service's address: what is sent there is led to where it really is.
pub(crate) const CLUSTER_IP: &str = "10.96.0.7";

/// A request, as a Role would permit it: group, resource, verb.
pub(crate) type Requested = (String, String, String);

/// An API server; cheap to clone. It ends with its [`Server`].
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    inner: Arc<Mutex<Inner>>,
    service: SocketAddr,
}

struct Inner {
    behaviours: BTreeMap<String, Behaviour>,
    forbidden: BTreeSet<(String, String)>,
    refusals: BTreeMap<String, Refusal>,
    requested: BTreeSet<Requested>,
    watches: CancellationToken,
    logs: CancellationToken,
    /// The requests whose first answer was broken off, where that is done.
    broken: Option<BTreeSet<String>>,
    /// The real clusters, by Deployment.
    real: BTreeMap<String, Real>,
    loads: BTreeMap<String, LoadPod>,
}

/// A running API server and the kubeconfig that leads to it.
pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) directory: TempDir,
    address: std::net::SocketAddr,
    handle: ServerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// A server with a namespace, on which pods of both images behave like this.
    pub(crate) fn start(v1: Behaviour, v2: Behaviour) -> Self {
        let server = Self::empty(v1, v2);
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        server.api.store.put(&Collection::of("", "namespaces", ""), NAMESPACE, namespace);
        server
    }

    /// The same without the namespace.
    pub(crate) fn empty(v1: Behaviour, v2: Behaviour) -> Self {
        let api = Api::new(v1, v2);
        let (sender, started) = mpsc::channel();
        let shared = api.clone();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let data = web::Data::new(shared);
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(data.clone())
                        .app_data(web::PayloadConfig::new(1 << 20))
                        .default_service(web::to(requests::answer))
                })
                .workers(1)
                .disable_signals()
                .shutdown_timeout(0)
                .bind("127.0.0.1:0")
                .expect("a free port");
                let address = server.addrs()[0];
                let running = server.run();
                sender.send((address, running.handle())).expect("the test waits");
                running.await.expect("it serves");
            });
        });
        let (address, handle) = started.recv().expect("it starts");
        let directory = tempfile::tempdir().expect("a directory");
        let server = Self { api, directory, address, handle, thread: Some(thread) };
        server.write_kubeconfig();
        server
    }

    fn write_kubeconfig(&self) {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
        });
        std::fs::write(self.kubeconfig(), config.to_string()).expect("written");
    }

    /// The path of the kubeconfig.
    pub(crate) fn kubeconfig(&self) -> String {
        self.directory.path().join("kubeconfig").to_string_lossy().into_owned()
    }

    /// The arguments of a rollout on it: one mode, quick, and these.
    pub(crate) fn arguments<'a>(&self, more: &[&'a str]) -> Vec<String> {
        let kubeconfig = self.kubeconfig();
        let mut all: Vec<&'a str> = vec!["--target", "kubernetes", "--replicas", "2"];
        all.extend(more);
        let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        all.extend(["--kubeconfig".to_owned(), kubeconfig]);
        all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.api.end();
        // The thread ends when it has stopped.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Api {
    fn new(v1: Behaviour, v2: Behaviour) -> Self {
        let behaviours = [("websample:v1", v1), ("websample:v2", v2)];
        let behaviours = behaviours.into_iter().map(|(image, b)| (image.to_owned(), b)).collect();
        Self {
            service: own_address(),
            store: Store::new(),
            inner: Arc::new(Mutex::new(Inner {
                behaviours,
                forbidden: BTreeSet::new(),
                refusals: BTreeMap::new(),
                requested: BTreeSet::new(),
                watches: CancellationToken::new(),
                logs: CancellationToken::new(),
                broken: None,
                real: BTreeMap::new(),
                loads: BTreeMap::new(),
            })),
        }
    }

    /// Where the first Deployment's Service is: an address that no other test has.
    pub(crate) fn service_address(&self) -> SocketAddr {
        self.service
    }

    /// Whoever asks may not do this.
    pub(crate) fn forbid(&self, verb: &str, resource: &str) {
        self.lock().forbidden.insert((verb.to_owned(), resource.to_owned()));
    }

    pub(crate) fn forbids(&self, verb: &str, resource: &str) -> bool {
        self.lock().forbidden.contains(&(verb.to_owned(), resource.to_owned()))
    }

    /// Applying such a thing is refused, as by a quota or an admission webhook.
    pub(crate) fn refuse(&self, resource: &str, refusal: Refusal) {
        self.lock().refusals.insert(resource.to_owned(), refusal);
    }

    pub(crate) fn refuses(&self, resource: &str) -> Option<Refusal> {
        self.lock().refusals.get(resource).cloned()
    }

    pub(crate) fn record(&self, verb: &str, group: &str, resource: &str) {
        let requested = (group.to_owned(), resource.to_owned(), verb.to_owned());
        self.lock().requested.insert(requested);
    }

    /// Everything that was asked for so far.
    pub(crate) fn requested(&self) -> BTreeSet<Requested> {
        self.lock().requested.clone()
    }

    /// Breaks off the first answer to every request from now on, watches and logs aside.
    pub(crate) fn break_answers(&self) {
        self.lock().broken = Some(BTreeSet::new());
    }

    pub(crate) fn breaks_answer(&self, request: String) -> bool {
        let broken = &mut self.lock().broken;
        broken.as_mut().is_some_and(|broken| broken.insert(request))
    }

    /// Breaks every watch off.
    pub(crate) fn break_watches(&self) {
        std::mem::take(&mut self.lock().watches).cancel();
    }

    pub(crate) fn watch_token(&self) -> CancellationToken {
        self.lock().watches.clone()
    }

    /// Breaks every log that is followed off.
    pub(crate) fn break_logs(&self) {
        std::mem::take(&mut self.lock().logs).cancel();
    }

    pub(crate) fn log_token(&self) -> CancellationToken {
        self.lock().logs.clone()
    }

    pub(crate) fn log(&self, pod: &str) -> Option<watch::Receiver<Log>> {
        self.lock().loads.get(pod).map(LoadPod::log)
    }

    /// Waits until this is so.
    pub(crate) fn wait_for(&self, so: impl Fn(&Store) -> bool) {
        let mut versions = self.store.versions();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let wait = async {
                while !so(&self.store) {
                    versions.changed().await.expect("the store is there");
                }
            };
            tokio::time::timeout(crate::lab::PATIENCE, wait).await.expect("it comes to be so");
        });
    }

    /// The process ids of everything that runs for it.
    pub(crate) fn load_processes(&self) -> Vec<i32> {
        self.lock().loads.values().filter_map(LoadPod::pid).collect()
    }

    /// What the controllers do about an object that was applied.
    pub(crate) fn applied(&self, collection: &Collection, name: &str, object: &Value) {
        match collection.resource.as_str() {
            "services" => self.store.update(collection, name, |service| {
                service["spec"]["clusterIP"] = json!(CLUSTER_IP);
            }),
            "deployments" => self.roll_out(name, object),
            "jobs" => {
                let deployment = name.strip_suffix("-load").expect("a load's name");
                let address = {
                    let real = &self.lock().real;
                    // The load of somebody's own Deployment has another name.
                    real.get(deployment).or_else(|| real.values().next()).map(Real::service)
                };
                let load = LoadPod::start(&self.store, object, address);
                self.lock().loads.entry(load.name.clone()).or_insert(load);
            }
            _ => {}
        }
    }

    fn roll_out(&self, name: &str, deployment: &Value) {
        let image = pods::image(deployment);
        let behaviour = self.lock().behaviours.get(&image).cloned();
        match behaviour.unwrap_or_else(|| panic!("nothing is known of image {image}")) {
            Behaviour::Real => {
                let mut inner = self.lock();
                let store = &self.store;
                let mut at = self.service;
                at.set_port(at.port() + inner.real.len() as u16);
                let real = inner.real.entry(name.to_owned());
                real.or_insert_with(|| Real::start(store, deployment, at)).roll_out(deployment);
            }
            scripted => scripted.roll_out(&self.store, deployment),
        }
    }

    /// Removes an object, and what hangs on it.
    pub(crate) fn deleted(&self, collection: &Collection, name: &str, object: &Value) {
        match collection.resource.as_str() {
            "pods" => {
                let mut inner = self.lock();
                if let Some(real) = inner.real.values().find(|real| real.has(name)) {
                    real.delete(name);
                    return;
                }
                // It is the load's; it goes when its process has ended.
                let load = inner.loads.get_mut(name).expect("nobody's pod is deleted");
                load.terminate(&self.store);
                return;
            }
            "jobs" => {
                let load = self.lock().loads.remove(&format!("{name}-x7k2p"));
                if let Some(load) = load {
                    self.store.remove(&pods::collection("", "pods"), &load.name);
                }
            }
            "deployments" => {
                self.lock().real.remove(name);
                pods::remove_of(&self.store, object);
            }
            _ => {}
        }
        self.store.remove(collection, name);
    }

    /// Evicts a pod of a Deployment; whether its budget allows that.
    pub(crate) fn evicted(&self, pod: &str) -> bool {
        let inner = self.lock();
        inner.real.values().find(|real| real.has(pod)).is_none_or(|real| real.evict(pod))
    }

    fn end(&self) {
        let mut inner = self.lock();
        inner.watches.cancel();
        inner.logs.cancel();
        inner.real.clear();
        inner.loads.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A loopback address that no other server of this process has, nor one of another process.
fn own_address() -> SocketAddr {
    static SERVERS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = SERVERS.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from(([127, 192 + high % 32, low, number], 8_000))
}
