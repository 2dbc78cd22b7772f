//! What a finding says to write instead is written, and the finding is gone.

use std::{collections::BTreeSet, fs};

use serde_json::{Map, Value};
use websample::known::SampleServer;
use websample_manifest::{self as manifest, Finding, Report, Source, Told};

use super::files::files;

/// Rules whose fix is advice: it takes somebody who knows the program, the port or the name.
const ADVICE: [&str; 16] = [
    "anti-affinity-blocks-surge",
    "delay-too-short",
    "hook-port-not-exposed",
    "hook-refused",
    "kind-not-judged",
    "not-an-object",
    "proxy-leaves-first",
    "publishes-not-ready",
    "replicas-and-autoscaler",
    "selector-mismatch",
    "settings-refused",
    "shell-as-pid-1",
    "single-attach-volume",
    "traffic-unknown",
    "unknown-field",
    "unknown-port-name",
];

fn check(objects: &[Value]) -> Report {
    let text = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let source = Source { name: "x.json".to_owned(), text };
    manifest::check(&[source], Told::default(), &SampleServer)
        .unwrap_or_else(|unusable| panic!("{unusable}"))
}

#[test]
fn every_fix_that_is_yaml_mends_its_finding() {
    let mut mended = BTreeSet::new();
    for file in files("bad") {
        let text = fs::read_to_string(&file).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple::<Value>(&text)
            .unwrap()
            .into_iter()
            .flat_map(|object| match object["items"].as_array() {
                Some(items) => items.clone(),
                None => vec![object],
            })
            .collect();
        for finding in check(&objects).findings {
            let rule = finding.rule.name();
            if ADVICE.contains(&rule) {
                continue;
            }
            let mut objects = objects.clone();
            apply(&finding, &mut objects);
            let left = check(&objects).findings;
            let still =
                left.iter().any(|left| left.rule == finding.rule && left.name == finding.name);
            assert!(!still, "{}: {finding:#?}\n{:#?}", file.display(), objects);
            mended.insert(rule);
        }
    }
    // Every rule is of one kind or the other, but for the one that needs to be told of a server.
    let all = manifest::Rule::ALL.iter().map(|rule| rule.name());
    let rest: Vec<_> =
        all.filter(|rule| !mended.contains(rule) && !ADVICE.contains(rule)).collect();
    assert_eq!(rest, ["grace-too-short"]);
}

/// Writes the first of the alternatives where a reader would.
fn apply(finding: &Finding, objects: &mut Vec<Value>) {
    let first = finding.fix.split("\n# or").next().unwrap();
    let fix: Map<String, Value> = serde_saphyr::from_str(first)
        .unwrap_or_else(|error| panic!("{finding:#?}: the fix is no YAML: {error}"));
    if fix.contains_key("kind") {
        let same = |object: &Value| {
            object["kind"] == fix["kind"] && object["metadata"]["name"] == fix["metadata"]["name"]
        };
        objects.retain(|object| !same(object));
        let mut object = Value::Object(fix);
        if let Some(namespace) = &finding.namespace {
            object["metadata"]["namespace"] = namespace.as_str().into();
        }
        objects.push(object);
        return;
    }
    let object = objects
        .iter_mut()
        .find(|object| {
            object["kind"] == *finding.kind && object["metadata"]["name"] == *finding.name
        })
        .unwrap();
    for (key, value) in fix {
        let place = match key.as_str() {
            "apiVersion" | "spec" => &mut *object,
            "terminationGracePeriodSeconds" => &mut object["spec"]["template"]["spec"],
            "rollingUpdate" => &mut object["spec"]["strategy"],
            "replicas" | "progressDeadlineSeconds" | "strategy" | "selector" => &mut object["spec"],
            "targetPort" => &mut object["spec"]["ports"][0],
            "preStop" => &mut container(finding, object)["lifecycle"],
            _ => container(finding, object),
        };
        merge(place, key, value);
    }
}

fn container<'a>(finding: &Finding, object: &'a mut Value) -> &'a mut Value {
    let name = finding.container.as_deref().unwrap();
    let containers = object["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers.iter_mut().find(|container| container["name"] == name).unwrap()
}

/// Writes a key: into the object that is there already, or in its place. A hook has one handler, a
/// budget one bound, a selector is replaced as a whole; lists are added to, by name or port.
fn merge(place: &mut Value, key: String, value: Value) {
    match (place.get_mut(&key), value) {
        (Some(Value::Object(old)), Value::Object(new))
            if new.contains_key("maxUnavailable") && key == "spec" =>
        {
            old.remove("minAvailable");
            old.extend(new);
        }
        (Some(old @ Value::Object(_)), Value::Object(new))
            if !["preStop", "selector", "strategy"].contains(&key.as_str()) =>
        {
            for (key, value) in new {
                merge(old, key, value);
            }
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            for item in new {
                let same = |old: &Value| {
                    old["name"] == item["name"] && old["containerPort"] == item["containerPort"]
                };
                old.retain(|old| !same(old));
                old.push(item);
            }
        }
        (_, value) => place[key] = value,
    }
}
