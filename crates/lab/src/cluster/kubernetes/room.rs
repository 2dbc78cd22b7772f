//! Whether the nodes have room for what is compared.
//!
//! A pod is placed on a node where as much as its containers request is left of what the node can
//! allocate ([Kubernetes' documentation](https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-requests-are-scheduled)).
//! That is computed here before anything is put there. It is a forecast: what others place meanwhile, and
//! what affinity and spread constraints forbid, is not in it; the pods here have neither in the way.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Node, Pod, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Api, api::ListParams};

use super::{
    connect::Cluster,
    manifests::{Made, load_resources},
    persist::persist,
};

/// What a pod requests, or a node has left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// Processors.
    pub cpu: f64,
    /// Bytes of memory.
    pub memory: f64,
    /// Pods.
    pub pods: f64,
}

impl Amount {
    fn holds(self, other: Self) -> bool {
        // What is left over is the sum of decimal fractions.
        const ROUNDING: f64 = 1e-9;
        self.cpu + ROUNDING >= other.cpu && self.memory >= other.memory && self.pods >= other.pods
    }

    fn without(self, other: Self) -> Self {
        Self {
            cpu: self.cpu - other.cpu,
            memory: self.memory - other.memory,
            pods: self.pods - other.pods,
        }
    }

    fn of(list: Option<&BTreeMap<String, Quantity>>) -> Self {
        let of = |name: &str| list.and_then(|list| list.get(name)).map_or(0.0, number);
        Self { cpu: of("cpu"), memory: of("memory"), pods: of("pods") }
    }

    fn and(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory, ..self }
    }

    fn or(self, other: Self) -> Self {
        let (cpu, memory) = (self.cpu.max(other.cpu), self.memory.max(other.memory));
        Self { cpu, memory, ..self }
    }
}

/// What the nodes have left that pods may be placed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Room(Vec<Amount>);

impl Room {
    /// Looks at the nodes and at all pods on them. `None` where that is not permitted, or none are shown:
    /// nothing is known then.
    pub async fn look(cluster: &Cluster) -> Option<Self> {
        let nodes: Api<Node> = Api::all(cluster.client.clone());
        let pods: Api<Pod> = Api::all(cluster.client.clone());
        let everything = ListParams::default();
        let nodes = persist(|| nodes.list(&everything)).await.ok()?;
        // As behind a virtual cluster, where pods are placed on nodes that are not shown.
        if nodes.items.is_empty() {
            return None;
        }
        // Those that have ended take nothing.
        let running = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
        let pods = persist(|| pods.list(&running)).await.ok()?;
        Some(Self::left(&nodes.items, &pods.items))
    }

    /// What these pods leave of these nodes.
    fn left(nodes: &[Node], pods: &[Pod]) -> Self {
        let left = nodes.iter().filter(|node| takes_pods(node)).map(|node| {
            let name = node.metadata.name.as_deref();
            let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
            let on_it = pods.iter().filter_map(|pod| pod.spec.as_ref());
            let on_it = on_it
                .filter(|spec| spec.node_name.is_some())
                .filter(|spec| spec.node_name.as_deref() == name);
            on_it.fold(Amount::of(allocatable), |left, spec| left.without(requests(spec)))
        });
        Self(left.collect())
    }

    /// Places these pods one by one, each on the first node that has room. Tells whether all found one.
    pub fn place(&mut self, pods: impl IntoIterator<Item = Amount>) -> bool {
        pods.into_iter().all(|pod| {
            let node = self.0.iter_mut().find(|left| left.holds(pod));
            node.is_some_and(|left| {
                *left = left.without(pod);
                true
            })
        })
    }
}

impl Made<'_> {
    /// What all pods request that there are at once: those of the Deployment, of both versions, and the
    /// one that sends the load, if it is sent from inside.
    pub fn pods(&self, load_inside: bool) -> Vec<Amount> {
        let replicas = self.spec.replicas;
        let server = self.server_pod().map_or(NOTHING, |spec| requests(&spec));
        let servers = replicas + self.spec.max_surge.of(replicas, true);
        let mut all = vec![server; servers as usize];
        let load = NOTHING.and(Amount::of(load_resources().requests.as_ref()));
        all.extend(load_inside.then_some(load));
        all
    }
}

/// A pod takes a pod's place, whatever it requests.
const NOTHING: Amount = Amount { cpu: 0.0, memory: 0.0, pods: 1.0 };

/// Whether a pod without tolerations may be placed there.
fn takes_pods(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let is_ready =
        |c: &k8s_openapi::api::core::v1::NodeCondition| c.type_ == "Ready" && c.status == "True";
    conditions.is_some_and(|conditions| conditions.iter().any(is_ready))
        && spec.is_none_or(|spec| {
            let taints = spec.taints.iter().flatten();
            spec.unschedulable != Some(true)
                && taints.filter(|taint| taint.effect != "PreferNoSchedule").count() == 0
        })
}

/// What a pod's containers request together, or one that comes before them, if that is more.
fn requests(pod: &PodSpec) -> Amount {
    let of = |container: &Container| {
        Amount::of(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    };
    let before = pod.init_containers.iter().flatten();
    let (beside, before): (Vec<_>, Vec<_>) =
        before.partition(|container| container.restart_policy.as_deref() == Some("Always"));
    let together = pod.containers.iter().chain(beside).map(of).fold(NOTHING, Amount::and);
    let most = before.into_iter().map(of).fold(together, Amount::or);
    most.and(Amount::of(pod.overhead.as_ref()))
}

/// A quantity, such as `100m`, `64Mi` or `1e3`.
fn number(Quantity(text): &Quantity) -> f64 {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let suffix = SUFFIXES.into_iter().find_map(|(suffix, factor)| {
        let number: f64 = text.strip_suffix(suffix)?.parse().ok()?;
        Some(number * factor)
    });
    // The API server has read it before, and refuses what is none.
    suffix.or_else(|| text.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, more: &Value) -> Node {
        let mut node = json!({
            "metadata": {"name": name},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        for (part, of) in more.as_object().expect("an object") {
            node[part]
                .as_object_mut()
                .expect("an object")
                .extend(of.as_object().expect("one").clone());
        }
        serde_json::from_value(node).expect("a Node")
    }

    fn pod(on: &str, cpu: &str) -> Pod {
        let pod = json!({
            "metadata": {"name": "a"},
            "spec": {"nodeName": on, "containers": [
                {"name": "a", "resources": {"requests": {"cpu": cpu, "memory": "128Mi"}}},
                {"name": "b"},
            ]},
        });
        serde_json::from_value(pod).expect("a Pod")
    }

    fn hundred_milli(pods: usize) -> Vec<Amount> {
        vec![Amount { cpu: 0.1, memory: 64.0 * 1_048_576.0, pods: 1.0 }; pods]
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("100m", 0.1),
            ("2", 2.0),
            ("0.5", 0.5),
            ("64Mi", 67_108_864.0),
            ("1k", 1_000.0),
            ("1e3", 1_000.0),
            ("3E", 3e18),
            ("1500000u", 1.5),
        ] {
            let read = number(&Quantity(text.to_owned()));
            assert!((read / expected - 1.0).abs() < 1e-9, "{text}: {read}");
        }
    }

    #[test]
    fn what_pods_request_is_not_there_for_others() {
        let left = |pods: &[Pod]| Room::left(&[node("one", &json!({}))], pods);
        assert!(left(&[]).place(hundred_milli(20)), "2 processors");
        assert!(!left(&[]).place(hundred_milli(21)));
        let taken = [pod("one", "1"), pod("one", "500m"), pod("other", "1")];
        assert!(left(&taken).place(hundred_milli(5)));
        assert!(!left(&taken).place(hundred_milli(6)));
    }

    #[test]
    fn a_pod_is_not_spread_over_nodes_and_goes_where_it_may() {
        let whole = Amount { cpu: 1.5, ..hundred_milli(1)[0] };
        let two = [node("one", &json!({})), node("two", &json!({}))];
        assert!(Room::left(&two, &[]).place([whole, whole]));
        assert!(!Room::left(&two, &[]).place([whole, whole, whole]), "3 halves of 2 are left");
        for more in [
            json!({"spec": {"unschedulable": true}}),
            json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}),
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            json!({"status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "0"}}}),
        ] {
            let mut room = Room::left(&[node("one", &more)], &[]);
            assert!(!room.place(hundred_milli(1)), "{more}");
        }
        let preferred = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
        assert!(Room::left(&[node("one", &preferred)], &[]).place(hundred_milli(1)));
    }

    #[test]
    fn what_comes_before_counts_where_it_is_more_and_what_stays_is_added() {
        let request = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let spec = |init: Value| -> PodSpec {
            let spec = json!({
                "initContainers": init,
                "containers": [{"name": "a", "resources": request("200m")}],
                "overhead": {"cpu": "50m"},
            });
            serde_json::from_value(spec).expect("a PodSpec")
        };
        for (init, expected) in [
            (json!([]), 0.25),
            (json!([{"name": "i", "resources": request("100m")}]), 0.25),
            (json!([{"name": "i", "resources": request("300m")}]), 0.35),
            (json!([{"name": "i", "restartPolicy": "Always", "resources": request("300m")}]), 0.55),
        ] {
            let cpu = requests(&spec(init.clone())).cpu;
            assert!((cpu - expected).abs() < 1e-9, "{init}: {cpu}");
        }
    }
}
