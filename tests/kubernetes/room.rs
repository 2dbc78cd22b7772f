//! A cluster that is small, or that has not finished with the rollout before.

use serde_json::{Value, json};

use crate::{
    api::{NAMESPACE, Server},
    behaviour::Behaviour,
    lab::Ran,
    pods::collection,
    rollout::{run, start},
    store::Collection,
};

const TWO_MODES: [&str; 4] = ["--modes", "immediate,drain", "--rate", "5"];

/// A server with one node of so many processors.
fn with_node(cpu: &str) -> Server {
    let server = Server::start(Behaviour::Ready, Behaviour::Ready);
    let node = json!({
        "metadata": {"name": "only"},
        "spec": {},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    server.api.store.put(&Collection::of("", "nodes", ""), "only", node);
    server
}

/// How many Deployments there were at once.
fn most_at_once(server: &Server) -> usize {
    let changes =
        server.api.store.since(&collection("apps", "deployments"), 0).expect("all of them");
    let (mut there, mut most) = (std::collections::BTreeSet::new(), 0);
    for change in changes {
        let name = change.object["metadata"]["name"].as_str().expect("a name").to_owned();
        if change.kind == "DELETED" {
            there.remove(&name);
        } else {
            there.insert(name);
        }
        most = most.max(there.len());
    }
    most
}

fn modes(ran: &Ran) -> Vec<Value> {
    let report = ran.report();
    report["runs"].as_array().expect("runs").iter().map(|run| run["mode"].clone()).collect()
}

#[test]
fn modes_that_do_not_fit_at_once_take_turns() {
    // Two pods and a surged one of each mode and one that sends, 100m each: 8 in all.
    for (cpu, at_once) in [("800m", 2), ("790m", 1)] {
        let server = with_node(cpu);
        let ran = run(&server, &TWO_MODES);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(modes(&ran), ["immediate", "drain"], "{ran:?}");
        assert_eq!(most_at_once(&server), at_once, "{cpu}: {ran:?}");
        assert_eq!(ran.err.contains("no room for 8 pods: one mode after the other"), at_once == 1);
    }
}

#[test]
fn they_do_not_where_that_is_asked_for_or_nothing_is_known() {
    let server = with_node("790m");
    let ran = run(&server, &[&TWO_MODES[..], &["--side-by-side"]].concat());
    assert_eq!((ran.code, most_at_once(&server)), (Some(0), 2), "{ran:?}");
    assert!(!ran.err.contains("no room"), "{ran:?}");

    let server = with_node("790m");
    server.api.forbid("list", "nodes");
    let ran = run(&server, &TWO_MODES);
    assert_eq!((ran.code, most_at_once(&server)), (Some(0), 2), "{ran:?}");
}

#[test]
fn what_does_not_even_fit_alone_is_said_before_it_is_waited_for() {
    let server = with_node("200m");
    let ran = run(&server, &TWO_MODES);
    assert!(ran.err.contains("nor have they for one mode's 4"), "{ran:?}");
    assert!(ran.err.contains("take fewer --replicas"), "{ran:?}");
}

#[test]
fn a_namespace_on_its_way_out_is_waited_for() {
    let server = Server::empty(Behaviour::Ready, Behaviour::Ready);
    let namespaces = Collection::of("", "namespaces", "");
    let leaving =
        json!({"metadata": {"name": NAMESPACE, "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    server.api.store.put(&namespaces, NAMESPACE, leaving);
    let mut lab = start(&server, &["--modes", "drain", "--rate", "5"]);
    lab.saw(|line| line.contains("namespace websample is still being removed"));
    server.api.store.remove(&namespaces, NAMESPACE).expect("it was there");
    let ran = lab.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.api.store.titles(), [""; 0], "it made its own, and removed it");
}
