//! The Role in the manifests permits what is asked for, and nothing more.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use websample_lab::cluster::kubernetes::{Permission, permissions};

use crate::{
    api::{Requested, Server},
    behaviour::Behaviour,
    foreign::Foreign,
    looking::Looking,
    rollout::run,
};

const WATCH_ROLE: &str = include_str!("../../deploy/kubernetes/watch-role.yaml");
const ROLE: &str = include_str!("../../deploy/kubernetes/rollout-role.yaml");

/// What the documents of this kind permit.
pub(crate) fn permitted(role: &str, kind: &str) -> BTreeSet<Requested> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(role).expect("the Role is YAML");
    let mut all = BTreeSet::new();
    for document in documents.iter().filter(|document| document["kind"] == kind) {
        let texts = |value: &serde_json::Value| -> Vec<String> {
            let list = value.as_array().expect("a list");
            list.iter().map(|text| text.as_str().expect("text").to_owned()).collect()
        };
        for rule in document["rules"].as_array().expect("rules") {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        all.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
    }
    all
}

#[test]
fn the_role_is_what_a_rollout_asks_for() {
    let role = permitted(ROLE, "Role");
    let asked = permissions(true).into_iter().map(|Permission { group, resource, verb }| {
        (group.to_owned(), resource.to_owned(), verb.to_owned())
    });
    assert_eq!(role, asked.collect(), "what is checked beforehand is what the Role has");

    // One that succeeds and one that gets stuck, to see all of it.
    let mut requested = BTreeSet::new();
    for v1 in [Behaviour::Ready, Behaviour::NeverReady] {
        let server = Server::empty(v1, Behaviour::Ready);
        run(&server, &["--modes", "drain", "--rate", "5", "--ready-within", "2s"]);
        requested.extend(server.api.requested());
    }
    let of_the_cluster =
        |(_, resource, _): &Requested| resource == "namespaces" || resource == "nodes";
    let (on_cluster, inside): (BTreeSet<_>, BTreeSet<_>) =
        requested.into_iter().partition(of_the_cluster);
    assert_eq!(inside, role);
    let mut permitted = permitted(ROLE, "ClusterRole");
    // Those of the namespace are looked for with the same verb.
    assert!(permitted.remove(&(String::new(), "pods".to_owned(), "list".to_owned())));
    assert_eq!(on_cluster, permitted);
}

#[test]
fn the_role_is_what_looking_on_asks_for() {
    let mut requested = BTreeSet::new();
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let foreign = Foreign::new(kind, 1);
        let name = format!("{}/web", kind.to_lowercase());
        let mut looking = Looking::start(&foreign.server, &[&name, "--follow"]);
        looking.said("times are UTC");
        looking.send(Signal::SIGINT);
        assert_eq!(looking.end().code, Some(0));
        requested.extend(foreign.server.api.requested());
    }
    assert_eq!(permitted(WATCH_ROLE, "Role"), requested);
    let verbs: BTreeSet<_> = requested.iter().map(|(.., verb)| verb.as_str()).collect();
    assert_eq!(verbs, BTreeSet::from(["get", "list", "watch"]), "it changes nothing");
}
