//! What went wrong on a cluster: which cluster, what, and what to do about it.

use std::{fmt, sync::Arc, time::Duration};

use websample_load::lines::LineError;

use super::trouble::Trouble;

/// Where permissions are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To roll out this project's server.
    Rollout,
    /// To make pods go in another way than by an update.
    Events,
    /// To look on.
    Watch,
    /// To roll a Deployment out that exists.
    Deployment,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rollout => "deploy/kubernetes/rollout-role.yaml",
            Self::Events => "deploy/kubernetes/rollout-events-role.yaml",
            Self::Watch => "deploy/kubernetes/watch-role.yaml",
            Self::Deployment => "deploy/kubernetes/deployment-role.yaml",
        })
    }
}

/// A problem with a cluster.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cluster}: {problem}")]
pub struct KubernetesError {
    /// The cluster: its context and its server, as far as they are known.
    pub cluster: Arc<str>,
    /// What went wrong there.
    pub problem: ClusterProblem,
}

/// What went wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterProblem {
    /// There is no cluster to be found.
    #[error(
        "{0}; name a kubeconfig with --kubeconfig or KUBECONFIG, or make a cluster, such as with `kind create cluster`"
    )]
    NoConfig(String),
    /// It does not answer.
    #[error("cannot be reached: {0}; does `kubectl cluster-info` reach it?")]
    Unreachable(String),
    /// It does not know who asks.
    #[error("does not accept the credentials ({0}); log in again, or choose another --context")]
    Unauthorized(String),
    /// Something may not be done.
    #[error(
        "namespace {namespace}: not permitted: {}; {role} has what is needed: `kubectl apply -n {namespace} -f {role}`, and bind it",
        missing.join(", ")
    )]
    Forbidden {
        /// The namespace.
        namespace: String,
        /// What may not be done: a verb and a resource each.
        missing: Vec<String>,
        /// What would permit it.
        role: Role,
    },
    /// There is no such thing.
    #[error("there is no {object}; {there}")]
    Missing {
        /// What was asked for.
        object: String,
        /// What there is.
        there: String,
    },
    /// The namespace is on its way out, and does not go.
    #[error(
        "Namespace {name} is being removed, and was not gone after {}: see what is left in it with `kubectl get namespace {name} -o yaml`, or use another --namespace",
        humantime::format_duration(*after)
    )]
    Terminating {
        /// The namespace.
        name: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// An object of that name is somebody else's.
    #[error(
        "{object} is there already and was not made by a rollout; it is left alone: use another --namespace"
    )]
    Foreign {
        /// The object.
        object: String,
    },
    /// An object of that name is another rollout's.
    #[error(
        "{object} is of another rollout ({run}), which goes on or was kept; remove it with `kubectl delete all,sa,pdb,netpol -n {namespace} -l websample/run={run}`, or use another --namespace"
    )]
    Taken {
        /// The object.
        object: String,
        /// The other rollout.
        run: String,
        /// The namespace.
        namespace: String,
    },
    /// Somebody else manages a field of an object.
    #[error(
        "{object}: somebody else sets its fields, too ({message}); keep them off the namespace, or use another --namespace"
    )]
    Conflict {
        /// The object.
        object: String,
        /// The API's own words.
        message: String,
    },
    /// The API refused something: quota, admission, validation.
    #[error("{object}: the cluster refused to {action} it: {message}")]
    Refused {
        /// The object.
        object: String,
        /// What was asked.
        action: &'static str,
        /// The API's own words.
        message: String,
    },
    /// Pods do not come up.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The rollout goes no further.
    #[error(
        "{object}: not rolled out within {}: {reason}{}",
        humantime::format_duration(*after),
        said(events)
    )]
    Stuck {
        /// The Deployment.
        object: String,
        /// How long it was waited for.
        after: Duration,
        /// What is still missing.
        reason: String,
        /// The namespace's latest warnings.
        events: Vec<String>,
    },
    /// The watch on the cluster broke off and could not be taken up again.
    #[error("the watch broke off and could not be taken up again: {0}")]
    Blind(String),
    /// The load's log cannot be used.
    #[error("pod {pod}: {source}")]
    Lines {
        /// The load's pod.
        pod: String,
        /// Why.
        #[source]
        source: LineError,
    },
    /// The load ended before it was told to, or without its report.
    #[error("pod {pod}: the load ended without its report: {reason}")]
    LoadEnded {
        /// The load's pod.
        pod: String,
        /// What is known.
        reason: String,
    },
    /// A Deployment is not as it should be before it is changed.
    #[error(
        "{object} is not settled ({missing}): wait until it is, or look on with `websample watch`"
    )]
    Unsettled {
        /// The Deployment.
        object: String,
        /// What is missing.
        missing: String,
    },
    /// The load cannot be sent from here.
    #[error("--url: {0}")]
    Url(String),
}

/// Events as lines of their own.
fn said(events: &[String]) -> String {
    events.iter().fold(String::new(), |text, event| text + "\n  " + event)
}

impl ClusterProblem {
    /// What an answer of the API to `action` on `object` means.
    pub(crate) fn of(error: &kube::Error, object: &str, action: &'static str) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Unreachable(reason(error));
        };
        let (object, message) = (object.to_owned(), status.message.clone());
        match status.code {
            401 => Self::Unauthorized(message),
            409 if action == "apply" && status.reason != "AlreadyExists" => {
                Self::Conflict { object, message }
            }
            _ => Self::Refused { object, action, message },
        }
    }
}

/// An error and what it came from, in one line.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        // Some errors say their source themselves.
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_says_is_told_with_its_object() {
        let api = |code, reason: &str| {
            kube::Error::Api(Box::new(kube::core::Status {
                code,
                reason: reason.to_owned(),
                message: "the API's words".to_owned(),
                ..kube::core::Status::default()
            }))
        };
        for (error, action, words) in [
            (api(409, "Conflict"), "apply", "somebody else sets its fields"),
            (api(409, "Conflict"), "delete", "refused to delete"),
            (api(403, "Forbidden"), "apply", "refused to apply"),
            (api(422, "Invalid"), "apply", "refused to apply"),
            (api(401, "Unauthorized"), "get", "credentials"),
        ] {
            let problem = ClusterProblem::of(&error, "Deployment websample/x", action).to_string();
            assert!(problem.contains(words) && problem.contains("the API's words"), "{problem}");
        }
    }
}
