//! A Deployment, a StatefulSet or a DaemonSet: what it says of its pods, and how far it is.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::{Pod, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};

use super::{
    reference::{Kind, Reference},
    trouble::{self, Trouble},
};

/// A label that tells the pods of a Deployment's templates apart.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// The same for a StatefulSet or a DaemonSet.
const REVISION_HASH: &str = "controller-revision-hash";

/// Something that rolls pods out.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// A Deployment.
    Deployment(Box<Deployment>),
    /// A StatefulSet.
    StatefulSet(Box<StatefulSet>),
    /// A DaemonSet.
    DaemonSet(Box<DaemonSet>),
}

impl Workload {
    /// Its metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(object) => &object.metadata,
            Self::StatefulSet(object) => &object.metadata,
            Self::DaemonSet(object) => &object.metadata,
        }
    }

    /// Its kind and name.
    pub fn reference(&self) -> Reference {
        let kind = match self {
            Self::Deployment(_) => Kind::Deployment,
            Self::StatefulSet(_) => Kind::StatefulSet,
            Self::DaemonSet(_) => Kind::DaemonSet,
        };
        Reference { kind, name: self.metadata().name.clone().unwrap_or_default() }
    }

    /// What its pods are made from.
    pub fn template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment(object) => Some(&object.spec.template),
            Self::StatefulSet(object) => Some(&object.spec.template),
            Self::DaemonSet(object) => Some(&object.spec.template),
        }
    }

    /// Which pods it looks for, as the API takes it.
    pub fn selector(&self) -> String {
        selector(match self {
            Self::Deployment(object) => &object.spec.selector,
            Self::StatefulSet(object) => &object.spec.selector,
            Self::DaemonSet(object) => &object.spec.selector,
        })
    }

    /// How many pods it is to have.
    pub fn wanted(&self) -> u32 {
        let wanted = match self {
            Self::Deployment(object) => object.spec.replicas.unwrap_or(1),
            Self::StatefulSet(object) => object.spec.replicas.unwrap_or(1),
            Self::DaemonSet(object) => {
                object.status.as_ref().map_or(0, |status| status.desired_number_scheduled)
            }
        };
        u32::try_from(wanted).unwrap_or(0)
    }

    /// Whether all its pods are of its newest template, and available.
    pub fn complete(&self) -> bool {
        match self {
            Self::Deployment(object) => trouble::complete(object),
            Self::StatefulSet(object) => stateful_complete(object),
            Self::DaemonSet(object) => {
                let Some(status) = &object.status else { return false };
                let wanted = status.desired_number_scheduled;
                status.observed_generation >= object.metadata.generation
                    && status.updated_number_scheduled.unwrap_or(0) >= wanted
                    && status.number_available.unwrap_or(0) >= wanted
            }
        }
    }

    /// What is still missing, in words.
    pub fn missing(&self) -> String {
        let (new, available) = match self {
            Self::Deployment(object) => return trouble::missing(object),
            Self::StatefulSet(object) => {
                let status = object.status.clone().unwrap_or_default();
                (status.updated_replicas, status.available_replicas)
            }
            Self::DaemonSet(object) => {
                let status = object.status.clone().unwrap_or_default();
                (status.updated_number_scheduled, status.number_available)
            }
        };
        format!(
            "of {} pods {} are new and {} available",
            self.wanted(),
            new.unwrap_or(0),
            available.unwrap_or(0)
        )
    }

    /// What is wrong with it.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Deployment(object) => trouble::of_deployment(object),
            Self::StatefulSet(_) | Self::DaemonSet(_) => None,
        }
    }

    /// Whether pods of an older template may stay when it is complete: those below a StatefulSet's
    /// partition, and those that nobody has deleted.
    pub fn keeps_old(&self) -> bool {
        match self {
            Self::StatefulSet(object) if partition(object).is_some() => true,
            _ => self.strategy() == Some("OnDelete"),
        }
    }

    /// Why its pods are not replaced by a change of its template alone, if they are not.
    pub fn held(&self) -> Option<&'static str> {
        match self {
            Self::Deployment(object) if object.spec.paused == Some(true) => {
                Some("it is paused: `kubectl rollout resume` goes on with it")
            }
            _ => (self.strategy() == Some("OnDelete"))
                .then_some("its strategy is OnDelete: a pod is replaced when somebody deletes it"),
        }
    }

    /// The strategy of what is no Deployment.
    fn strategy(&self) -> Option<&str> {
        match self {
            Self::Deployment(_) => None,
            Self::StatefulSet(object) => object.spec.update_strategy.as_ref()?.type_.as_deref(),
            Self::DaemonSet(object) => object.spec.update_strategy.as_ref()?.type_.as_deref(),
        }
    }
}

/// Below which ordinal a StatefulSet's pods keep their template.
fn partition(object: &StatefulSet) -> Option<i32> {
    let rolling = object.spec.update_strategy.as_ref()?.rolling_update.as_ref()?;
    rolling.partition.filter(|partition| *partition > 0)
}

/// kubectl's rule for a StatefulSet, with its partition
/// (staging/src/k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go).
fn stateful_complete(object: &StatefulSet) -> bool {
    let Some(status) = &object.status else { return false };
    let wanted = object.spec.replicas.unwrap_or(1);
    if status.observed_generation < object.metadata.generation
        || status.ready_replicas.unwrap_or(0) < wanted
        || status.available_replicas.unwrap_or(0) < wanted
    {
        return false;
    }
    match partition(object) {
        Some(partition) => status.updated_replicas.unwrap_or(0) >= wanted - partition,
        None => status.update_revision == status.current_revision,
    }
}

/// The revision of a pod whose labels do not tell it.
pub const NO_REVISION: &str = "?";

/// Which of its workload's templates a pod is made from: the hash that its controller labels it with.
pub fn revision(pod: &Pod) -> Arc<str> {
    let labels = pod.metadata.labels.as_ref();
    let hash = |name| labels.and_then(|labels| labels.get(name));
    let hash = hash(TEMPLATE_HASH).or_else(|| hash(REVISION_HASH)).map(String::as_str);
    // A StatefulSet's is its own name and the hash.
    hash.map_or(NO_REVISION, |hash| hash.rsplit('-').next().unwrap_or(hash)).into()
}

/// A selector as the API takes it in a query.
fn selector(selector: &LabelSelector) -> String {
    let equal =
        selector.match_labels.iter().flatten().map(|(name, value)| format!("{name}={value}"));
    let expressions = selector.match_expressions.iter().flatten().filter_map(|expression| {
        let key = &expression.key;
        let values = expression.values.clone().unwrap_or_default().join(",");
        match expression.operator.as_str() {
            "In" => Some(format!("{key} in ({values})")),
            "NotIn" => Some(format!("{key} notin ({values})")),
            "Exists" => Some(key.clone()),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        }
    });
    equal.chain(expressions).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stateful(spec: &Value, status: &Value) -> Workload {
        let mut all = json!({"replicas": 3, "selector": {}, "template": {}, "serviceName": "db"});
        for (name, value) in spec.as_object().expect("a map") {
            all[name] = value.clone();
        }
        let object = json!({
            "metadata": {"name": "db", "generation": 2}, "spec": all, "status": status,
        });
        Workload::StatefulSet(Box::new(serde_json::from_value(object).expect("a StatefulSet")))
    }

    #[test]
    fn a_stateful_set_is_complete_as_kubectl_says() {
        let status = |ready: u64, updated: u64, new: &str| {
            json!({
                "observedGeneration": 2, "replicas": 3, "readyReplicas": ready,
                "availableReplicas": ready, "updatedReplicas": updated,
                "currentRevision": "db-1", "updateRevision": new,
            })
        };
        let none = json!({});
        assert!(stateful(&none, &status(3, 3, "db-1")).complete());
        assert!(!stateful(&none, &status(3, 3, "db-2")).complete());
        assert!(!stateful(&none, &status(2, 3, "db-1")).complete());
        let partition =
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        assert!(stateful(&partition, &status(3, 1, "db-2")).complete());
        assert!(!stateful(&partition, &status(3, 0, "db-2")).complete());
        let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
        assert!(stateful(&on_delete, &none).held().is_some_and(|why| why.contains("OnDelete")));
        assert_eq!(stateful(&none, &none).held(), None);
    }

    #[test]
    fn a_daemon_set_is_complete_with_a_new_pod_on_every_node() {
        let daemon = |updated: u64, available: u64| {
            let object = json!({
                "metadata": {"name": "agent", "generation": 1},
                "spec": {"selector": {}, "template": {}},
                "status": {
                    "observedGeneration": 1, "desiredNumberScheduled": 2,
                    "currentNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 2,
                    "updatedNumberScheduled": updated, "numberAvailable": available,
                },
            });
            Workload::DaemonSet(Box::new(serde_json::from_value(object).expect("a DaemonSet")))
        };
        assert!(daemon(2, 2).complete());
        assert!(!daemon(1, 2).complete() && !daemon(2, 1).complete());
        assert_eq!(daemon(1, 2).missing(), "of 2 pods 1 are new and 2 available");
    }

    #[test]
    fn a_selector_is_written_as_a_query() {
        let asked: LabelSelector = serde_json::from_value(json!({
            "matchLabels": {"app": "web", "tier": "front"},
            "matchExpressions": [
                {"key": "track", "operator": "In", "values": ["stable", "canary"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }))
        .expect("a selector");
        assert_eq!(selector(&asked), "app=web,tier=front,track in (stable,canary),!old");
    }

    #[test]
    fn a_pods_revision_is_its_controllers_hash() {
        let pod = |labels: Value| -> Pod {
            serde_json::from_value(json!({"metadata": {"labels": labels}})).expect("a pod")
        };
        assert_eq!(&*revision(&pod(json!({"pod-template-hash": "7d9c5b8f6"}))), "7d9c5b8f6");
        assert_eq!(&*revision(&pod(json!({"controller-revision-hash": "db-5f6b"}))), "5f6b");
        assert_eq!(&*revision(&pod(json!({}))), "?");
    }
}
