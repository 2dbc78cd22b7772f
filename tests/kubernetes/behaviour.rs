//! Pods of which is only said how they are.

use serde_json::{Value, json};

use crate::{
    pods::{collection, deployment_status, image, name, pod, remove_of, replicas, slice, status},
    store::Store,
};

/// How the pods of an image behave.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// As processes of the real server.
    Real,
    /// Ready at once; nothing listens.
    Ready,
    /// They run and never get ready.
    NeverReady,
    /// Their container waits: reason, message, and how the process before ended.
    Waiting(&'static str, &'static str, Value),
    /// No node takes them.
    Unschedulable(&'static str),
    /// They cannot be created, or the Deployment gave up: condition, status, reason, message.
    Condition(&'static str, &'static str, &'static str, &'static str),
}

impl Behaviour {
    /// Does what a Deployment's controller would: only what all its pods are in the end.
    pub(crate) fn roll_out(&self, store: &Store, deployment: &Value) {
        let (name, image, wanted) = (name(deployment), image(deployment), replicas(deployment));
        let (mut all, mut available, mut conditions) = (wanted, 0, json!([]));
        let (mut endpoints, mut made) = (Vec::new(), Vec::new());
        for index in 0..wanted {
            let version = image.rsplit(':').next().expect("a tag");
            let pod_name = format!("{name}-{version}-{index}");
            let address = format!("127.77.0.{}", index + 1);
            let running = json!({"running": {}});
            let status = match self {
                Self::Real => unreachable!("real pods are run"),
                Self::Ready => {
                    endpoints.push((pod_name.clone(), address.clone(), true, false));
                    available = wanted;
                    status(&image, Some(&address), &running, true, &json!({}))
                }
                Self::NeverReady => status(&image, Some(&address), &running, false, &json!({})),
                Self::Waiting(reason, message, last) => {
                    let waiting = json!({"waiting": {"reason": reason, "message": message}});
                    status(&image, Some(&address), &waiting, false, last)
                }
                Self::Unschedulable(message) => json!({"conditions": [{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": message,
                }]}),
                Self::Condition(kind, truth, reason, message) => {
                    all = 0;
                    conditions = json!([
                        {"type": kind, "status": truth, "reason": reason, "message": message},
                    ]);
                    break;
                }
            };
            made.push((pod_name.clone(), pod(deployment, &pod_name, &image, &status)));
        }
        if matches!(self, Self::Ready) {
            // The new ones are up: the old ones are gone.
            remove_of(store, deployment);
        }
        for (pod_name, pod) in made {
            store.put(&collection("", "pods"), &pod_name, pod);
        }
        slice(store, &name, &endpoints);
        deployment_status(store, &name, [all, all, available], &conditions);
    }
}
