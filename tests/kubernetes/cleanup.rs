//! Whatever the end is, what was made is removed, and nothing else.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    api::{NAMESPACE, Server},
    behaviour::Behaviour,
    errors::warmed_up,
    pods::collection,
    rollout::{run, start},
    store::Collection,
};

fn interrupted(signal: Signal, code: i32) {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let others = json!({"metadata": {"name": "theirs"}});
    server.api.store.put(&collection("", "services"), "theirs", others);
    let mut lab = start(&server, &["--modes", "drain", "--rate", "20"]);
    lab.is_rolling_out();
    let load = server.api.load_processes();
    assert_eq!(load.len(), 1, "the load's pod runs");
    lab.send(signal);
    let ran = lab.end();
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.err.lines().last().expect("a line").contains("interrupted by"), "{ran:?}");
    assert_eq!(server.api.store.titles(), ["namespaces/websample", "services/theirs"]);
    assert_eq!(server.api.load_processes(), [0; 0], "and the load has no pod any more");
    assert!(!ran.report_file().exists());
}

#[test]
fn ctrl_c_removes_everything() {
    interrupted(Signal::SIGINT, 130);
}

#[test]
fn sigterm_removes_everything() {
    interrupted(Signal::SIGTERM, 143);
}

#[test]
fn an_interrupt_while_pods_come_up_removes_everything() {
    let server = Server::start(Behaviour::NeverReady, Behaviour::Ready);
    let lab = start(&server, &["--modes", "drain,graceful"]);
    let mut versions = server.api.store.versions();
    let pods = collection("", "pods");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let wait = async {
            while server.api.store.list(&pods).0.len() < 4 {
                versions.changed().await.expect("the store is there");
            }
        };
        tokio::time::timeout(crate::lab::PATIENCE, wait).await.expect("the pods come");
    });
    lab.send(Signal::SIGINT);
    let ran = lab.end();
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert_eq!(server.api.store.titles(), ["namespaces/websample"]);
}

#[test]
fn a_namespace_that_it_made_is_removed_with_it() {
    let server = Server::empty(Behaviour::Ready, Behaviour::Ready);
    let ran = run(&server, &["--modes", "drain", "--rate", "5"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.api.store.titles(), [""; 0]);
}

#[test]
fn with_keep_everything_stays_and_the_commands_are_said() {
    let server = Server::start(Behaviour::Ready, Behaviour::Ready);
    let ran = run(&server, &["--modes", "drain", "--rate", "5", "--keep"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for word in ["kept in namespace websample", "kubectl get all", "kubectl delete all"] {
        assert!(ran.err.contains(word), "no `{word}` in {}", ran.err);
    }
    let titles = server.api.store.titles();
    for kept in [
        "deployments/websample-drain",
        "services/websample-drain",
        "poddisruptionbudgets/websample-drain",
        "networkpolicies/websample-drain",
        "serviceaccounts/websample-drain",
        "jobs/websample-drain-load",
    ] {
        assert!(titles.iter().any(|title| title == kept), "{kept} is not among {titles:?}");
    }
    let deployment = server.api.store.get(&collection("apps", "deployments"), "websample-drain");
    let labels = deployment.expect("it is there")["metadata"]["labels"].clone();
    assert_eq!(labels["app.kubernetes.io/managed-by"], "websample-rollout");
    assert!(labels["websample/run"].is_string(), "{labels}");
}

#[test]
fn an_object_that_somebody_replaced_meanwhile_is_not_removed() {
    let server = Server::start(Behaviour::Ready, Behaviour::Ready);
    let mut lab = start(&server, &["--modes", "drain", "--rate", "5"]);
    warmed_up(&server, &mut lab);
    let services = collection("", "services");
    server.api.store.remove(&services, "websample-drain").expect("it was there");
    let theirs = json!({"metadata": {"name": "websample-drain", "labels": {"team": "theirs"}}});
    server.api.store.put(&services, "websample-drain", theirs);
    let ran = lab.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let left = server.api.store.titles();
    assert_eq!(left, ["namespaces/websample", "services/websample-drain"]);
    assert!(server.api.store.get(&Collection::of("", "namespaces", ""), NAMESPACE).is_some());
}

#[test]
fn connections_that_break_are_no_reason_to_give_up() {
    let server = Server::empty(Behaviour::Ready, Behaviour::Ready);
    server.api.break_answers();
    let ran = run(&server, &["--modes", "drain", "--rate", "5"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.api.store.titles(), [""; 0], "and everything is removed");
}
