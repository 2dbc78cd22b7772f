//! What names something: found, missing, or not to be judged by what was read.

use websample::known::SampleServer;
use websample_manifest::{self as manifest, Source, Told};

/// A workload that nothing is wrong with, in a namespace or in none.
fn workload(space: &str, name: &str) -> String {
    let space = namespace(space);
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}{space} }}\nspec:\n  replicas: 3\n  \
         selector: {{ matchLabels: {{ app: {name} }} }}\n  template:\n    metadata: {{ labels: {{ app: \
         {name} }} }}\n    spec:\n      containers:\n        - name: {name}\n          image: x:1\n          \
         ports: [{{ name: http, containerPort: 8080 }}]\n          readinessProbe: {{ httpGet: {{ port: http \
         }}, periodSeconds: 2 }}\n          lifecycle: {{ preStop: {{ sleep: {{ seconds: 5 }} }} }}\n---\n\
         apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{ name: {name}{space} }}\nspec: {{ \
         maxUnavailable: 1, selector: {{ matchLabels: {{ app: {name} }} }} }}\n---\n"
    )
}

fn namespace(space: &str) -> String {
    if space.is_empty() { String::new() } else { format!(", namespace: {space}") }
}

fn service(space: &str, name: &str, spec: &str) -> String {
    let space = namespace(space);
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name}{space} }}\nspec: {{ {spec} }}\n---\n"
    )
}

fn web(space: &str) -> String {
    let ports = "selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }]";
    workload(space, "web") + &service(space, "web", ports)
}

fn ingress(space: &str, service: &str, port: &str) -> String {
    let space = namespace(space);
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{ name: x{space} }}\nspec: {{ rules: [{{ \
         http: {{ paths: [{{ path: /, pathType: Prefix, backend: {{ service: {{ name: {service}, port: {{ \
         {port} }} }} }} }}] }} }}] }}\n---\n"
    )
}

fn object(version: &str, kind: &str, space: &str, spec: &str) -> String {
    let space = namespace(space);
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: other{space} }}\nspec: {{ {spec} }}\n---\n"
    )
}

fn rules(text: &str) -> Vec<&'static str> {
    let source = Source { name: "x.yaml".to_owned(), text: text.to_owned() };
    let report = manifest::check(&[source], Told::default(), &SampleServer)
        .unwrap_or_else(|unusable| panic!("{unusable}\n{text}"));
    assert_eq!(report.problems, [], "{text}");
    let mut rules: Vec<_> = report.findings.iter().map(|finding| finding.rule.name()).collect();
    rules.dedup();
    rules
}

#[test]
fn routes_find_their_services_as_far_as_those_were_read() {
    let gateway = "gateway.networking.k8s.io/v1";
    let grpc = |to: &str| {
        object(gateway, "GRPCRoute", "a", &format!("rules: [{{ backendRefs: [{to}] }}]"))
    };
    let openshift = |to: &str| object("route.openshift.io/v1", "Route", "a", to);
    let external = service("a", "far", "type: ExternalName, externalName: example.com");
    for (route, expected) in [
        (ingress("a", "web", "number: 80"), &[][..]),
        (ingress("a", "web", "name: http"), &[]),
        (ingress("", "web", "number: 80"), &[]),
        (ingress("a", "web", "number: 81"), &["route-port-unknown"]),
        (ingress("a", "web", "name: https"), &["route-port-unknown"]),
        (ingress("a", "web", "number: 8080"), &["route-port-of-pod"]),
        (ingress("a", "wob", "number: 80"), &["route-service-missing"]),
        // An action of the ALB's controller.
        (ingress("a", "redirect", "name: use-annotation"), &[]),
        (external + &ingress("a", "far", "number: 443"), &[]),
        // Where no Service was read nothing is missed.
        (ingress("b", "web", "number: 80"), &["reference-not-judged"]),
        (grpc("{ name: web, port: 80 }"), &[]),
        (grpc("{ name: web, port: 8443 }"), &["route-port-unknown"]),
        (grpc("{ name: wob, port: 80 }"), &["route-service-missing"]),
        (grpc("{ name: wob, port: 80, weight: 0 }"), &[]),
        (grpc("{ name: web, namespace: b, port: 80 }"), &["reference-not-judged"]),
        (grpc("{ group: x.io, kind: Bucket, name: wob }"), &[]),
        (openshift("to: { kind: Service, name: web }, port: { targetPort: 8080 }"), &[]),
        (openshift("to: { kind: Service, name: wob }"), &["route-service-missing"]),
    ] {
        assert_eq!(rules(&(web("a") + &route)), expected, "{route}");
    }
}

#[test]
fn a_service_that_is_missing_may_be_one_that_is_there() {
    let more = service(
        "a",
        "web-admin",
        "selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }]",
    );
    for (name, hint, fix) in [
        ("web-svc", "; there is web: if", "name: web  # or"),
        ("web-admim", "; there is web-admin: if", "name: web-admin  # or"),
        ("orders", "read beside it: if", "correct the name"),
    ] {
        let text = web("a") + &more + &ingress("a", name, "number: 80");
        let source = Source { name: "x.yaml".to_owned(), text };
        let report = manifest::check(&[source], Told::default(), &SampleServer).unwrap();
        let missing = |finding: &&manifest::Finding| finding.rule.name() == "route-service-missing";
        let finding = report.findings.iter().find(missing).unwrap();
        assert!(finding.message.contains(hint), "{name}: {}", finding.message);
        assert!(finding.fix.text().starts_with(fix), "{name}: {}", finding.fix.text());
    }
}

#[test]
fn autoscalers_find_what_they_scale() {
    let scaler = |space: &str, target: &str| {
        let spec = format!("minReplicas: 3, maxReplicas: 9, scaleTargetRef: {{ {target} }}");
        object("autoscaling/v2", "HorizontalPodAutoscaler", space, &spec)
    };
    let found = web("a").replace("  replicas: 3\n", "");
    for (scaler, expected) in [
        (scaler("a", "apiVersion: apps/v1, kind: Deployment, name: web"), &[][..]),
        // Beside it nothing else scales, so there is one replica more to say of.
        (
            scaler("a", "apiVersion: extensions/v1beta1, kind: Deployment, name: web"),
            &["autoscaler-target-unknown"],
        ),
        (
            scaler("a", "apiVersion: apps/v1, kind: Deployment, name: wob"),
            &["single-replica", "autoscaler-target-missing"],
        ),
        (
            scaler("b", "apiVersion: apps/v1, kind: Deployment, name: web"),
            &["single-replica", "reference-not-judged"],
        ),
        (
            scaler("a", "apiVersion: apps/v1, kind: DaemonSet, name: web"),
            &["single-replica", "autoscaler-target-unknown"],
        ),
        // A kind of somebody's, of which nothing is known.
        (scaler("a", "apiVersion: x.io/v1, kind: Fleet, name: web"), &["single-replica"]),
    ] {
        let mut rules = rules(&(found.clone() + &scaler));
        rules.retain(|rule| *rule != "no-disruption-budget" && *rule != "disruption-budget-blocks");
        rules.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(rules, expected, "{scaler}");
    }
}

#[test]
fn services_find_pods_whoever_makes_them() {
    let orphan =
        |space: &str| service(space, "orphan", "selector: { app: orphan }, ports: [{ port: 80 }]");
    let job = object(
        "batch/v1",
        "CronJob",
        "a",
        "schedule: '* * * * *', jobTemplate: { spec: { template: { metadata: { labels: { app: orphan } } } } }",
    );
    for (more, expected) in [
        (orphan("a"), &["service-without-pods"][..]),
        (orphan("b"), &["reference-not-judged"]),
        (orphan("a") + &job, &[]),
        // Made by somebody's operator, perhaps; that was not judged.
        (orphan("a") + &object("x.io/v1", "Fleet", "a", ""), &["kind-not-judged"]),
        (
            orphan("a") + &object("x.io/v1", "Fleet", "b", ""),
            &["kind-not-judged", "service-without-pods"],
        ),
        (service("a", "own", "ports: [{ port: 80 }]"), &[]),
    ] {
        let mut rules = rules(&(web("a") + &more));
        rules.sort_unstable();
        assert_eq!(rules, expected, "{more}");
    }
}

#[test]
fn one_object_twice_is_told_of_where_it_is_not_the_same() {
    let other = web("a").replace("port: 80,", "port: 81,");
    assert_eq!(rules(&(web("a") + &web("a"))), [""; 0]);
    assert_eq!(rules(&(web("a") + &other)), ["defined-twice"]);
    assert_eq!(rules(&(web("a") + &web("b"))), [""; 0]);
}
