//! What all parts of a cluster share.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinSet;
use websample_kubernetes::Fenceposts;

use super::{
    address::{Addresses, PodAddress},
    error::ClusterError,
    hint::reaches,
    logs::Logs,
    process::Processes,
    seed::Seed,
    spec::{ClusterSpec, CommandTemplate, Identity},
    store::{Pod, State, Store},
};
use crate::timeline::Timeline;

/// The cluster's insides.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) spec: ClusterSpec,
    pub(super) seed: Seed,
    pub(super) store: Store,
    pub(super) timeline: Timeline,
    pub(super) processes: Processes,
    pub(super) addresses: Addresses,
    tasks: Mutex<JoinSet<()>>,
}

impl Node {
    pub(super) fn new(spec: ClusterSpec, timeline: Timeline) -> Result<Self, ClusterError> {
        spec.validate()?;
        if let Some(directory) = &spec.logs {
            fs::create_dir_all(directory).map_err(|source| logs_error(directory, source))?;
        }
        Ok(Self {
            seed: Seed::new(spec.seed),
            store: Store::new(spec.replicas),
            timeline,
            addresses: Addresses::new(&spec)?,
            processes: Processes::new().map_err(|e| ClusterError::Watchdog(Arc::new(e)))?,
            tasks: Mutex::default(),
            spec,
        })
    }

    /// The bounds of the Deployment's updates, with the replicas that it has now.
    pub(super) fn bounds(&self, state: &State) -> Fenceposts {
        let spec = &self.spec;
        Fenceposts::resolve(state.replicas, spec.max_surge, spec.max_unavailable)
    }

    /// Runs a task until it ends or the cluster does.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Ends everything, at once.
    pub(super) fn stop(&self) {
        self.timeline.end();
        self.processes.kill_all();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Where pods' servers listen that were not told to.
    pub(super) fn listeners_elsewhere(&self) -> BTreeSet<SocketAddr> {
        let mut listeners = self.processes.listeners();
        self.store.read(|state| {
            for (pod, _) in state.pods.values() {
                let PodAddress { app, admin, .. } = pod.address;
                listeners.retain(|at| !reaches(*at, app) && !reaches(*at, admin));
            }
        });
        listeners
    }

    /// Where a pod's output goes.
    pub(super) fn logs_of(&self, pod: &Pod) -> Result<Logs, ClusterError> {
        let Some(directory) = &self.spec.logs else { return Ok(Logs::new(None)) };
        let path = directory.join(format!("{}.log", pod.name));
        let file = File::create(&path).map_err(|source| logs_error(&path, source))?;
        Ok(Logs::new(Some(file)))
    }
}

fn logs_error(path: &Path, source: std::io::Error) -> ClusterError {
    ClusterError::Logs { path: path.display().to_string(), source: Arc::new(source) }
}

/// What a pod is given on this disk.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    /// The certificate and the key, where it is to have them.
    pub(super) identity: Option<&'a Identity>,
    /// The directory of its own, where it wants one.
    pub(super) directory: Option<&'a Path>,
}

impl CommandTemplate {
    /// The command of one pod, its placeholders filled in and its environment complete.
    pub(super) fn render(&self, pod: &Pod, given: &Given<'_>) -> Self {
        let host = pod.address.app.ip().to_string();
        let port = pod.address.app.port().to_string();
        let admin_port = pod.address.admin.port().to_string();
        let path = |path: &Path| path.display().to_string();
        let certificate = given.identity.map(|identity| path(&identity.certificate));
        let key = given.identity.map(|identity| path(&identity.key));
        let directory = given.directory.map(path);
        let values = [
            ("{host}", Some(host.as_str())),
            ("{port}", Some(&port)),
            ("{admin_port}", Some(&admin_port)),
            ("{version}", Some(&pod.version)),
            ("{pod}", Some(&pod.name)),
            ("{cert}", certificate.as_deref()),
            ("{key}", key.as_deref()),
            ("{dir}", directory.as_deref()),
        ];
        // Where there is nothing of that name, the braces are the command's own.
        let values = values.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        let values: Vec<_> = values.collect();
        let fill = |text: &str| {
            values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(**name, value))
        };
        let given = [
            ("HOST", Some(host.as_str())),
            ("PORT", Some(&port)),
            ("ADMIN_PORT", Some(&admin_port)),
            ("VERSION", Some(&pod.version)),
            ("version", Some(&pod.version)),
            ("POD_NAME", Some(&pod.name)),
            ("TLS_CERT", certificate.as_deref()),
            ("TLS_KEY", key.as_deref()),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let own = self.env.iter().map(|(key, value)| (key.clone(), fill(value)));
        Self {
            program: fill(&self.program),
            args: self.args.iter().map(|arg| fill(arg)).collect(),
            env: given.chain(own).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::endpoints::tests::pod, *};

    #[test]
    fn placeholders_are_filled_in_and_others_left_alone() {
        let template = CommandTemplate::new(
            "./{version}/server",
            ["--listen={host}:{port}", "{admin_port}", "{\"json\": {}}", "{key}"],
        )
        .env("LOG", "{pod}.log")
        .env("VERSION", "mine");
        let command = template.render(&pod(0), &Given::default());
        assert_eq!(command.program, "./v1/server");
        assert_eq!(command.args, ["--listen=127.9.9.1:5000", "9000", "{\"json\": {}}", "{key}"]);
        let last = |key| command.env.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        for (key, value) in [
            ("HOST", "127.9.9.1"),
            ("PORT", "5000"),
            ("ADMIN_PORT", "9000"),
            ("version", "v1"),
            ("VERSION", "mine"),
            ("POD_NAME", "pod-0"),
            ("LOG", "pod-0.log"),
        ] {
            assert_eq!(last(key), Some(value), "{key}");
        }
        assert_eq!(last("TLS_CERT"), None);
    }

    #[test]
    fn files_are_filled_in_where_a_pod_is_given_them() {
        let identity = Identity { certificate: "/tmp/x/crt".into(), key: "/tmp/x/key".into() };
        let given = Given { identity: Some(&identity), directory: Some(Path::new("/tmp/x/pod")) };
        let template = CommandTemplate::new("server", ["{cert}", "--key={key}", "{dir}/conf"]);
        let command = template.render(&pod(0), &given);
        assert_eq!(command.args, ["/tmp/x/crt", "--key=/tmp/x/key", "/tmp/x/pod/conf"]);
        let told = ("TLS_KEY".to_owned(), "/tmp/x/key".to_owned());
        assert!(command.env.contains(&told), "{:?}", command.env);
    }
}
