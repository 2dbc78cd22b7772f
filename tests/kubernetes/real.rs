//! Pods that are real processes of the real server: a Deployment, run by the lab's own emulation of
//! a cluster, and shown as objects of the API.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::mpsc as tokio_mpsc, time::Instant};
use websample_lab::{
    cluster::local::{
        ClusterError, ClusterSpec, CommandTemplate, IntOrPercent, Listener, LocalCluster, Port,
        PreStop, Probe, ProbeAction, Probes, Scheme,
    },
    timeline::{Conditions, Exit, PodRecord, What},
};

use crate::{
    pods::{collection, deployment_status, image, name, pod, replicas, slice, status},
    store::Store,
};

/// What a Deployment says of its pods.
#[derive(Debug, Clone, Default, PartialEq)]
struct Wanted {
    version: String,
    replicas: u32,
    recreates: bool,
    restarted: Value,
}

impl Wanted {
    fn of(deployment: &Value) -> Self {
        let template = &deployment["spec"]["template"]["metadata"];
        Self {
            version: image(deployment).rsplit(':').next().expect("a tag").to_owned(),
            replicas: replicas(deployment) as u32,
            recreates: deployment["spec"]["strategy"]["type"] == "Recreate",
            restarted: template["annotations"]["kubectl.kubernetes.io/restartedAt"].clone(),
        }
    }

    /// Does what a Deployment's controller would about a change.
    async fn reconcile(self, before: Self, cluster: &LocalCluster) -> Result<(), ClusterError> {
        if before.version.is_empty() {
            return cluster.start(&self.version).await;
        }
        if self.replicas != before.replicas {
            return cluster.scale(self.replicas).await;
        }
        if self.version == before.version && self.restarted != before.restarted {
            return cluster.restart().await;
        }
        if self.recreates {
            return cluster.recreate(&self.version).await;
        }
        cluster.rollout(&self.version).await
    }
}

/// A Deployment with real pods. They end with it.
pub(crate) struct Real {
    service: SocketAddr,
    cluster: Arc<LocalCluster>,
    /// Dropped, it ends the cluster.
    wanted: Option<tokio_mpsc::UnboundedSender<Wanted>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Real {
    pub(crate) fn start(store: &Store, deployment: &Value, at: SocketAddr) -> Self {
        let (wanted, commands) = tokio_mpsc::unbounded_channel();
        let (sender, started) = mpsc::channel();
        let (store, deployment) = (store.clone(), deployment.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(run(store, deployment, at, commands, sender));
        });
        let (service, cluster) = started.recv().expect("it starts");
        Self { service, cluster, wanted: Some(wanted), thread: Some(thread) }
    }

    /// Where its Service is.
    pub(crate) fn service(&self) -> SocketAddr {
        self.service
    }

    /// Rolls out what the Deployment says now.
    pub(crate) fn roll_out(&self, deployment: &Value) {
        let wanted = self.wanted.as_ref().expect("it lives");
        wanted.send(Wanted::of(deployment)).expect("it goes on");
    }

    /// Whether it has this pod.
    pub(crate) fn has(&self, pod: &str) -> bool {
        self.cluster.pods().iter().any(|known| *known.name == *pod)
    }

    /// Somebody deletes a pod.
    pub(crate) fn delete(&self, pod: &str) {
        self.cluster.delete(pod);
    }

    /// Somebody evicts a pod; whether the budget allows it.
    pub(crate) fn evict(&self, pod: &str) -> bool {
        self.cluster.try_evict(pod)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(
    store: Store,
    deployment: Value,
    at: SocketAddr,
    mut commands: tokio_mpsc::UnboundedReceiver<Wanted>,
    started: mpsc::Sender<(SocketAddr, Arc<LocalCluster>)>,
) {
    let messages = tempfile::tempdir().expect("a directory");
    let spec = spec(&deployment, &messages);
    let cluster = Arc::new(LocalCluster::new(spec, Instant::now()).expect("a cluster"));
    let service = Listener::bind(at, cluster.service()).await.expect("an address of its own");
    started.send((service.local_addr(), Arc::clone(&cluster))).expect("the test waits");
    let mirror = Mirror { store, deployment, messages };
    let mut changes = cluster.timeline().subscribe();
    let mut wanted = Wanted::default();
    loop {
        mirror.show(&cluster, &wanted);
        tokio::select! {
            command = commands.recv() => {
                let Some(next) = command else { break };
                if next != wanted {
                    let before = std::mem::replace(&mut wanted, next.clone());
                    let cluster = Arc::clone(&cluster);
                    tokio::spawn(async move {
                        next.reconcile(before, &cluster).await.expect("it is rolled out");
                    });
                }
            }
            _ = changes.recv() => {}
            // Availability is no event of the timeline.
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    drop(service);
}

/// What the Deployment's manifest says, for the emulation.
fn spec(deployment: &Value, messages: &TempDir) -> ClusterSpec {
    let told = &deployment["spec"];
    let pod = &told["template"]["spec"];
    let container = &pod["containers"][0];
    let message = messages.path().join("{pod}").to_string_lossy().into_owned();
    // The kubelet makes the file of the termination message before the container starts.
    let begin = r#": > "$1"; shift; exec "$@""#;
    let mut command = CommandTemplate::new(
        "sh",
        [
            "-c",
            begin,
            "sh",
            &message,
            env!("CARGO_BIN_EXE_websample"),
            "serve",
            "--version",
            "{version}",
            "--instance",
            "{pod}",
            "--listen",
            "{host}:{port}",
            "--admin.listen",
            "{host}:{admin_port}",
            "--termination_log",
            &message,
            "--log.level",
            "error",
        ],
    );
    for variable in container["env"].as_array().expect("variables") {
        let text = |name: &str| variable[name].as_str().expect("text").to_owned();
        command = command.env(text("name"), text("value"));
    }
    let bound = |name: &str| -> IntOrPercent {
        let bound = &told["strategy"]["rollingUpdate"][name];
        let text = bound.as_str().map_or_else(|| bound.to_string(), str::to_owned);
        text.parse().expect("a bound")
    };
    let seconds = |value: &Value| Duration::from_secs(value.as_u64().expect("seconds"));
    let at_admin = |get: &Value| {
        assert_eq!(get["port"], "admin");
        get["path"].as_str().expect("a path").to_owned()
    };
    let probe = &container["readinessProbe"];
    let action = ProbeAction::HttpGet {
        path: at_admin(&probe["httpGet"]),
        port: Port::Admin,
        scheme: Scheme::Http,
    };
    let readiness = Probe {
        failure_threshold: probe["failureThreshold"].as_u64().expect("a number") as u32,
        ..Probe::new(action).every(seconds(&probe["periodSeconds"]))
    };
    let hook = &container["lifecycle"]["preStop"];
    let pre_stop = match (&hook["httpGet"], &hook["sleep"]) {
        (Value::Object(_), _) => PreStop::Http {
            path: at_admin(&hook["httpGet"]),
            port: Port::Admin,
            scheme: Scheme::Http,
        },
        (_, Value::Object(_)) => PreStop::Sleep(seconds(&hook["sleep"]["seconds"])),
        _ => PreStop::None,
    };
    ClusterSpec {
        name: name(deployment),
        replicas: replicas(deployment) as u32,
        max_surge: bound("maxSurge"),
        max_unavailable: bound("maxUnavailable"),
        grace: seconds(&pod["terminationGracePeriodSeconds"]),
        probes: Probes { readiness: Some(readiness), ..Probes::default() },
        pre_stop,
        syn_timeout: Duration::from_secs(5),
        container_start: Duration::from_millis(50)..Duration::from_millis(150),
        late_sync: 0.0,
        seed: 7,
        ..ClusterSpec::new(command)
    }
}

/// Shows the cluster as objects.
struct Mirror {
    store: Store,
    deployment: Value,
    messages: TempDir,
}

impl Mirror {
    fn show(&self, cluster: &LocalCluster, wanted: &Wanted) {
        let pods = collection("", "pods");
        let records = cluster.timeline().pods();
        let mut endpoints = BTreeMap::new();
        for record in &records {
            if record.first(|what| *what == What::Removed).is_some() {
                self.store.remove(&pods, &record.name);
                continue;
            }
            self.store.put(&pods, &record.name, self.pod(record));
            if let Some(Conditions { serving, terminating }) = published(record) {
                let address = record.address.ip().to_string();
                endpoints.insert(record.name.to_string(), (address, serving, terminating));
            }
        }
        let endpoints: Vec<_> =
            endpoints.into_iter().map(|(pod, (a, s, t))| (pod, a, s, t)).collect();
        slice(&self.store, &name(&self.deployment), &endpoints);
        // Those that are leaving are none of the Deployment's.
        let here: Vec<_> = cluster.pods().into_iter().filter(|pod| !pod.terminating).collect();
        let new =
            |pod: &&websample_lab::cluster::local::PodSummary| *pod.version == *wanted.version;
        let counts = [
            here.len() as u64,
            here.iter().filter(new).count() as u64,
            here.iter().filter(|pod| pod.ready).count() as u64,
        ];
        deployment_status(&self.store, &name(&self.deployment), counts, &json!([]));
    }

    fn pod(&self, record: &PodRecord) -> Value {
        let image = format!("websample:{}", record.version);
        let began = record.first(|what| *what == What::Started).is_some();
        let state = match record.exit() {
            Some(exit) => {
                let message = std::fs::read_to_string(self.messages.path().join(&*record.name));
                let code = exit.status();
                json!({"terminated": {
                    "exitCode": code, "message": message.unwrap_or_default(),
                    "reason": if code == 0 { "Completed" } else { "Error" },
                }})
            }
            None if began => json!({"running": {}}),
            None => json!({"waiting": {"reason": "ContainerCreating"}}),
        };
        let ready = record.events.iter().rev().find_map(|event| match event.what {
            What::Ready => Some(true),
            What::NotReady | What::Exited(Exit::Code(_) | Exit::Signal(_)) => Some(false),
            _ => None,
        });
        let address = record.address.ip().to_string();
        let address = began.then_some(address.as_str());
        let status = status(&image, address, &state, ready.unwrap_or(false), &json!({}));
        let mut pod = pod(&self.deployment, &record.name, &image, &status);
        if record.first(|what| *what == What::Deleted).is_some() {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        }
        pod
    }
}

/// The pod's endpoint as it was published last.
fn published(record: &PodRecord) -> Option<Conditions> {
    record.events.iter().rev().find_map(|event| match event.what {
        What::EndpointChanged(conditions) => Some(conditions),
        _ => None,
    })
}
