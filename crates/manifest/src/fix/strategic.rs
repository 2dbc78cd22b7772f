//! What differs between two objects, as a strategic merge patch: maps by their fields, the lists that
//! Kubernetes merges by their items' names, everything else whole.

use serde_json::{Map, Value, json};

/// Lists that are merged, and the field that names an item
/// (patchMergeKey in k8s.io/api: core/v1 and apps/v1).
const MERGED: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("imagePullSecrets", "name"),
    // A container's, and a Service's.
    ("ports", "containerPort"),
    ("ports", "port"),
];

/// The patch that makes `after` of `before`; `None` where there is nothing to do.
pub(super) fn difference(before: &Value, after: &Value) -> Option<Value> {
    changed("", before, after)
}

fn changed(field: &str, before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => Some(Value::Object(map(before, after))),
        (Value::Array(before), Value::Array(after)) => {
            let merged = key(field, before, after).map(|key| list(key, before, after));
            Some(Value::Array(merged.unwrap_or_else(|| after.clone())))
        }
        _ => Some(after.clone()),
    }
}

fn map(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let mut patch: Map<_, _> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, value) in after {
        let change = match before.get(key) {
            Some(before) => changed(key, before, value),
            None => Some(value.clone()),
        };
        patch.extend(change.map(|change| (key.clone(), change)));
    }
    patch
}

/// The field by which this list is merged, if it is and each of its items has it, and no other's value.
fn key(field: &str, before: &[Value], after: &[Value]) -> Option<&'static str> {
    let keys = MERGED.iter().filter(|(list, _)| *list == field).map(|(_, key)| *key);
    let names = |key: &str, items: &[Value]| {
        let values: Vec<_> = items.iter().filter_map(|item| item.get(key).cloned()).collect();
        let twice = (1..values.len()).any(|n| values[n..].contains(&values[n - 1]));
        values.len() == items.len() && !twice
    };
    keys.into_iter().find(|key| names(key, before) && names(key, after))
}

fn list(key: &str, before: &[Value], after: &[Value]) -> Vec<Value> {
    let of = |items: &[Value], name: &Value| items.iter().find(|item| item[key] == *name).cloned();
    let gone = before.iter().filter(|item| of(after, &item[key]).is_none());
    let mut patch: Vec<_> =
        gone.map(|item| json!({key: item[key].clone(), "$patch": "delete"})).collect();
    for item in after {
        match of(before, &item[key]) {
            None => patch.push(item.clone()),
            Some(before) => {
                if let Some(mut change) = changed("", &before, item) {
                    change[key] = item[key].clone();
                    patch.push(change);
                }
            }
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_in_the_patch() {
        let pod = |containers: Value| json!({"spec": {"containers": containers, "grace": 30}});
        let hook =
            |hook: Value| json!({"name": "app", "image": "a", "lifecycle": {"preStop": hook}});
        let mesh = json!({"name": "mesh", "image": "m"});
        let exec = json!({"exec": {"command": ["true"]}});
        let sleep = json!({"sleep": {"seconds": 5}});
        let patch = |before: Value, after: Value| difference(&before, &after);
        assert_eq!(patch(pod(json!([mesh])), pod(json!([mesh]))), None);
        assert_eq!(
            patch(pod(json!([mesh, hook(exec)])), pod(json!([mesh, hook(sleep)]))),
            Some(json!({"spec": {"containers": [{
                "name": "app",
                "lifecycle": {"preStop": {"exec": null, "sleep": {"seconds": 5}}},
            }]}}))
        );
        assert_eq!(
            patch(pod(json!([mesh, hook(json!({}))])), pod(json!([mesh]))),
            Some(json!({"spec": {"containers": [{"name": "app", "$patch": "delete"}]}}))
        );
        assert_eq!(
            patch(json!({"args": ["a"], "n": 1}), json!({"args": ["a", "b"], "m": {}})),
            Some(json!({"n": null, "args": ["a", "b"], "m": {}}))
        );
    }

    #[test]
    fn a_list_whose_items_have_one_name_is_replaced_whole() {
        let ports = |ports: Value| json!({"ports": ports});
        let before =
            ports(json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]));
        let after = ports(json!([{"containerPort": 53}]));
        assert_eq!(difference(&before, &after), Some(after));
        let service = |target: u16| ports(json!([{"port": 80, "targetPort": target}]));
        assert_eq!(difference(&service(80), &service(8_080)), Some(service(8_080)));
    }
}
