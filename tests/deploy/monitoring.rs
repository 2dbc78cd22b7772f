//! What Prometheus makes of a pod.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    custom::{PodMonitor, Relabeling},
    objects::{Object, container, deployment, pods},
    program,
    rendered::file,
};

fn monitor() -> PodMonitor {
    match file("monitoring/podmonitor.yaml").pop() {
        Some(Object::PodMonitor(monitor)) => monitor,
        other => panic!("a PodMonitor, not {other:?}"),
    }
}

#[test]
fn it_scrapes_the_admin_port_of_every_mode() {
    let monitor = monitor();
    let objects = [file("base/deployment.yaml"), file("original/deployment.yaml")];
    for objects in &objects {
        let labels = pods(deployment(objects)).metadata.as_ref().and_then(|m| m.labels.as_ref());
        let labels = labels.expect("labels");
        let selector = monitor.spec.selector.match_labels.as_ref().expect("labels");
        assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)));
        assert!(!selector.contains_key("mode"), "every mode");
        assert_eq!(labels[&monitor.spec.job_label], "websample");
        assert!(monitor.spec.pod_target_labels.iter().all(|label| labels.contains_key(label)));
    }
    assert_eq!(monitor.spec.pod_target_labels, ["mode"]);

    let [endpoint] = monitor.spec.pod_metrics_endpoints.as_slice() else { panic!("one endpoint") };
    assert_eq!((endpoint.port.as_str(), endpoint.path.as_str()), ("admin", "/metrics"));
    let ports = container(deployment(&objects[0])).ports.as_ref().unwrap();
    assert!(ports.iter().any(|port| port.name.as_ref() == Some(&endpoint.port)));

    let seconds = |text: &str| humantime(text);
    let interval = seconds(&endpoint.interval);
    assert!(seconds(&endpoint.scrape_timeout) <= interval);
    // A drain that is shorter than the interval is not seen; a longer linger is not to be had.
    let settings = websample::config::Settings::default();
    assert!(interval <= settings.delay.min && interval <= settings.linger);
}

/// Prometheus writes durations as Rust's crates do, as far as these go.
fn humantime(text: &str) -> std::time::Duration {
    let seconds = text.strip_suffix('s').and_then(|number| number.parse().ok());
    std::time::Duration::from_secs(seconds.unwrap_or_else(|| panic!("whole seconds, not {text}")))
}

/// What Prometheus itself makes of the image's name.
#[test]
fn the_version_is_the_tag_of_the_image() {
    let Some(promtool) = program::find("promtool") else { return };
    let monitor = monitor();
    let relabelings = &monitor.spec.pod_metrics_endpoints[0].relabelings;
    let cases = [
        ("websample:v1", Some("v1")),
        ("docker.io/library/websample:v2", Some("v2")),
        ("registry.example:5000/team/websample:v1.2-rc.1", Some("v1.2-rc.1")),
        ("registry.example/websample:v2@sha256:0123abcd", Some("v2")),
        ("registry.example:5000/websample", None),
        ("websample@sha256:0123abcd", None),
        ("websample", None),
    ];
    let directory = tempfile::tempdir().unwrap();
    let targets: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(number, (image, _))| {
            let labels = json!({ "__meta_kubernetes_pod_container_image": image });
            json!({ "targets": [format!("127.0.0.1:{}", number + 1)], "labels": labels })
        })
        .collect();
    let file = directory.path().join("targets.json");
    std::fs::write(&file, json!(targets).to_string()).unwrap();
    let configuration = json!({ "scrape_configs": [{
        "job_name": "websample",
        "file_sd_configs": [{ "files": [file] }],
        "relabel_configs": relabelings.iter().map(relabel_config).collect::<Vec<_>>(),
    }] });
    let path = directory.path().join("prometheus.yml");
    std::fs::write(&path, configuration.to_string()).unwrap();

    let output = Command::new(promtool)
        .args(["check", "service-discovery", "--timeout=1s"])
        .arg(&path)
        .arg("websample")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let discovered: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(discovered.len(), cases.len());
    for (image, version) in cases {
        let target = discovered
            .iter()
            .find(|t| t["discoveredLabels"]["__meta_kubernetes_pod_container_image"] == image);
        let target = target.expect("every target is found");
        assert_eq!(target["labels"]["version"].as_str(), version, "{image}");
    }
}

/// As the operator writes it into Prometheus' own configuration.
fn relabel_config(relabeling: &Relabeling) -> Value {
    json!({
        "source_labels": relabeling.source_labels,
        "regex": relabeling.regex,
        "target_label": relabeling.target_label,
        "replacement": relabeling.replacement,
        "action": relabeling.action,
    })
}
