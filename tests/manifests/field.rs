//! What manifests of other projects have taught: each is written anew here, as small as it shows it, with
//! the project where it was met.

use websample::known::SampleServer;
use websample_manifest::{self as manifest, CheckReport, Source, Told};

fn checked(text: &str) -> CheckReport {
    let source = Source { name: "x.yaml".to_owned(), text: text.to_owned() };
    let report = manifest::check(&[source], Told::default(), &SampleServer)
        .unwrap_or_else(|unusable| panic!("{unusable}\n{text}"));
    assert_eq!(report.problems, [], "{text}");
    report
}

fn rules(text: &str) -> Vec<&'static str> {
    let mut rules: Vec<_> =
        checked(text).findings.iter().map(|finding| finding.rule.name()).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// Pods of a kind, with this container, and nothing wrong with how they are replaced.
fn workload(version: &str, kind: &str, container: &str) -> String {
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: it }}\nspec:\n  replicas: 3\n  selector: {{ \
         matchLabels: {{ app: it }} }}\n  template:\n    metadata: {{ labels: {{ app: it }} }}\n    spec:\n      \
         containers: [{{ name: it, image: x, {container} }}]\n---\n"
    )
}

const SOUND: &str = "ports: [{ containerPort: 80 }], readinessProbe: { tcpSocket: { port: 80 } }, lifecycle: { \
                     preStop: { sleep: { seconds: 5 } } }";

fn service(name: &str, selector: &str, port: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\nspec: {{ selector: {{ {selector} }}, ports: [{{ \
         {port} }}] }}\n---\n"
    )
}

/// kueue, metallb, gatekeeper, kserve: patches of kustomizations lie beside what they are put over.
#[test]
fn a_patch_is_no_deployment() {
    let sound = workload("apps/v1", "Deployment", SOUND).replace("name: it }\n", "name: whole }\n");
    for patch in [
        "spec:\n  template:\n    spec:\n      containers: [{ name: it, args: [--port=1], ports: [{ containerPort: 1 \
         }] }]\n",
        // Only its replicas, as in metrics-server.
        "spec: { replicas: 2 }\n",
        // With labels, and still without what it runs, as in metallb.
        "spec:\n  template:\n    metadata: { labels: { more: x } }\n    spec:\n      containers: [{ name: it, ports: [{ \
         containerPort: 1 }] }]\n",
        "$patch: delete\n",
    ] {
        let patch =
            format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: it }}\n{patch}");
        assert_eq!(
            rules(&format!("{sound}{patch}")),
            ["no-disruption-budget", "not-an-object"],
            "{patch}"
        );
    }
    // Whole but for the selector, it is a Deployment that the API refuses, as one of cloud-on-k8s is.
    let whole = workload("apps/v1", "Deployment", SOUND)
        .replace("  selector: { matchLabels: { app: it } }\n", "");
    assert!(rules(&whole).contains(&"api-refuses"), "{whole}");
}

/// argo-cd: a Service for metrics alone sends to a port without a name, and the probe asks it too.
#[test]
fn what_only_a_service_for_metrics_sends_to_carries_no_requests() {
    let pods = workload("apps/v1", "StatefulSet", "ports: [{ containerPort: 8082 }]");
    let metrics = service("it-metrics", "app: it", "name: metrics, port: 8082, targetPort: 8082");
    let http = service("it-http", "app: it", "name: http, port: 80, targetPort: 8082");
    assert_eq!(rules(&(pods.clone() + &metrics)), [""; 0]);
    // cert-manager's operator: the name of the Service says it, the port's does not.
    let kubebuilders =
        service("it-controller-manager-metrics-service", "app: it", "name: https, port: 8082");
    assert_eq!(rules(&(pods.clone() + &kubebuilders)), [""; 0]);
    assert!(rules(&(pods + &metrics + &http)).contains(&"no-readiness-probe"));
}

/// tekton, contour: profiles are for those who watch.
#[test]
fn a_port_for_profiles_carries_no_requests() {
    let ports = "ports: [{ name: metrics, containerPort: 1 }, { name: profiling, containerPort: 2 }, { name: probes, \
                 containerPort: 3 }]";
    assert_eq!(rules(&workload("apps/v1", "Deployment", ports)), [""; 0]);
}

/// argo-rollouts: the pods of an experiment have labels of their own, and a Service for them.
#[test]
fn the_pods_of_an_experiment_have_a_service() {
    let strategy = "  strategy:\n    canary:\n      maxUnavailable: 0\n      steps: [{ experiment: { templates: [{ name: \
                    a, metadata: { labels: { app: preview } } }] } }]\n";
    let pods = workload("argoproj.io/v1alpha1", "Rollout", SOUND)
        .replace("  replicas: 3\n", &format!("  replicas: 3\n{strategy}"));
    let preview = service("preview", "app: preview", "port: 80");
    assert_eq!(rules(&(pods.clone() + &preview)), ["no-disruption-budget"]);
    let other = service("other", "app: other", "port: 80");
    assert_eq!(rules(&(pods + &other)), ["no-disruption-budget", "service-without-pods"]);
}

/// argo-cd: a key of a ConfigMap without a value.
#[test]
fn a_key_without_a_value_is_none() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: it }\ndata:\n  redis.db:\n---\n";
    assert_eq!(
        rules(&(map.to_owned() + &workload("apps/v1", "Deployment", SOUND))),
        ["no-disruption-budget"]
    );
}

/// istio: a pod to look around from, with a Service so that it has a name.
#[test]
fn who_only_sleeps_serves_nobody() {
    let named = service("it", "app: it", "name: http, port: 80");
    for command in [
        "[/bin/sleep, infinity]",
        "[sh, -c, 'while true; do sleep 3600; done']",
        "[tail, -f, /dev/null]",
    ] {
        let pods = workload("apps/v1", "Deployment", &format!("command: {command}"));
        let rules = rules(&(pods + &named));
        assert!(
            !rules.contains(&"no-readiness-probe") && !rules.contains(&"endpoint-race"),
            "{rules:?}"
        );
    }
    let pods = workload("apps/v1", "Deployment", "command: [sh, -c, 'sleep 5; serve']");
    assert!(rules(&(pods + &named)).contains(&"no-readiness-probe"));
}
