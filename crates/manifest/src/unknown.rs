//! Fields that the API does not have.

use serde_json::Value;

/// The paths of all fields that are given and did not arrive, which is what becomes of a name that
/// the type does not know.
pub(super) fn unknown_fields(given: &Value, known: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk("", given, known, &mut found);
    found
}

fn walk(path: &str, given: &Value, known: &Value, found: &mut Vec<String>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (key, value) in given {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match known.get(key) {
                    Some(known) => walk(&path, value, known, found),
                    // Null is how "not set" is written, by controllers above all.
                    None if value.is_null() => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                walk(&format!("{path}[{index}]"), given, known, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_type_does_not_know_is_found() {
        let given = json!({
            "terminationGracePeriodSeconds": 30,
            "terminationGracePeriod": 30,
            "nodeSelector": { "any": "key" },
            "securityContext": {},
            "volumes": null,
            "containers": [
                { "name": "app", "env": [], "readinesProbe": {}, "resources": { "limits": null } },
                { "name": "other", "ports": [{ "port": 80, "containerPort": 80 }] },
            ],
        });
        let typed: PodSpec = serde_json::from_value(given.clone()).unwrap();
        let known = serde_json::to_value(&typed).unwrap();
        assert_eq!(
            unknown_fields(&given, &known),
            [
                "containers[0].readinesProbe",
                "containers[1].ports[0].port",
                "terminationGracePeriod"
            ]
        );
    }
}
