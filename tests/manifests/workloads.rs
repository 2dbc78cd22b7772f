//! What makes pods besides Kubernetes' own workloads, and what it leaves of them.

use websample::known::SampleServer;
use websample_manifest::{self as manifest, CheckReport, Replacing, Source, Told};

fn checked(text: &str) -> CheckReport {
    let source = Source { name: "x.yaml".to_owned(), text: text.to_owned() };
    let report = manifest::check(&[source], Told::default(), &SampleServer)
        .unwrap_or_else(|unusable| panic!("{unusable}\n{text}"));
    assert_eq!(report.problems, [], "{text}");
    report
}

fn rules(text: &str) -> Vec<&'static str> {
    checked(text).findings.iter().map(|finding| finding.rule.name()).collect()
}

/// Pods that nothing is wrong with, of a kind with this strategy.
fn workload(version: &str, kind: &str, replicas: u32, strategy: &str) -> String {
    let selector =
        if kind == "DeploymentConfig" { "{ app: web }" } else { "{ matchLabels: { app: web } }" };
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: web }}\nspec:\n  replicas: {replicas}\n  \
         strategy: {strategy}\n  selector: {selector}\n  template:\n    metadata: {{ labels: {{ app: web }} \
         }}\n    spec:\n      containers:\n        - name: web\n          image: x:1\n          ports: [{{ name: \
         http, containerPort: 8080 }}]\n          readinessProbe: {{ httpGet: {{ port: http }}, periodSeconds: 2 \
         }}\n          lifecycle: {{ preStop: {{ sleep: {{ seconds: 5 }} }} }}\n---\napiVersion: \
         policy/v1\nkind: PodDisruptionBudget\nmetadata: {{ name: web }}\nspec: {{ maxUnavailable: 1, \
         selector: {{ matchLabels: {{ app: web }} }} }}\n---\n"
    )
}

fn argo(strategy: &str) -> String {
    workload("argoproj.io/v1alpha1", "Rollout", 4, strategy)
}

fn openshift(strategy: &str) -> String {
    workload("apps.openshift.io/v1", "DeploymentConfig", 4, strategy)
}

#[test]
fn rollouts_of_others_have_the_bounds_of_their_makers() {
    let rolling = |fewest, most| Replacing::Rolling { fewest, most };
    let switched = |seconds| Replacing::Switched { after: std::time::Duration::from_secs(seconds) };
    for (text, expected) in [
        (argo("{ canary: {} }"), rolling(3, 5)),
        (argo("{ canary: { maxSurge: 2, maxUnavailable: 0 } }"), rolling(4, 6)),
        (argo("{ blueGreen: { activeService: web } }"), switched(30)),
        (argo("{ blueGreen: { activeService: web, scaleDownDelaySeconds: 90 } }"), switched(90)),
        // Its Services are switched, and the old set stays whole until then.
        (argo("{ canary: { trafficRouting: { nginx: { stableIngress: web } } } }"), switched(30)),
        (openshift("{}"), rolling(3, 5)),
        (
            openshift("{ type: Rolling, rollingParams: { maxSurge: 50%, maxUnavailable: 0 } }"),
            rolling(4, 6),
        ),
        (openshift("{ type: Recreate }"), Replacing::Recreate),
        (openshift("{ type: Custom }"), Replacing::Unchecked),
    ] {
        assert_eq!(checked(&text).checked[0].replacing, expected, "{text}");
    }
}

#[test]
fn and_the_same_faults() {
    for (text, expected) in [
        (argo("{ canary: { maxSurge: 0, maxUnavailable: 100% } }"), &["no-pod-left"][..]),
        (argo("{ canary: { maxSurge: 0, maxUnavailable: 0 } }"), &["surge-and-unavailable-zero"]),
        (openshift("{ type: Recreate }"), &["strategy-recreate"]),
        (openshift("{ rollingParams: { maxSurge: 0, maxUnavailable: 1 } }"), &["no-surge"]),
        (
            argo("{ canary: {} }").replace("readinessProbe", "readinesProbe"),
            &["no-readiness-probe", "unknown-field"],
        ),
    ] {
        assert_eq!(rules(&text), expected, "{text}");
    }
    // What is not there is said to be right in the words of its kind.
    let report = checked(&openshift("{ type: Recreate }"));
    assert!(
        report.findings[0].fix.text().contains("type: Rolling\n  rollingParams:"),
        "{report:#?}"
    );
}

/// As tests/evidence has shown: the one pod that leaves answers until its hook is over.
#[test]
fn where_no_pod_is_ready_a_proxy_sends_to_those_that_leave() {
    let bounds = "{ rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } }";
    let alone = workload("apps/v1", "Deployment", 1, bounds)
        .replace("maxUnavailable: 1, selector", "selector");
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { selector: { app: web }, ports: [{ \
                   port: 80, targetPort: 8080 }] }\n---\n";
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: web }\nspec: { \
                   ingressClassName: nginx, defaultBackend: { service: { name: web, port: { number: 80 } } } }\n";
    let message = |text: &str| {
        let report = checked(text);
        let found = report.findings.iter().find(|found| found.rule.name() == "no-pod-left");
        found.unwrap_or_else(|| panic!("{report:#?}")).message.clone()
    };
    let proxied = message(&(alone.clone() + service));
    assert!(proxied.ends_with(
        "every request is lost from 5s later, when the old ones no longer accept, until then"
    ));
    // An ingress controller sends to none of them.
    let routed = message(&(alone + service + ingress));
    assert!(routed.ends_with("every request in between is lost"), "{routed}");
}

#[test]
fn a_pod_that_ends_or_belongs_to_somebody_stands_for_nobody() {
    let pod = |meta: &str, spec: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: alone{meta} }}\nspec: {{ containers: [{{ name: a, \
             image: x }}]{spec} }}\n"
        )
    };
    let owner = ", ownerReferences: [{ apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u, controller: true }]";
    let web = workload("apps/v1", "Deployment", 4, "{}");
    for (pod, expected) in [
        (pod("", ""), &["bare-pod", "traffic-unknown"][..]),
        (pod(owner, ""), &[]),
        (pod("", ", restartPolicy: Never"), &["kind-not-judged"]),
        (pod(", annotations: { helm.sh/hook: test }", ""), &["kind-not-judged"]),
    ] {
        assert_eq!(rules(&(web.clone() + &pod)), expected, "{pod}");
    }
}

#[test]
fn an_autoscaler_that_goes_down_to_none_is_told_of() {
    let scaler = |spec: &str| {
        format!(
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{ name: web }}\nspec: {{ scaleTargetRef: \
             {{ name: web }}, {spec} }}\n"
        )
    };
    let web = workload("apps/v1", "Deployment", 4, "{}").replace("  replicas: 4\n", "");
    for (spec, expected) in [
        ("maxReplicaCount: 9", &["disruption-budget-blocks", "scales-to-zero"][..]),
        ("minReplicaCount: 0", &["disruption-budget-blocks", "scales-to-zero"]),
        ("minReplicaCount: 3, idleReplicaCount: 0", &["scales-to-zero"]),
        ("minReplicaCount: 3", &[]),
        ("minReplicaCount: 1", &["single-replica"]),
    ] {
        let mut rules = rules(&(web.clone() + &scaler(spec)));
        rules.sort_unstable();
        let expected: Vec<_> =
            expected.iter().filter(|rule| **rule != "disruption-budget-blocks").copied().collect();
        assert_eq!(rules, expected, "{spec}");
    }
}

#[test]
fn a_job_is_failed_by_a_drain_where_it_has_no_second_try() {
    let job = |spec: &str, pod: &str| {
        format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{ name: nightly }}\nspec: {{ schedule: '0 3 * * *', \
             jobTemplate: {{ spec: {{ {spec} template: {{ spec: {{ restartPolicy: Never, containers: [{{ name: a, \
             image: x, {pod} }}] }} }} }} }} }}\n"
        )
    };
    let gpu = "resources: { limits: { amd.com/gpu: 1 } }";
    let web = workload("apps/v1", "Deployment", 4, "{}");
    for (spec, pod, expected) in [
        ("", "", &[][..]),
        ("backoffLimit: 0,", "", &["job-fails-when-drained"]),
        ("backoffLimit: 0, suspend: true,", "", &[]),
        ("", gpu, &["job-pods-overlap"]),
        ("podReplacementPolicy: Failed,", gpu, &[]),
        (
            "backoffLimit: 0, podFailurePolicy: { rules: [{ action: Ignore, onPodConditions: [{ type: \
             DisruptionTarget, status: 'True' }] }] },",
            gpu,
            &[],
        ),
    ] {
        assert_eq!(rules(&(web.clone() + &job(spec, pod))), expected, "{spec} {pod}");
    }
}
