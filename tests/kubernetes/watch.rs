//! `websample watch`: the real binary, which looks on while somebody else rolls out.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    api::{CLUSTER_IP, NAMESPACE, Server},
    behaviour::Behaviour,
    foreign::{Foreign, new, old},
    looking::{Looked, Looking},
    pods::collection,
};

fn look(server: &Server, arguments: &[&str]) -> Looking {
    let mut looking = Looking::start(server, arguments);
    looking.said("times are UTC");
    looking
}

/// The events of a pod in the report.
fn history(looked: &Looked, pod: &str) -> Vec<String> {
    let report = looked.report();
    let pods = report["runs"][0]["pods"].as_array().expect("pods");
    let pod = pods.iter().find(|record| record["name"] == pod).expect("the pod is there");
    let events = pod["events"].as_array().expect("events");
    events.iter().map(|event| event["what"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_rollout_of_others_is_told_line_by_line() {
    let foreign = Foreign::new("Deployment", 2);
    let mut looking = look(&foreign.server, &["web"]);
    foreign.set_image("shop:v2");
    looking.saw(&["deployment/web", "rollout_began", "image shop:v1 to shop:v2"]);
    foreign.create(&new(0), "bbbb");
    looking.saw(&["pod/web-bbbb-0", "created"]);
    foreign.ready(&new(0));
    looking.saw(&["pod/web-bbbb-0", "ready"]);
    looking.saw(&["pod/web-bbbb-0", "endpoint_ready_true"]);
    foreign.delete(&old(0));
    looking.saw(&["pod/web-aaaa-0", "deleted"]);
    foreign.event(&old(0), "Normal", "Killing", "Stopping container app");
    looking.saw(&["pod/web-aaaa-0", "sigterm"]);
    foreign.exit(&old(0), 143, "Error");
    looking.saw(&["pod/web-aaaa-0", "exited", "exit code 143"]);
    foreign.remove(&old(0));
    looking.saw(&["pod/web-aaaa-0", "removed"]);
    foreign.replace(1);
    foreign.complete();
    looking.saw(&["deployment/web", "rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert!(looked.out.contains("the rollout (shop:v1 to shop:v2) was over after"), "{looked:?}");
    assert!(looked.out.contains("1 with exit code 143, 1 with exit code 0"), "{looked:?}");
    let expected = [
        "created",
        "started",
        "ready",
        "endpoint_ready_true",
        "deleted",
        "endpoint_ready_false",
        "sigterm",
        "exited",
        "not_ready",
        "removed",
    ];
    let seen: BTreeSet<_> = history(&looked, &old(0)).into_iter().collect();
    assert_eq!(seen, expected.into_iter().map(str::to_owned).collect(), "{looked:?}");
    let run = &looked.report()["runs"][0];
    assert_eq!((&run["mode"], &run["requests"]), (&json!("web"), &json!(0)));
    assert_eq!(run["pods"][0]["version"], "aaaa");
    assert!(looked.file("report.html").contains("web-bbbb-1"), "the page has the pods");
}

#[test]
fn what_the_kubelet_tells_is_in_the_timeline() {
    let foreign = Foreign::new("Deployment", 1);
    foreign.hook(&json!({"exec": {"command": ["/bin/drain"]}}));
    // What was there before is history.
    foreign.event(&old(0), "Warning", "Unhealthy", "Liveness probe failed: timeout");
    foreign.create("web-aaaa-9", "aaaa");
    foreign.ready("web-aaaa-9");
    let mut looking = look(&foreign.server, &["web", "--fail-on", "hook-failed,oom-killed,killed"]);
    foreign.event("web-aaaa-9", "Warning", "Unhealthy", "Readiness probe failed: status 503");
    looking.saw(&["pod/web-aaaa-9", "probe_failed", "readiness: status 503"]);
    foreign.event("web-aaaa-9", "Warning", "FailedMount", "no volume");
    looking.saw(&["pod/web-aaaa-9", "warning", "FailedMount: no volume"]);
    foreign.restart("web-aaaa-9", 1, "OOMKilled");
    looking.saw(&["pod/web-aaaa-9", "oom_killed"]);
    looking.saw(&["pod/web-aaaa-9", "restarted", "restart 1"]);
    // The kubelet's event may come before the change of its pod.
    foreign.event("web-aaaa-9", "Normal", "Killing", "Stopping container app");
    looking.saw(&["pod/web-aaaa-9", "hook_called"]);
    foreign.delete("web-aaaa-9");
    foreign.event("web-aaaa-9", "Warning", "FailedPreStopHook", "PreStopHook failed");
    looking.saw(&["pod/web-aaaa-9", "hook_failed", "PreStopHook failed"]);
    looking.saw(&["pod/web-aaaa-9", "sigterm"]);
    foreign.exit("web-aaaa-9", 0, "Completed");
    foreign.remove("web-aaaa-9");
    foreign.complete();
    looking.saw(&["deployment/web", "rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(1), "{looked:?}");
    assert!(looked.err.contains("hook-failed: 1 (web-aaaa-9)"), "{looked:?}");
    assert!(looked.err.contains("oom-killed: 1 (web-aaaa-9)"), "{looked:?}");
    assert!(!looked.err.contains("web-aaaa-0)"), "{looked:?}");
    assert!(!looked.out.contains("liveness"), "what was before is not told: {looked:?}");
}

#[test]
fn a_stateful_set_and_a_daemon_set_are_looked_at_too() {
    for (kind, name) in [("StatefulSet", "sts/web"), ("DaemonSet", "daemonset/web")] {
        let foreign = Foreign::new(kind, 2);
        let mut looking = look(&foreign.server, &[name]);
        foreign.set_image("shop:v2");
        looking.saw(&["rollout_began", "shop:v2"]);
        foreign.replace(0);
        foreign.replace(1);
        foreign.complete();
        looking.saw(&["rollout_over"]);
        let looked = looking.end();
        assert_eq!(looked.code, Some(0), "{looked:?}");
        assert!(history(&looked, &old(1)).contains(&"removed".to_owned()), "{looked:?}");
        assert_eq!(looked.report()["runs"][0]["pods"][2]["version"], "bbbb");
    }
}

#[test]
fn programs_read_an_object_a_line() {
    let foreign = Foreign::new("Deployment", 1);
    let mut looking = look(&foreign.server, &["web", "--output", "json"]);
    foreign.update();
    looking.saw(&["rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    let lines: Vec<Value> =
        looked.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), looked.out.lines().count());
    // Not an event of the kubelet's: that comes by a watch of its own, which nothing orders.
    let removed = lines.iter().find(|line| line["what"] == "removed").expect("it is there");
    assert_eq!(removed["subject"], "pod/web-aaaa-0");
    assert!(removed["at"].is_number() && removed["time"].as_str().expect("text").ends_with('Z'));
    assert!(looked.err.contains("report.json"), "{looked:?}");
}

/// A Deployment of this project's server, which runs as real processes.
pub(crate) fn real(mode: &str) -> Server {
    real_with(mode, |_| {})
}

/// The same, changed in this way.
pub(crate) fn real_with(mode: &str, change: impl Fn(&mut Value)) -> Server {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "terminationGracePeriodSeconds": 10,
            "containers": [{
                "name": "websample", "image": "websample:v1",
                "ports": [{"name": "http", "containerPort": 5000}],
                "env": [{"name": "WEBSAMPLE_MODE", "value": mode}],
                "readinessProbe": {
                    "httpGet": {"path": "/readiness", "port": "admin"}, "periodSeconds": 1,
                    "failureThreshold": 3,
                },
            }],
        },
    });
    let mut deployment = json!({
        "metadata": {"name": "web", "namespace": NAMESPACE, "generation": 1},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    });
    change(&mut deployment);
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}],
            "clusterIP": CLUSTER_IP,
        },
    });
    server.api.store.put(&collection("", "services"), "web", service);
    roll_out(&server, |object| *object = deployment.clone());
    server.api.wait_for(|store| {
        let object = store.get(&collection("apps", "deployments"), "web");
        object.is_some_and(|object| object["status"]["availableReplicas"] == 2)
    });
    server
}

fn roll_out(server: &Server, change: impl Fn(&mut Value)) {
    let deployments = collection("apps", "deployments");
    let mut object = server.api.store.get(&deployments, "web").unwrap_or_default();
    change(&mut object);
    server.api.store.put(&deployments, "web", object.clone());
    server.api.applied(&deployments, "web", &object);
}

fn to_v2(object: &mut Value) {
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("websample:v2");
    object["metadata"]["generation"] = json!(2);
}

#[test]
fn requests_of_its_own_see_what_a_rollout_loses() {
    for (mode, code) in [("drain", 0), ("immediate", 1)] {
        let server = real(mode);
        let url = format!("http://{}/", server.api.service_address());
        // Slow ones are in flight whenever a process ends.
        let mix = "50/s new GET /, 50/s keep-alive GET /sleep/1";
        let arguments = ["web", "--url", &url, "--mix", mix, "--fail-on-loss"];
        let mut looking = Looking::start(&server, &arguments);
        looking.said("100 requests/s to http://");
        looking.said("times are UTC");
        roll_out(&server, to_v2);
        let looked = looking.end();
        assert_eq!(looked.code, Some(code), "{mode}: {looked:?}");
        let run = &looked.report()["runs"][0];
        assert!(run["requests"].as_u64() > Some(100), "{run}");
        assert_eq!(run["lost"].as_u64() > Some(0), code == 1, "{mode}: {looked:?}");
        let lines =
            looked.out.lines().filter(|line| line.contains("  probe") && line.contains("lost"));
        assert_eq!(lines.count() > 0, code == 1, "{mode}: {looked:?}");
        if code == 1 {
            assert!(looked.err.contains("loss: "), "{looked:?}");
            let causes = run["causes"].as_array().expect("causes");
            assert!(causes.iter().all(|cause| cause["cause"] != "unexplained"), "{causes:?}");
        }
    }
}

#[test]
fn a_url_whose_answers_all_count_as_lost_is_refused() {
    let server = real("drain");
    let url = format!("http://{}/sleep/x", server.api.service_address());
    let looked = Looking::start(&server, &["web", "--url", &url]).end();
    assert_eq!(looked.code, Some(64), "{looked:?}");
    for words in ["answers with 400", "--expect"] {
        assert!(looked.err.contains(words), "{looked:?}");
    }
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let foreign = Foreign::new("StatefulSet", 1);
    for (arguments, words) in [
        (
            &["web"][..],
            &["no Deployment websample/web", "websample watch statefulset/web -n websample"][..],
        ),
        (&["sts/db"], &["no StatefulSet websample/db", "there are statefulset/web"]),
        (&["sts/web", "--service", "x"], &["no Service websample/x", "there are web-service"]),
        (&["web", "-n", "empty"], &["nothing that could be seen", "namespace empty"]),
    ] {
        let looked = Looking::start(&foreign.server, arguments).end();
        assert_eq!(looked.code, Some(69), "{looked:?}");
        for word in words {
            assert!(looked.err.contains(word), "no `{word}`: {looked:?}");
        }
    }
    for arguments in [
        &["pod/web"][..],
        &["web", "--fail-on", "loss"],
        &["web", "--fail-on", "p99>1s"],
        &["web", "--fail-on", "forgotten"],
        &["web", "--fix", "nowhere/fix.yaml"],
        &["web", "-n", "A_b"],
    ] {
        let looked = Looking::start(&foreign.server, arguments).end();
        assert_eq!(looked.code, Some(64), "{looked:?}");
    }
}

#[test]
fn what_is_not_permitted_names_the_role() {
    let foreign = Foreign::new("Deployment", 1);
    foreign.server.api.forbid("watch", "pods");
    foreign.server.api.forbid("get", "deployments");
    let looked = Looking::start(&foreign.server, &["web"]).end();
    assert_eq!(looked.code, Some(69), "{looked:?}");
    for words in ["watch pods", "get deployments.apps", "deploy/kubernetes/watch-role.yaml"] {
        assert!(looked.err.contains(words), "{looked:?}");
    }
}

#[test]
fn without_events_and_endpoints_the_rest_is_seen() {
    let foreign = Foreign::new("Deployment", 1);
    foreign.server.api.forbid("watch", "events");
    foreign.server.api.forbid("list", "endpointslices");
    let mut looking = look(&foreign.server, &["web"]);
    foreign.set_image("shop:v2");
    looking.saw(&["rollout_began"]);
    foreign.replace(0);
    foreign.complete();
    looking.saw(&["rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    for words in ["watch events is not permitted", "list endpointslices.discovery.k8s.io is not"] {
        assert!(looked.err.contains(words), "{looked:?}");
    }
    let seen = history(&looked, &old(0));
    assert!(seen.contains(&"exited".to_owned()) && !seen.contains(&"sigterm".to_owned()));
}

#[test]
fn ctrl_c_ends_it_with_what_was_seen_so_far() {
    for (arguments, code) in [(&["web"][..], 130), (&["web", "--follow"], 0)] {
        let foreign = Foreign::new("Deployment", 1);
        let mut looking = look(&foreign.server, arguments);
        foreign.set_image("shop:v2");
        looking.saw(&["rollout_began"]);
        foreign.create(&new(0), "bbbb");
        looking.saw(&["pod/web-bbbb-0", "created"]);
        looking.send(Signal::SIGINT);
        let looked = looking.end();
        assert_eq!(looked.code, Some(code), "{looked:?}");
        assert_eq!(history(&looked, &new(0)), ["created"]);
        assert!(looked.out.contains("was not over when the watch ended"), "{looked:?}");
    }
}

#[test]
fn with_follow_it_goes_on_after_a_rollout() {
    let foreign = Foreign::new("Deployment", 1);
    let mut looking = look(&foreign.server, &["web", "--follow"]);
    foreign.update();
    looking.saw(&["rollout_over"]);
    foreign.set_image("shop:v3");
    looking.saw(&["rollout_began", "shop:v2 to shop:v3"]);
    looking.send(Signal::SIGTERM);
    assert_eq!(looking.end().code, Some(0));
}

#[test]
fn a_rollout_that_does_not_come_or_does_not_end_is_told() {
    let foreign = Foreign::new("Deployment", 1);
    let looked = look(&foreign.server, &["web", "--wait", "1s"]).end();
    assert_eq!(looked.code, Some(69), "{looked:?}");
    assert!(looked.out.contains("no rollout began within 1s"), "{looked:?}");

    let mut looking = look(&foreign.server, &["web"]);
    foreign.set_image("shop:v2");
    looking.saw(&["rollout_began"]);
    let why = "ProgressDeadlineExceeded";
    foreign.condition("Progressing", "False", why, "it took too long");
    looking.saw(&["trouble", "makes no progress (ProgressDeadlineExceeded: it took too long)"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(69), "{looked:?}");
}

#[test]
fn watches_that_break_off_miss_no_pod() {
    let foreign = Foreign::new("Deployment", 3);
    let mut looking = look(&foreign.server, &["web"]);
    foreign.set_image("shop:v2");
    looking.saw(&["rollout_began"]);
    foreign.replace(0);
    foreign.server.api.store.compact();
    foreign.server.api.break_watches();
    foreign.replace(1);
    foreign.server.api.break_watches();
    foreign.replace(2);
    foreign.complete();
    looking.saw(&["rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    for index in 0..3 {
        assert!(history(&looked, &old(index)).contains(&"removed".to_owned()), "{looked:?}");
        assert!(history(&looked, &new(index)).contains(&"ready".to_owned()), "{looked:?}");
    }
}

#[test]
fn a_rollout_of_a_hundred_pods_is_seen_whole() {
    let foreign = Foreign::new("Deployment", 100);
    let mut looking = look(&foreign.server, &["web"]);
    foreign.set_image("shop:v2");
    for index in 0..100 {
        foreign.replace(index);
    }
    foreign.complete();
    looking.saw(&["rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    let report = looked.report();
    let pods = report["runs"][0]["pods"].as_array().expect("pods");
    assert_eq!(pods.len(), 200);
    assert!(looked.out.contains("100 pods ended"), "{}", looked.out);
}
