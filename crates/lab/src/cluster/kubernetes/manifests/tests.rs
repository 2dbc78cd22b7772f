use serde_json::Value;

use super::*;
use crate::cluster::local::CommandTemplate;

fn spec(hook: &str) -> ClusterSpec {
    ClusterSpec {
        replicas: 6,
        max_surge: IntOrPercent::Int(2),
        grace: Duration::from_secs(45),
        pre_stop: hook.parse().expect("a hook"),
        ..ClusterSpec::new(CommandTemplate::default())
    }
}

fn made(spec: &ClusterSpec) -> Made<'_> {
    Made { run: "r1".to_owned(), label: "graceful+sleep:5s", mode: "graceful", spec }
}

/// Every map of labels in an object that is about the server's pods.
fn label_maps(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            if map.contains_key(MODE) {
                found.push(value.clone());
            }
            map.values().for_each(|value| label_maps(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| label_maps(value, found)),
        _ => {}
    }
}

#[test]
fn every_object_has_the_name_and_every_selector_the_labels() {
    let spec = spec("http");
    let made = made(&spec);
    let mut all = made.surroundings();
    all.push(made.deployment("websample:v1"));
    let kinds: Vec<_> = all.iter().map(|object| object.resource.kind.as_str()).collect();
    let expected =
        ["ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "Service", "Deployment"];
    assert_eq!(kinds, expected);
    for object in &all {
        assert_eq!(object.name, "websample-graceful-sleep-5s");
        let labels = &object.object["metadata"]["labels"];
        assert_eq!(labels[MANAGED_BY], MANAGER, "{}", object.title());
        let mut maps = Vec::new();
        label_maps(&object.object, &mut maps);
        assert!(!maps.is_empty());
        for map in maps {
            assert_eq!((&map[MODE], &map[RUN]), (&"graceful-sleep-5s".into(), &"r1".into()));
        }
    }
}

#[test]
fn the_deployment_is_as_it_was_asked_for() {
    let spec = spec("http");
    let deployment = made(&spec).deployment("example.org/websample:v2").object;
    let told = &deployment["spec"];
    assert_eq!(told["replicas"], 6);
    assert_eq!(told["strategy"]["rollingUpdate"]["maxSurge"], 2);
    assert_eq!(told["strategy"]["rollingUpdate"]["maxUnavailable"], "25%");
    let pod = &told["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 45);
    assert_eq!(pod["serviceAccountName"], "websample-graceful-sleep-5s");
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "example.org/websample:v2");
    let env = container["env"].as_array().expect("variables");
    let value = |name: &str| {
        let named: Vec<_> = env.iter().filter(|v| v["name"] == name).collect();
        assert_eq!(named.len(), 1, "{name}");
        named[0]["value"].clone()
    };
    assert_eq!(value("WEBSAMPLE_MODE"), "graceful");
    assert_eq!(value("WEBSAMPLE_GRACE_PERIOD"), "45s");
    // The hook is the manifest's own, on the port where the server has it.
    assert_eq!(container["lifecycle"]["preStop"]["httpGet"]["port"], "admin");
}

#[test]
fn every_hook_can_be_had() {
    let hook = |text: &str| {
        let spec = spec(text);
        let deployment = made(&spec).deployment("i").object;
        deployment["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"].clone()
    };
    assert_eq!(hook("none"), Value::Null);
    assert_eq!(hook("sleep:5s")["sleep"]["seconds"], 5);
    assert_eq!(hook("http:/bye")["httpGet"]["path"], "/bye");
}

#[test]
fn the_load_is_a_job_of_the_same_image_that_ends_by_itself_at_last() {
    let spec = spec("http");
    let mix = Mix::default_at(200.0);
    let limits = [6, 20].map(Duration::from_secs);
    let job = made(&spec).load("websample:v1", "10.96.0.7", &mix, limits).object;
    assert_eq!(job["metadata"]["name"], "websample-graceful-sleep-5s-load");
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 3_600);
    let pod = &job["spec"]["template"]["spec"];
    // It has time for the last answer, and to print it.
    assert!(pod["terminationGracePeriodSeconds"].as_i64() > Some(21));
    let args: Vec<_> = pod["containers"][0]["args"].as_array().expect("args").iter().collect();
    assert_eq!(args[1], "http://10.96.0.7");
    assert_eq!(args[3].as_str().map(str::parse), Some(Ok(mix)));
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    let labels = job["spec"]["template"]["metadata"]["labels"].clone();
    let labels: BTreeMap<String, String> = serde_json::from_value(labels).expect("labels");
    assert!(is_load(Some(&labels)));
    assert_eq!(labels[RUN], "r1");
}
