//! A workload of somebody else, whose pods do what a test says.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::{
    api::{NAMESPACE, Server},
    behaviour::Behaviour,
    pods::{collection, slice},
    store::Collection,
};

/// A workload on an API server, as its controller and the kubelet would have it.
pub(crate) struct Foreign {
    pub(crate) server: Server,
    kind: &'static str,
    replicas: usize,
    endpoints: RefCell<Vec<(String, String, bool, bool)>>,
    events: RefCell<u64>,
}

impl Foreign {
    /// One of this kind with so many pods that are ready, and a Service that leads to them.
    pub(crate) fn new(kind: &'static str, replicas: usize) -> Self {
        let server = Server::start(Behaviour::Ready, Behaviour::Ready);
        let service = json!({
            "metadata": {"name": "web-service"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
        });
        server.api.store.put(&collection("", "services"), "web-service", service);
        let template = json!({
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 30,
                "containers": [
                    {"name": "mesh", "image": "mesh:v7"},
                    {"name": "app", "image": "shop:v1", "ports": [{"name": "http", "containerPort": 8080}]},
                ],
            },
        });
        let object = json!({
            "metadata": {"name": "web", "namespace": NAMESPACE, "generation": 1},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                "template": template, "serviceName": "web-service",
            },
        });
        let foreign = Self {
            server,
            kind,
            replicas,
            endpoints: RefCell::default(),
            events: RefCell::default(),
        };
        foreign.server.api.store.put(&foreign.collection(), "web", object);
        for index in 0..replicas {
            foreign.create(&old(index), "aaaa");
            foreign.ready(&old(index));
        }
        foreign.complete();
        foreign
    }

    fn collection(&self) -> Collection {
        collection("apps", &format!("{}s", self.kind.to_lowercase()))
    }

    /// Changes the container's hook.
    pub(crate) fn hook(&self, hook: &Value) {
        self.server.api.store.update(&self.collection(), "web", |object| {
            let container = &mut object["spec"]["template"]["spec"]["containers"][1];
            container["lifecycle"] = json!({"preStop": hook});
        });
    }

    /// Its only pod is replaced by one of the second image, and nothing is left to do.
    pub(crate) fn update(&self) {
        self.set_image("shop:v2");
        self.replace(0);
        self.complete();
    }

    /// Somebody sets another image: the controller has not looked at it yet.
    pub(crate) fn set_image(&self, image: &str) {
        self.server.api.store.update(&self.collection(), "web", |object| {
            object["spec"]["template"]["spec"]["containers"][1]["image"] = json!(image);
            object["metadata"]["generation"] = json!(2);
        });
    }

    /// All its pods are new and available, as its status has it.
    pub(crate) fn complete(&self) {
        let all = self.replicas;
        self.server.api.store.update(&self.collection(), "web", |object| {
            object["status"] = json!({
                "observedGeneration": object["metadata"]["generation"], "replicas": all,
                "updatedReplicas": all, "availableReplicas": all, "readyReplicas": all,
                "currentRevision": "web-b", "updateRevision": "web-b",
                "desiredNumberScheduled": all, "currentNumberScheduled": all,
                "numberMisscheduled": 0, "numberReady": all, "numberAvailable": all,
                "updatedNumberScheduled": all,
            });
        });
    }

    /// The Deployment says this of itself.
    pub(crate) fn condition(&self, kind: &str, status: &str, reason: &str, message: &str) {
        self.server.api.store.update(&self.collection(), "web", |object| {
            object["status"]["conditions"] = json!([
                {"type": kind, "status": status, "reason": reason, "message": message},
            ]);
        });
    }

    pub(crate) fn create(&self, pod: &str, revision: &str) {
        let store = &self.server.api.store;
        let owner = store.get(&self.collection(), "web").expect("it is there");
        let template = owner["spec"]["template"].clone();
        let (label, kind, name) = match self.kind {
            "Deployment" => ("pod-template-hash", "ReplicaSet", format!("web-{revision}")),
            kind => ("controller-revision-hash", kind, "web".to_owned()),
        };
        let mut labels = template["metadata"]["labels"].clone();
        labels[label] = json!(revision);
        let object = json!({
            "metadata": {
                "name": pod, "namespace": NAMESPACE, "labels": labels,
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "o", "controller": true},
                ],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        });
        store.put(&collection("", "pods"), pod, object);
    }

    fn status(&self, pod: &str, change: impl Fn(&mut Value)) {
        self.server.api.store.update(&collection("", "pods"), pod, |object| {
            change(&mut object["status"]);
        });
    }

    /// The pod runs and is ready, and published.
    pub(crate) fn ready(&self, pod: &str) {
        let index = self.endpoints.borrow().len() + 1;
        let address = format!("127.77.{}.{}", index / 250, index % 250 + 1);
        self.status(pod, |status| {
            status["podIP"] = json!(address);
            status["conditions"] = json!([{"type": "Ready", "status": "True"}]);
            status["containerStatuses"] = json!([
                state("mesh", &json!({"running": {}}), 0),
                state("app", &json!({"running": {}}), 0),
            ]);
        });
        self.endpoints.borrow_mut().push((pod.to_owned(), address, true, false));
        self.publish();
    }

    fn publish(&self) {
        slice(&self.server.api.store, "web-service", &self.endpoints.borrow());
    }

    /// The pod's deletion is written, and its endpoint is taken out.
    pub(crate) fn delete(&self, pod: &str) {
        self.server.api.store.update(&collection("", "pods"), pod, |object| {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
            object["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        });
        for endpoint in self.endpoints.borrow_mut().iter_mut().filter(|(name, ..)| name == pod) {
            endpoint.3 = true;
        }
        self.publish();
    }

    /// Its container has ended.
    pub(crate) fn exit(&self, pod: &str, code: i32, reason: &str) {
        let ended = json!({"terminated": {"exitCode": code, "reason": reason}});
        self.status(pod, |status| {
            status["conditions"] = json!([{"type": "Ready", "status": "False"}]);
            status["containerStatuses"][1] = state("app", &ended, 0);
        });
    }

    /// Its container has ended, and runs again.
    pub(crate) fn restart(&self, pod: &str, times: u32, reason: &str) {
        self.status(pod, |status| {
            status["containerStatuses"][1] = state("app", &json!({"running": {}}), times);
            status["containerStatuses"][1]["lastState"] =
                json!({"terminated": {"exitCode": 137, "reason": reason}});
        });
    }

    pub(crate) fn remove(&self, pod: &str) {
        self.server.api.store.remove(&collection("", "pods"), pod);
        self.endpoints.borrow_mut().retain(|(name, ..)| name != pod);
        self.publish();
    }

    /// The kubelet writes an event about the pod's container.
    pub(crate) fn event(&self, pod: &str, kind: &str, reason: &str, message: &str) {
        *self.events.borrow_mut() += 1;
        let name = format!("{pod}.{}", self.events.borrow());
        let event = json!({
            "metadata": {"name": name, "namespace": NAMESPACE}, "type": kind, "reason": reason,
            "message": message, "count": 1,
            "involvedObject": {
                "kind": "Pod", "name": pod, "namespace": NAMESPACE,
                "fieldPath": "spec.containers{app}",
            },
        });
        self.server.api.store.put(&collection("", "events"), &name, event);
    }

    /// Another pod takes the place of an old one, which ends as soon as it is told to.
    pub(crate) fn replace(&self, index: usize) {
        let (old, new) = (old(index), new(index));
        self.create(&new, "bbbb");
        self.ready(&new);
        self.delete(&old);
        self.event(&old, "Normal", "Killing", "Stopping container app");
        self.exit(&old, 0, "Completed");
        self.remove(&old);
    }
}

/// The name of an old pod.
pub(crate) fn old(index: usize) -> String {
    format!("web-aaaa-{index}")
}

/// The name of a new one.
pub(crate) fn new(index: usize) -> String {
    format!("web-bbbb-{index}")
}

fn state(name: &str, state: &Value, restarts: u32) -> Value {
    json!({
        "name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": restarts,
        "state": state, "lastState": {},
    })
}
