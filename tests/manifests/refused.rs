//! What the API refuses, besides what the folder of bad manifests has.

use websample::known::SampleServer;
use websample_manifest::{self as manifest, Source, Told};

const SOUND: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: 3
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web, tier: front } }
    spec:
      containers:
        - name: web
          image: x:1
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 2 }
          lifecycle: { preStop: { sleep: { seconds: 5 } } }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec: { maxUnavailable: 1, selector: { matchLabels: { app: web } } }
---
";

fn rules(text: &str) -> Vec<&'static str> {
    let source = Source { name: "x.yaml".to_owned(), text: text.to_owned() };
    let report = manifest::check(&[source], Told::default(), &SampleServer)
        .unwrap_or_else(|unusable| panic!("{unusable}\n{text}"));
    assert_eq!(report.problems, [], "{text}");
    report.findings.iter().map(|finding| finding.rule.name()).collect()
}

fn changed(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    SOUND.replacen(from, to, 1)
}

#[test]
fn two_ports_of_one_name() {
    let two = |name: &str| {
        changed(
            "{ name: http, containerPort: 8080 }",
            &format!(
                "{{ name: http, containerPort: 8080 }}, {{ name: {name}, containerPort: 8081 }}"
            ),
        )
    };
    assert_eq!(rules(&two("https")), [""; 0]);
    assert_eq!(rules(&two("http")), ["api-refuses"]);
}

#[test]
fn labels_that_are_none() {
    assert_eq!(rules(SOUND), [""; 0]);
    for text in [
        changed("labels: { app: web } }", "labels: { on-call: yoda@example.com } }"),
        changed("tier: front", "tier: 'front office'"),
        format!(
            "{SOUND}apiVersion: v1\nkind: Service\nmetadata: {{ name: web, labels: {{ a/b/c: x }} }}\nspec: {{ \
             selector: {{ app: web }}, ports: [{{ port: 80, targetPort: 8080 }}] }}\n"
        ),
    ] {
        assert_eq!(rules(&text), ["api-refuses"], "{text}");
    }
    // Somebody renders it later.
    assert_eq!(rules(&changed("tier: front", "tier: '${TIER}/x'")), [""; 0]);
}

#[test]
fn bounds_of_autoscalers() {
    let scaled = changed("  replicas: 3\n", "");
    let scaler = |kind: &str, bounds: &str| {
        format!(
            "{scaled}{kind}\nmetadata: {{ name: web }}\nspec: {{ {bounds}scaleTargetRef: {{ apiVersion: apps/v1, kind: \
             Deployment, name: web }} }}\n"
        )
    };
    let own = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler";
    assert_eq!(rules(&scaler(own, "minReplicas: 3, maxReplicas: 3, ")), [""; 0]);
    assert_eq!(rules(&scaler(own, "minReplicas: 3, ")), ["api-refuses"]);
    assert_eq!(rules(&scaler(own, "minReplicas: 3, maxReplicas: 2, ")), ["api-refuses"]);
    // KEDA's has a maximum of its own where none is written.
    let keda = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject";
    assert_eq!(rules(&scaler(keda, "minReplicaCount: 3, ")), [""; 0]);
}

#[test]
fn selectors_of_jobs() {
    let job = |kind: &str, spec: &str| {
        format!(
            "{SOUND}apiVersion: batch/v1\nkind: {kind}\nmetadata: {{ name: x }}\nspec: {spec}\n"
        )
    };
    let of = |selector: &str| {
        format!(
            "{{ {selector}template: {{ metadata: {{ labels: {{ app: x }} }}, spec: {{ restartPolicy: Never, \
             containers: [{{ name: x, image: x }}] }} }} }}"
        )
    };
    let cron = |selector: &str| {
        job(
            "CronJob",
            &format!("{{ schedule: '* * * * *', jobTemplate: {{ spec: {} }} }}", of(selector)),
        )
    };
    let (fits, other) =
        ("selector: { matchLabels: { app: x } }, ", "selector: { matchLabels: { app: other } }, ");
    for (text, expected) in [
        (job("Job", &of("")), &[][..]),
        (job("Job", &of(fits)), &[]),
        (job("Job", &of(other)), &["selector-mismatch"]),
        (cron(""), &[]),
        (cron(fits), &["api-refuses"]),
    ] {
        assert_eq!(rules(&text), expected, "{text}");
    }
}

/// Of an old version neither selector nor labels had to be written.
#[test]
fn a_fragment_of_a_version_that_is_gone_is_no_patch() {
    let fragment = "spec: { template: { spec: { containers: [{ name: x, image: x }] } } }\n";
    for (version, expected) in [("apps/v1beta1", "removed-api"), ("apps/v1", "not-an-object")] {
        let old =
            format!("apiVersion: {version}\nkind: Deployment\nmetadata: {{ name: x }}\n{fragment}");
        assert_eq!(rules(&format!("{SOUND}{old}")), [expected]);
    }
}

/// A base may be written without the labels that its kustomization puts on it, and into its selectors.
#[test]
fn a_base_gets_its_selector_from_its_kustomization() {
    let objects = SOUND
        .replace("  selector: { matchLabels: { app: web } }\n", "")
        .replace("    metadata: { labels: { app: web, tier: front } }\n", "")
        + "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { ports: [{ port: 80, targetPort: 8080 }] }\n";
    let check = |kustomization: &str, resource: &str| {
        let sources = [
            (
                "over/../base/kustomization.yaml",
                format!("resources: [{resource}]\n{kustomization}"),
            ),
            ("base/objects.yaml", objects.clone()),
        ];
        let sources = sources.map(|(name, text)| Source { name: name.to_owned(), text });
        let report = manifest::check(&sources, Told::default(), &SampleServer);
        report.map(|report| report.findings.iter().map(|f| f.rule.name()).collect::<Vec<_>>())
    };
    for kustomization in [
        "commonLabels: { app: web }\n",
        "labels: [{ pairs: { app: web }, includeSelectors: true }]\n",
    ] {
        let found = check(kustomization, "objects.yaml").unwrap();
        assert_eq!(found, [""; 0], "{kustomization}");
    }
    // Without a selector it is what a patch looks like, and nothing else is there to check.
    assert!(check("labels: [{ pairs: { app: web } }]\n", "objects.yaml").is_err());
    assert!(check("commonLabels: { app: web }\n", "other.yaml").is_err());
}
