//! The Job's pod: a real process of the real binary, told what the Job says.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    api::CLUSTER_IP,
    pods::{collection, name, pod, status},
    store::Store,
};

/// What a container has written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) text: String,
    pub(crate) over: bool,
}

/// The load's pod. Its process ends with it.
pub(crate) struct LoadPod {
    pub(crate) name: String,
    log: watch::Receiver<Log>,
    process: Arc<Mutex<Option<Pid>>>,
}

impl LoadPod {
    /// Starts the Job's pod; the Service's name leads to `service`, as in the cluster's DNS.
    pub(crate) fn start(store: &Store, job: &Value, service: Option<SocketAddr>) -> Self {
        let pod_name = format!("{}-x7k2p", name(job));
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().expect("arguments");
        let arguments = arguments.iter().map(|a| a.as_str().expect("text").to_owned());
        // Nobody listens where no pod is real.
        let service = service.unwrap_or_else(|| SocketAddr::from(([127, 77, 0, 1], 9)));
        let arguments = arguments.map(|argument| {
            if argument == format!("http://{CLUSTER_IP}:80") {
                format!("http://{service}")
            } else {
                argument
            }
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_websample"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let pid = Pid::from_raw(child.id().cast_signed());
        let process = Arc::new(Mutex::new(Some(pid)));
        let (sender, log) = watch::channel(Log::default());
        let (image, pods) =
            (container["image"].as_str().expect("an image"), collection("", "pods"));
        let state = |state: &Value| {
            pod(job, &pod_name, image, &status(image, Some("127.77.1.1"), state, true, &json!({})))
        };
        store.put(&pods, &pod_name, state(&json!({"running": {}})));
        let (store, running, name) = (store.clone(), Arc::clone(&process), pod_name.clone());
        thread::spawn(move || {
            let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
            for line in lines.map_while(Result::ok) {
                sender.send_modify(|log| {
                    log.text.push_str(&line);
                    log.text.push('\n');
                });
            }
            // Under the lock, so that nobody signals who has taken its number over.
            let mut running = running.lock().expect("not poisoned");
            let exit = child.wait().expect("it was there");
            *running = None;
            sender.send_modify(|log| log.over = true);
            let code = exit.code().unwrap_or(137);
            store.update(&pods, &name, |pod| {
                let container = &mut pod["status"]["containerStatuses"][0];
                container["state"] = json!({"terminated": {"exitCode": code}});
            });
            if store.get(&pods, &name).is_some_and(|pod| deleted(&pod)) {
                store.remove(&pods, &name);
            }
        });
        Self { name: pod_name, log, process }
    }

    pub(crate) fn log(&self) -> watch::Receiver<Log> {
        self.log.clone()
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        self.process.lock().expect("not poisoned").map(Pid::as_raw)
    }

    /// SIGTERM, as a kubelet does for a deleted pod.
    pub(crate) fn terminate(&mut self, store: &Store) {
        store.update(&collection("", "pods"), &self.name, |pod| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
        });
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.process.lock().expect("not poisoned") {
            kill(pid, signal).expect("it is there");
        }
    }
}

fn deleted(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

impl Drop for LoadPod {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
