use websample_kubernetes::IntOrPercent::{Int, Percent};

use super::*;
use crate::objects::Rollout;

fn source(text: &str) -> Source {
    Source { name: "x.yaml".to_owned(), text: text.to_owned() }
}

fn of(text: &str) -> Objects {
    read(&[source(text)]).unwrap()
}

fn problems(text: &str) -> Vec<String> {
    let unusable = read(&[source(text)]).unwrap_err();
    unusable.problems.iter().map(ToString::to_string).collect()
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  selector:
    matchLabels: { app: web }
  template:
    metadata:
      labels: { app: web }
    spec:
      containers:
        - name: app
          image: web:1
          resources: { limits: { cpu: 1 } }
";

#[test]
fn a_deployment_with_the_defaults_of_the_api() {
    let objects = of(DEPLOYMENT);
    let workload = &objects.workloads[0];
    assert_eq!(workload.origin.title(), "Deployment shop/web");
    assert_eq!(workload.origin.node.line, 1);
    assert_eq!(workload.replicas, None);
    let rollout = Rollout::Rolling {
        surge: Percent(25),
        unavailable: Percent(25),
        min_ready: 0,
        deadline: 600,
    };
    assert_eq!(workload.rollout, rollout);
    assert!(workload.origin.unknown.is_empty());
}

#[test]
fn lists_streams_and_comments_are_read_and_other_kinds_counted() {
    let text = format!(
        "# head\n---\n{DEPLOYMENT}---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  \
         kind: Service\n  metadata: {{ name: web }}\n- apiVersion: serving.knative.dev/v1\n  \
         kind: Service\n  metadata: {{ name: web }}\n---\n# nothing\n---\napiVersion: \
         apps/v1\nkind: DeploymentList\nitems:\n- metadata: {{ name: bare }}\n  spec:\n    \
         strategy: {{ rollingUpdate: {{ maxSurge: 2, maxUnavailable: 0 }} }}\n    selector: {{}}\n    \
         template: {{ spec: {{ containers: [{{ name: app }}] }} }}\n"
    );
    let objects = of(&text);
    assert_eq!(objects.workloads.len(), 2);
    assert_eq!(objects.workloads[0].origin.node.line, 3);
    let bare = &objects.workloads[1];
    assert_eq!(bare.origin.title(), "Deployment bare");
    assert!(matches!(bare.rollout, Rollout::Rolling { surge: Int(2), unavailable: Int(0), .. }));
    assert_eq!(bare.origin.node.line_of("spec.strategy"), 37);
    assert_eq!(objects.services.len(), 1);
    assert_eq!(objects.skipped.get("Service"), Some(&1));
}

#[test]
fn old_versions_and_both_autoscalers() {
    let autoscaler = |version: &str| {
        format!(
            "---\napiVersion: autoscaling/{version}\nkind: HorizontalPodAutoscaler\nmetadata: {{ \
             name: web }}\nspec: {{ maxReplicas: 5, minReplicas: 2, scaleTargetRef: {{ kind: \
             Deployment, name: web }} }}\n"
        )
    };
    let all: String = ["v1", "v2", "v2beta2"].map(autoscaler).concat();
    let objects = of(&format!("{DEPLOYMENT}{all}"));
    assert_eq!(objects.autoscalers.len(), 2);
    assert!(objects.autoscalers.iter().all(|found| found.object.min == 2));
    assert_eq!(objects.unserved[0].object.instead, Some("autoscaling/v2"));
}

#[test]
fn what_cannot_be_read_names_file_document_line_and_remedy() {
    let replaced = |from: &str, to: &str| {
        assert!(DEPLOYMENT.contains(from));
        format!("---\na: {{}}\napiVersion: x/v1\nkind: X\n---\n{}", DEPLOYMENT.replace(from, to))
    };
    let table = [
        (
            replaced("  name: web\n", "  name: [web\n"),
            "x.yaml:",
            "(document 2): it is not YAML: ",
            "correct it there",
        ),
        (
            replaced("name: app", "name: {{ .Values.name }}"),
            "x.yaml:19 ",
            "it is a template that nobody has rendered yet: {{ .Values.name }}",
            "helm template CHART | websample",
        ),
        (
            replaced("spec:\n  selector", "spec:\n  replicas: \"{{ .Values.n }}\"\n  selector"),
            "x.yaml:12 (document 2): ",
            "spec.replicas: it is a template that nobody has rendered yet: {{ .Values.n }}",
            "helm template CHART | websample",
        ),
        (
            replaced("spec:\n  selector", "spec:\n  replicas: ${REPLICAS}\n  selector"),
            "x.yaml:12 (document 2): ",
            "nobody has rendered yet: ${REPLICAS}",
            "kustomize build DIR",
        ),
        (
            replaced("spec:\n  selector", "spec:\n  replicas: three\n  selector"),
            "x.yaml:12 (document 2): ",
            "spec.replicas: invalid type: string \"three\", expected i32",
            "",
        ),
        (
            replaced(
                "spec:\n  selector",
                "spec:\n  strategy: { rollingUpdate: { maxSurge: 1/4 } }\n  selector",
            ),
            "x.yaml:12 (document 2): ",
            "'1/4' is neither a number of pods",
            "",
        ),
        (
            replaced("spec:\n  selector", "spec:\n  strategy: { type: Rolling }\n  selector"),
            "x.yaml:12 ",
            "there is no strategy 'Rolling'",
            "use RollingUpdate",
        ),
        (
            replaced("kind: Deployment\n", ""),
            "x.yaml:6 (document 2): ",
            "it has no kind",
            "kustomize build DIR",
        ),
        ("- 1\n".to_owned(), "x.yaml:1 (document 1): ", "it is not an object", ""),
        (
            String::new(),
            "x.yaml: ",
            "no Deployment, StatefulSet or DaemonSet in it (it is empty)",
            "pipe",
        ),
        (
            "apiVersion: v1\nkind: Secret\n---\napiVersion: v1\nkind: Service\n".to_owned(),
            "x.yaml: ",
            "(other kinds: 1 Service, 1 Secret)",
            "",
        ),
    ];
    for (text, place, problem, remedy) in table {
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(place), "{place} / {}", problems[0]);
        assert!(problems[0].contains(problem), "{problem} / {}", problems[0]);
        if remedy != "pipe" {
            assert!(problems[0].contains(remedy), "{remedy} / {}", problems[0]);
        }
    }
}

#[test]
fn what_is_broken_or_foreign_does_not_hide_the_rest() {
    let text = format!(
        "a: [1\n---\n{DEPLOYMENT}---\nkind: X\n---\n- 1\n---\napiVersion: v1\nkind: List\nitems:\n- \
         apiVersion: v1\n  kind: Service\n  spec: {{ ports: 5 }}\n- apiVersion: v1\n  kind: Service\n  \
         metadata: {{ name: web }}\n"
    );
    let objects = of(&text);
    assert_eq!((objects.workloads.len(), objects.services.len()), (1, 1));
    let told = |problems: &[Problem]| problems.iter().map(|p| p.document).collect::<Vec<_>>();
    assert_eq!(told(&objects.problems), [Some(1), Some(5)]);
    assert_eq!(told(&objects.foreign), [Some(3), Some(4)]);
    // Without anything to check, all of it is told.
    assert_eq!(problems("a: [1\n---\nkind: X\n---\n- 1\n").len(), 3);
}

#[test]
fn comments_may_be_long_and_the_status_is_nobodys_business() {
    let comment = "          # A line of many.\n".repeat(100);
    let text = DEPLOYMENT.replace("          image", &format!("{comment}          image"));
    let text = text.replace("      containers:\n", &format!("      containers:\n{comment}"));
    let objects = of(&format!("{text}status: {{ replicas: \"{{{{ n }}}}\" }}\n"));
    assert_eq!(
        objects.workloads[0].origin.node.line_of("spec.template.spec.containers[0].image"),
        215
    );
    assert_eq!(objects.workloads[0].origin.unknown, [""; 0]);
}
