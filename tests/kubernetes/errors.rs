//! What goes wrong names the cluster, the object and the remedy, and leaves nothing behind.

use serde_json::json;

use crate::{
    api::{NAMESPACE, Server},
    behaviour::Behaviour,
    lab::{Lab, Ran, rollout_with},
    pods::collection,
    rollout::{run, start},
    store::{Collection, Refusal},
};

const UNAVAILABLE: Option<i32> = Some(69);

/// Runs it, and checks how it ended: what the last line says, and that nothing is left.
fn fails(server: &Server, arguments: &[&str], words: &[&str]) -> Ran {
    let before = server.api.store.titles();
    let ran = run(server, arguments);
    said(&ran, words);
    assert!(ran.err.contains("cluster test (http://127.0.0.1:"), "{ran:?}");
    assert_eq!(server.api.store.titles(), before, "{ran:?}");
    ran
}

fn said(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, UNAVAILABLE, "{ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "no `{word}` in {}", ran.err);
    }
    assert!(!ran.report_file().exists());
}

fn on(v1: Behaviour) -> Server {
    Server::start(v1, Behaviour::Ready)
}

#[test]
fn no_kubeconfig_and_no_cluster() {
    let environment = [("KUBECONFIG", "/nowhere/config")];
    let ran = rollout_with(&environment, &["--target", "kubernetes", "--modes", "drain"]);
    said(&ran, &["no cluster", "/nowhere/config", "kind create cluster"]);
}

#[test]
fn a_context_that_there_is_not() {
    let server = on(Behaviour::Ready);
    let ran = run(&server, &["--context", "staging"]);
    said(&ran, &["context staging", "--kubeconfig"]);
}

#[test]
fn a_cluster_that_is_not_reached() {
    let server = on(Behaviour::Ready);
    let config = std::fs::read_to_string(server.kubeconfig()).expect("a kubeconfig");
    // Port 1 is nobody's.
    let at = config.find("http://127.0.0.1:").expect("the server") + "http://127.0.0.1:".len();
    let end = config[at..].find('"').expect("its end") + at;
    std::fs::write(server.kubeconfig(), format!("{}1{}", &config[..at], &config[end..])).unwrap();
    let ran = run(&server, &["--modes", "drain"]);
    said(&ran, &["cluster test (http://127.0.0.1:1", "cannot be reached", "kubectl cluster-info"]);
}

#[test]
fn what_is_forbidden_is_named_before_anything_is_done() {
    let server = on(Behaviour::Ready);
    server.api.forbid("create", "deployments");
    server.api.forbid("get", "pods/log");
    let words =
        ["namespace websample", "create deployments.apps", "get pods/log", "rollout-role.yaml"];
    fails(&server, &["--modes", "drain"], &words);
    assert!(server.api.requested().is_empty(), "it only asked what it may do");
    // From outside, no logs are read: only the other one is missing.
    let ran = run(&server, &["--modes", "drain", "--url", "http://127.0.0.1:1"]);
    assert!(!ran.err.contains("pods/log"), "{ran:?}");
}

#[test]
fn an_image_that_cannot_be_pulled() {
    let message = "Back-off pulling image \"websample:v1\"";
    let server = on(Behaviour::Waiting("ImagePullBackOff", message, json!({})));
    let words = ["drain: ", "pod websample-drain-v1-0", "websample:v1", message, "kind load"];
    fails(&server, &["--modes", "drain"], &words);
}

#[test]
fn an_image_of_the_new_version_that_is_not_on_the_node() {
    let behaviour =
        Behaviour::Waiting("ErrImageNeverPull", "not present with pull policy", json!({}));
    let server = Server::start(Behaviour::Ready, behaviour);
    fails(&server, &["--modes", "drain", "--rate", "5"], &["websample:v2", "ErrImageNeverPull"]);
}

#[test]
fn pods_that_no_node_takes() {
    let server = on(Behaviour::Unschedulable("0/3 nodes are available: 3 Insufficient cpu."));
    let arguments = ["--modes", "drain", "--ready-within", "1s"];
    fails(&server, &arguments, &["Insufficient cpu", "fewer replicas"]);
}

#[test]
fn a_program_that_crashes() {
    let last = json!({"terminated": {"exitCode": 64, "message": "mode: no such mode"}});
    let server = on(Behaviour::Waiting("CrashLoopBackOff", "back-off 10s", last));
    fails(&server, &["--modes", "drain"], &["exit code 64", "no such mode", "kubectl logs"]);
}

#[test]
fn pods_that_never_get_ready_are_told_with_the_events() {
    let server = on(Behaviour::NeverReady);
    let event = json!({
        "metadata": {"name": "e1"}, "type": "Warning", "reason": "Unhealthy",
        "message": "Readiness probe failed: connection refused",
        "involvedObject": {"kind": "Pod", "name": "websample-drain-v1-0"},
        "lastTimestamp": "2026-01-01T00:00:00Z",
    });
    server.api.store.put(&collection("", "events"), "e1", event);
    let words = [
        "Deployment websample/websample-drain",
        "within 1s",
        "of 2 pods 2 are new and 0 available",
        "Pod websample-drain-v1-0: Unhealthy: Readiness probe failed",
    ];
    fails(&server, &["--modes", "drain", "--ready-within", "1s"], &words);
}

#[test]
fn a_quota_and_a_rollout_that_gave_up() {
    let quota = "pods \"x\" is forbidden: exceeded quota: small";
    let server = on(Behaviour::Condition("ReplicaFailure", "True", "FailedCreate", quota));
    fails(&server, &["--modes", "drain"], &["FailedCreate", "exceeded quota: small", "the quota"]);
    let reason = "ProgressDeadlineExceeded";
    let gave_up = Behaviour::Condition("Progressing", "False", reason, "has timed out progressing");
    let server = Server::start(Behaviour::Ready, gave_up);
    fails(&server, &["--modes", "drain", "--rate", "5"], &[reason, "makes no progress"]);
}

#[test]
fn what_the_api_refuses_is_told_in_its_words() {
    let server = on(Behaviour::Ready);
    let message = "admission webhook \"policy\" denied the request: no PDBs here";
    server.api.refuse("poddisruptionbudgets", Refusal::new(403, "Forbidden", message));
    let words = ["PodDisruptionBudget websample/websample-drain", "refused to apply", message];
    fails(&server, &["--modes", "drain"], &words);
}

#[test]
fn objects_of_others_are_left_alone() {
    let server = on(Behaviour::Ready);
    let services = collection("", "services");
    let theirs = json!({"metadata": {"name": "websample-drain"}, "spec": {"clusterIP": "None"}});
    server.api.store.put(&services, "websample-drain", theirs);
    let words = ["Service websample/websample-drain", "not made by a rollout", "--namespace"];
    fails(&server, &["--modes", "drain"], &words);
    let there = server.api.store.get(&services, "websample-drain").expect("it is there");
    assert_eq!(there["spec"]["clusterIP"], "None");

    let labels =
        json!({"app.kubernetes.io/managed-by": "websample-rollout", "websample/run": "77"});
    let ours = json!({"metadata": {"name": "websample-drain", "labels": labels}});
    server.api.store.put(&services, "websample-drain", ours);
    let words = ["another rollout (77)", "kubectl delete", "websample/run=77"];
    fails(&server, &["--modes", "drain"], &words);
}

#[test]
fn a_field_that_somebody_else_manages_is_a_conflict() {
    let server = Server::start(Behaviour::Ready, Behaviour::Ready);
    let mut lab = start(&server, &["--modes", "drain", "--rate", "5"]);
    warmed_up(&server, &mut lab);
    let pointer = "/spec/template/spec/containers/0/image";
    // Lists are applied whole, and so is what is in them.
    let containers = "/spec/template/spec/containers";
    let deployments = collection("apps", "deployments");
    let there = server.api.store.get(&deployments, "websample-drain").expect("it is there");
    let mut theirs = there.pointer(containers).expect("containers").clone();
    theirs[0]["image"] = json!("websample:pinned");
    server.api.store.manage(
        &deployments,
        "websample-drain",
        "argocd-controller",
        containers,
        &theirs,
    );
    let ran = lab.end();
    let words = ["Deployment websample/websample-drain", "argocd-controller", "somebody else"];
    said(&ran, &words);
    assert!(pointer.starts_with(containers));
    assert_eq!(server.api.store.titles(), ["namespaces/websample"], "its own objects are removed");
}

/// Waits until there is load, which is before the new image is set.
pub(crate) fn warmed_up(server: &Server, _lab: &mut Lab) {
    let jobs = collection("batch", "jobs");
    let mut versions = server.api.store.versions();
    let there = || server.api.store.get(&jobs, "websample-drain-load").is_some();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let wait = async {
            while !there() {
                versions.changed().await.expect("the store is there");
            }
        };
        tokio::time::timeout(crate::lab::PATIENCE, wait).await.expect("the load comes");
    });
}

#[test]
fn a_namespace_that_nobody_may_make() {
    let server = Server::empty(Behaviour::Ready, Behaviour::Ready);
    server.api.forbid("create", "namespaces");
    let words = ["Namespace websample", "refused to apply"];
    fails(&server, &["--modes", "drain"], &words);
    let there = server.api.store.get(&Collection::of("", "namespaces", ""), NAMESPACE);
    assert_eq!(there, None);
}
