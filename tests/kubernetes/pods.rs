//! Pods, endpoints and a Deployment's status, as the controllers and the kubelet write them.

use serde_json::{Value, json};

use crate::{
    api::NAMESPACE,
    store::{Collection, Store},
};

pub(crate) fn collection(group: &str, resource: &str) -> Collection {
    Collection::of(group, resource, NAMESPACE)
}

pub(crate) fn image(deployment: &Value) -> String {
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().expect("an image").to_owned()
}

pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("a name").to_owned()
}

pub(crate) fn replicas(deployment: &Value) -> u64 {
    deployment["spec"]["replicas"].as_u64().expect("replicas")
}

/// A pod of a template, with this status.
pub(crate) fn pod(owner: &Value, name: &str, image: &str, status: &Value) -> Value {
    let template = &owner["spec"]["template"];
    let mut spec = template["spec"].clone();
    spec["containers"][0]["image"] = json!(image);
    json!({
        "metadata": {
            "name": name, "namespace": NAMESPACE, "labels": template["metadata"]["labels"],
        },
        "spec": spec,
        "status": status,
    })
}

/// A status with one container in this state.
pub(crate) fn status(
    image: &str,
    address: Option<&str>,
    state: &Value,
    ready: bool,
    last: &Value,
) -> Value {
    let mut status = json!({
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": if ready { "True" } else { "False" }},
        ],
        "containerStatuses": [{
            "name": "websample", "image": image, "imageID": "", "ready": ready,
            "restartCount": u8::from(*last != json!({})), "state": state, "lastState": last,
        }],
    });
    if let Some(address) = address {
        status["podIP"] = json!(address);
    }
    status
}

/// A slice of a Service's endpoints: pod, address, serving, terminating.
pub(crate) fn slice(store: &Store, service: &str, endpoints: &[(String, String, bool, bool)]) {
    let name = format!("{service}-abcde");
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(pod, address, serving, terminating)| {
            json!({
                "addresses": [address], "targetRef": {"kind": "Pod", "name": pod},
                "conditions": {
                    "ready": *serving && !*terminating,
                    "serving": serving, "terminating": terminating,
                },
            })
        })
        .collect();
    let slice = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints,
    });
    store.put(&collection("discovery.k8s.io", "endpointslices"), &name, slice);
}

/// A Deployment's status: how many of its pods there are, are new, are available.
pub(crate) fn deployment_status(
    store: &Store,
    name: &str,
    [all, updated, available]: [u64; 3],
    conditions: &Value,
) {
    store.update(&collection("apps", "deployments"), name, |deployment| {
        deployment["status"] = json!({
            "observedGeneration": deployment["metadata"]["generation"], "replicas": all,
            "updatedReplicas": updated, "availableReplicas": available, "conditions": conditions,
        });
    });
}

/// Removes every pod of a Deployment, and its Service's endpoints.
pub(crate) fn remove_of(store: &Store, deployment: &Value) {
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let pods = collection("", "pods");
    for pod in store.list(&pods).0 {
        if pod["metadata"]["labels"] == *labels {
            store.remove(&pods, &name(&pod));
        }
    }
    let slice = format!("{}-abcde", name(deployment));
    store.remove(&collection("discovery.k8s.io", "endpointslices"), &slice);
}
