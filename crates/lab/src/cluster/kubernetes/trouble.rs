//! What a change means: a reason to give up.
//!
//! Kubernetes waits for ever; a person at a terminal wants to know.

use std::{fmt, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};

use super::served::containers;

/// How long a pod may be unschedulable before it is said: a node may be on its way.
const UNSCHEDULABLE: Duration = Duration::from_secs(30);

/// Why pods do not come up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", self.what(), self.remedy())]
pub enum Trouble {
    /// An image cannot be had.
    Image {
        /// The pod.
        pod: String,
        /// The image.
        image: String,
        /// Kubernetes' word for it.
        reason: String,
        /// Kubernetes' sentence.
        message: String,
    },
    /// No node takes a pod.
    Unschedulable {
        /// The pod.
        pod: String,
        /// Kubernetes' sentence.
        message: String,
    },
    /// A container cannot be made.
    Container {
        /// The pod.
        pod: String,
        /// Kubernetes' word for it.
        reason: String,
        /// Kubernetes' sentence.
        message: String,
    },
    /// A program ends again and again.
    Crashing {
        /// The pod.
        pod: String,
        /// The exit code of the last process.
        exit: i32,
        /// Its termination message.
        message: String,
    },
    /// Pods cannot even be created.
    Creation {
        /// Kubernetes' word for it.
        reason: String,
        /// Kubernetes' sentence.
        message: String,
    },
    /// The Deployment gave up.
    Progress {
        /// Kubernetes' word for it.
        reason: String,
        /// Kubernetes' sentence.
        message: String,
    },
}

impl Trouble {
    /// What is wrong, for whoever looks on.
    pub fn what(&self) -> String {
        match self {
            Self::Image { pod, image, reason, message } => {
                format!("pod {pod}: image {image} cannot be pulled ({reason}{})", Said(message))
            }
            Self::Unschedulable { pod, message } => {
                format!("pod {pod} cannot be scheduled{}", Said(message))
            }
            Self::Container { pod, reason, message } => {
                format!("pod {pod}: its container cannot be started ({reason}{})", Said(message))
            }
            Self::Crashing { pod, exit, message } => format!(
                "pod {pod} crashes: its last process ended with exit code {exit}{}; see `kubectl logs --previous {pod}`",
                Said(message)
            ),
            Self::Creation { reason, message } => {
                format!("pods cannot be created ({reason}{})", Said(message))
            }
            Self::Progress { reason, message } => {
                format!("the Deployment makes no progress ({reason}{})", Said(message))
            }
        }
    }

    /// What to do about it, for whoever rolls out.
    fn remedy(&self) -> String {
        match self {
            Self::Image { image, .. } => format!(
                "; build it where the nodes find it (`kind load docker-image {image}`), or name another image"
            ),
            Self::Unschedulable { .. } => "; make room, or use fewer replicas".to_owned(),
            Self::Creation { .. } => "; raise the quota, or use fewer replicas".to_owned(),
            Self::Container { .. } | Self::Crashing { .. } | Self::Progress { .. } => String::new(),
        }
    }
}

/// A message after its reason, if there is one.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.trim()) }
    }
}

/// What is wrong with a pod that has existed for so long; `impatient` if nobody will wait longer.
pub fn of_pod(pod: &Pod, age: Duration, impatient: bool) -> Option<Trouble> {
    // One that is leaving is nobody's hope.
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let name = pod.metadata.name.clone().unwrap_or_default();
    for container in containers(pod) {
        let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref())
        else {
            continue;
        };
        let reason = waiting.reason.clone().unwrap_or_default();
        let message = waiting.message.clone().unwrap_or_default();
        match reason.as_str() {
            // The first failure may be a registry's hiccup: the second one is backed off from.
            "ErrImagePull" | "RegistryUnavailable" if !impatient => {}
            "ImagePullBackOff"
            | "ErrImagePull"
            | "RegistryUnavailable"
            | "ErrImageNeverPull"
            | "InvalidImageName" => {
                let image = container.image.clone();
                return Some(Trouble::Image { pod: name, image, reason, message });
            }
            "CrashLoopBackOff" => {
                let last =
                    container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
                return Some(Trouble::Crashing {
                    pod: name,
                    exit: last.map_or(0, |last| last.exit_code),
                    message: last.and_then(|last| last.message.clone()).unwrap_or_default(),
                });
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(Trouble::Container { pod: name, reason, message });
            }
            _ => {}
        }
    }
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unscheduled = conditions
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .find(|condition| condition.reason.as_deref() == Some("Unschedulable"))?;
    (impatient || age >= UNSCHEDULABLE).then(|| Trouble::Unschedulable {
        pod: name,
        message: unscheduled.message.clone().unwrap_or_default(),
    })
}

/// What is wrong with a Deployment.
pub fn of_deployment(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().find_map(|condition| {
        let (kind, status) = (condition.type_.as_deref()?, condition.status.as_deref()?);
        let reason = condition.reason.clone().unwrap_or_default();
        let message = condition.message.clone().unwrap_or_default();
        match (kind, status) {
            ("ReplicaFailure", "True") => Some(Trouble::Creation { reason, message }),
            ("Progressing", "False") => Some(Trouble::Progress { reason, message }),
            _ => None,
        }
    })
}

/// Whether a Deployment is as it should be: all its pods are of its newest template and available,
/// and nothing older is left but what is on its way out.
pub fn complete(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    let (generation, observed) = (deployment.metadata.generation, status.observed_generation);
    observed >= generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

/// What is still missing, in words.
pub fn missing(deployment: &Deployment) -> String {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    format!(
        "of {wanted} pods {} are new and {} available",
        status.updated_replicas.unwrap_or(0),
        status.available_replicas.unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn waiting(reason: &str, last: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "status": {"containerStatuses": [{
                "name": "websample", "image": "websample:v9", "imageID": "", "ready": false,
                "restartCount": 3, "lastState": last,
                "state": {"waiting": {"reason": reason, "message": "its words"}},
            }]},
        }))
        .expect("a pod")
    }

    fn unschedulable() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "status": {"conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient cpu.",
            }]},
        }))
        .expect("a pod")
    }

    #[test]
    fn what_will_not_pass_by_itself_is_trouble() {
        let none = json!({});
        let crash = json!({"terminated": {"exitCode": 64, "message": "no such mode"}});
        let soon = Duration::from_secs(1);
        for (pod, age, impatient, words) in vec![
            (
                waiting("ImagePullBackOff", &none),
                soon,
                false,
                Some("websample:v9 cannot be pulled"),
            ),
            (waiting("ErrImageNeverPull", &none), soon, false, Some("kind load docker-image")),
            (waiting("InvalidImageName", &none), soon, false, Some("its words")),
            (waiting("ErrImagePull", &none), soon, false, None),
            (waiting("ErrImagePull", &none), soon, true, Some("ErrImagePull: its words")),
            (waiting("CrashLoopBackOff", &crash), soon, false, Some("exit code 64: no such mode")),
            (waiting("CreateContainerConfigError", &none), soon, false, Some("its words")),
            (waiting("ContainerCreating", &none), UNSCHEDULABLE, true, None),
            (unschedulable(), soon, false, None),
            (unschedulable(), soon, true, Some("Insufficient cpu")),
            (unschedulable(), UNSCHEDULABLE, false, Some("fewer replicas")),
        ] {
            let found = of_pod(&pod, age, impatient).map(|trouble| trouble.to_string());
            match (&found, words) {
                (Some(text), Some(words)) => assert!(text.contains(words), "{text}"),
                (found, words) => assert_eq!(found.is_some(), words.is_some(), "{found:?}"),
            }
            let mut leaving = pod;
            leaving.metadata.deletion_timestamp =
                serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time");
            assert_eq!(of_pod(&leaving, age, true), None);
        }
    }

    fn deployment(status: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "websample-drain", "generation": 2},
            "spec": {"replicas": 4, "selector": {}, "template": {}},
            "status": status,
        }))
        .expect("a Deployment")
    }

    #[test]
    fn a_deployment_says_what_it_cannot() {
        let condition = |type_: &str, status: &str, reason: &str| {
            let conditions =
                json!([{"type": type_, "status": status, "reason": reason, "message": "why"}]);
            of_deployment(&deployment(&json!({"conditions": conditions})))
        };
        assert!(matches!(
            condition("ReplicaFailure", "True", "FailedCreate"),
            Some(Trouble::Creation { .. })
        ));
        assert!(matches!(
            condition("Progressing", "False", "ProgressDeadlineExceeded"),
            Some(Trouble::Progress { .. })
        ));
        assert_eq!(condition("Progressing", "True", "NewReplicaSetAvailable"), None);
    }

    #[test]
    fn it_is_complete_when_all_are_new_and_available_and_it_has_been_looked_at() {
        let all = |observed, updated, replicas, available| {
            complete(&deployment(&json!({
                "observedGeneration": observed, "updatedReplicas": updated,
                "replicas": replicas, "availableReplicas": available,
            })))
        };
        assert!(all(2, 4, 4, 4));
        for (observed, updated, replicas, available) in
            [(1, 4, 4, 4), (2, 3, 4, 4), (2, 4, 5, 4), (2, 4, 4, 3)]
        {
            assert!(!all(observed, updated, replicas, available));
        }
    }
}
