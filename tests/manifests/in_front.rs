//! Who is in front of a workload, and what follows for its sleep.

use websample::known::SampleServer;
use websample_manifest::{self as manifest, CheckReport, Sender, Source, Told};

use super::command::check as run;

const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: shop }\nspec:\n  \
replicas: 3\n  selector: { matchLabels: { app: web } }\n  template:\n    metadata: { labels: { app: web } }\n    \
spec:\n      containers:\n        - name: web\n          image: x:1\n          ports: [{ name: http, \
containerPort: 8080 }]\n          readinessProbe: { httpGet: { port: http }, periodSeconds: 2 }\n          \
lifecycle: { preStop: { sleep: { seconds: 5 } } }\n---\napiVersion: policy/v1\nkind: \
PodDisruptionBudget\nmetadata: { name: web, namespace: shop }\nspec: { maxUnavailable: 1, selector: { \
matchLabels: { app: web } } }\n---\n";

fn service(annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: web, namespace: shop, annotations: {{ {annotations} }} \
         }}\nspec: {{ selector: {{ app: web }}, ports: [{{ port: 80, targetPort: http }}], {spec} }}\n---\n"
    )
}

fn ingress(annotations: &str, class: &str) -> String {
    let class =
        if class.is_empty() { String::new() } else { format!("ingressClassName: {class}, ") };
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{ name: edge, namespace: shop, annotations: \
         {{ {annotations} }} }}\nspec: {{ {class}defaultBackend: {{ service: {{ name: web, port: {{ number: 80 }} \
         }} }} }}\n---\n"
    )
}

fn checked(text: &str) -> CheckReport {
    let source = Source { name: "x.yaml".to_owned(), text: text.to_owned() };
    let report = manifest::check(&[source], Told::default(), &SampleServer)
        .unwrap_or_else(|unusable| panic!("{unusable}\n{text}"));
    assert_eq!(report.problems, [], "{text}");
    report
}

/// Who goes on longest, and the right sleep in seconds.
fn front(text: &str) -> (Sender, u64) {
    let report = checked(text);
    let [web] = report.checked.as_slice() else { panic!("{report:#?}") };
    (web.in_front[0].sender, web.right_sleep.unwrap().as_secs())
}

#[test]
fn an_ingress_is_known_by_its_class_and_its_annotations() {
    let ip = "alb.ingress.kubernetes.io/target-type: ip";
    let class = |name: &str, controller: &str, annotations: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{ name: {name}, annotations: {{ \
             {annotations} }} }}\nspec: {{ controller: {controller} }}\n---\n"
        )
    };
    let default = "ingressclass.kubernetes.io/is-default-class: 'true'";
    for (text, sender, right) in [
        (ingress("", "nginx"), Sender::IngressNginx, 5),
        (ingress("", ""), Sender::Ingress, 5),
        (ingress("", "edge"), Sender::Ingress, 5),
        (ingress("nginx.ingress.kubernetes.io/rewrite-target: /", ""), Sender::IngressNginx, 5),
        (ingress("kubernetes.io/ingress.class: traefik", ""), Sender::Traefik, 5),
        (ingress(ip, "alb"), Sender::AlbToPods, 20),
        (ingress(ip, ""), Sender::AlbToPods, 20),
        // Its default is instance: the nodes stay.
        (ingress("", "alb"), Sender::KubeProxy, 5),
        (ingress("", "gce"), Sender::GoogleToPods, 40),
        (ingress("", "azure-application-gateway"), Sender::AzureGateway, 90),
        (ingress("", "kong"), Sender::Kong, 5),
        (ingress("", "istio"), Sender::Istio, 10),
        (class("edge", "eks.amazonaws.com/alb", "") + &ingress("", "edge"), Sender::AlbToPods, 20),
        (
            class("edge", "k8s.io/ingress-nginx", default) + &ingress("", ""),
            Sender::IngressNginx,
            5,
        ),
        (class("alb", "k8s.io/ingress-nginx", "") + &ingress("", "alb"), Sender::IngressNginx, 5),
    ] {
        assert_eq!(front(&(WEB.to_owned() + &service("", "") + &text)), (sender, right), "{text}");
    }
}

#[test]
fn a_service_brings_a_load_balancer() {
    let aws = "service.beta.kubernetes.io/aws-load-balancer-";
    let external = format!("{aws}type: external, {aws}nlb-target-type: ip");
    let asked = format!("{aws}type: external, {aws}healthcheck-interval: '20'");
    let balancer = "type: LoadBalancer";
    let local = "type: LoadBalancer, externalTrafficPolicy: Local";
    for (annotations, spec, sender, right) in [
        ("", "", Sender::KubeProxy, 5),
        ("", balancer, Sender::KubeProxy, 5),
        (&*external, balancer, Sender::NlbToPods, 120),
        (
            "",
            "type: LoadBalancer, loadBalancerClass: eks.amazonaws.com/nlb",
            Sender::NlbToPods,
            120,
        ),
        ("", "type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb", Sender::KubeProxy, 5),
        // 20 s, three times.
        (&*asked, local, Sender::AskedNodes, 60),
        ("cloud.google.com/l4-rbs: enabled", local, Sender::AskedNodes, 25),
        // By whom, and so how often, nobody says.
        ("", local, Sender::KubeProxy, 5),
        ("", "clusterIP: None", Sender::Names, 5),
    ] {
        let text = WEB.to_owned() + &service(annotations, spec);
        assert_eq!(front(&text), (sender, right), "{text}");
    }
}

#[test]
fn a_route_is_carried_out_by_its_gateway() {
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: web, namespace: shop \
                 }\nspec: { parentRefs: [{ name: edge, namespace: infra }], rules: [{ backendRefs: [{ name: web, \
                 port: 80 }] }] }\n---\n";
    let gateway = |class: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{ name: edge, namespace: infra \
             }}\nspec: {{ gatewayClassName: {class} }}\n---\n"
        )
    };
    let openshift = "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: { name: web, namespace: shop }\nspec: \
                     { to: { kind: Service, name: web } }\n---\n";
    for (text, sender, right) in [
        (gateway("gke-l7-gxlb") + route, Sender::GoogleToPods, 40),
        (gateway("istio") + route, Sender::Istio, 10),
        // Of what is not known the rest counts, and that it is not known is said.
        (gateway("own") + route, Sender::KubeProxy, 5),
        (route.to_owned(), Sender::KubeProxy, 5),
        (openshift.to_owned(), Sender::OpenShiftRouter, 5),
    ] {
        let text = WEB.to_owned() + &service("", "") + &text;
        assert_eq!(front(&text), (sender, right), "{text}");
    }
    let report = checked(&(WEB.to_owned() + &service("", "") + route));
    assert_eq!(report.checked[0].in_front[1].needs, None);
}

#[test]
fn a_delay_is_judged_by_what_is_in_front() {
    let rules = |text: &str| -> Vec<_> {
        checked(text).findings.iter().map(|finding| finding.rule.name()).collect()
    };
    let alb = ingress("alb.ingress.kubernetes.io/target-type: ip", "alb");
    let text = WEB.to_owned() + &service("", "") + &alb;
    assert_eq!(rules(&text), ["no-readiness-gate", "delay-too-short"]);
    let gated = "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { \
                 elbv2.k8s.aws/pod-readiness-gate-inject: enabled } }\n---\n";
    assert_eq!(rules(&(gated.to_owned() + &text)), ["delay-too-short"]);
    let long = text
        .replace("seconds: 5 }", "seconds: 20 }")
        .replace("replicas: 3", "replicas: 3\n  minReadySeconds: 30");
    assert_eq!(rules(&long), [""; 0]);
}

#[test]
fn the_right_sleep_is_a_table_and_who_is_slow_is_said_once() {
    let alb = ingress("alb.ingress.kubernetes.io/target-type: ip", "alb");
    let other = |text: &str| text.replace("web", "api").replace("name: edge", "name: api");
    let text = WEB.to_owned() + &service("", "") + &alb;
    let text =
        text.clone() + &other(&text) + &(WEB.to_owned() + &service("", "")).replace("web", "inner");
    let ran = run(&["-"], &text);
    for line in [
        "The right sleep in a preStop hook, or delay of the server itself:",
        "  now  right  where",
        "  5s   20s    Deployment shop/web, Deployment shop/api, for an ALB to ip targets (19s)",
        "  5s   5s     Deployment shop/inner, for a kube-proxy (1s 200ms)",
    ] {
        assert!(ran.out.lines().any(|printed| printed == line), "{line}\n{}", ran.out);
    }
    assert_eq!(ran.out.matches("an ALB to ip targets: 19s;").count(), 1, "{}", ran.out);
    assert!(ran.out.contains("aws-load-balancer-controller/issues/1064"), "{}", ran.out);
    let ran = run(&["-", "--output", "json"], &text);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let web = &document["checked"][0];
    assert_eq!((&web["goes_on_seconds"], &web["right_sleep_seconds"]), (&5.0.into(), &20.0.into()));
    assert_eq!(web["in_front"][0]["via"][0], "Ingress shop/edge");
    assert_eq!(web["in_front"][0]["needs_seconds"], 19.0);
    assert!(web["in_front"].as_array().unwrap().iter().all(|front| front["source"].is_string()));
}
