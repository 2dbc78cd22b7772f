//! Objects as an API server has them, as if somebody had written them into files.

use serde_json::Value;

use super::{
    fix::write,
    node::{Content, Node},
    read::Source,
};

/// What only the server writes.
const SERVERS: [&str; 7] = [
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// What kubectl keeps of the file that it applied.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What people write first.
const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "name", "namespace"];

impl Source {
    /// An object that comes from an API server, without what only that writes. `name` is what it is
    /// called in messages.
    pub fn object(name: impl Into<String>, object: &Value) -> Self {
        let mut object = object.clone();
        if let Some(object) = object.as_object_mut() {
            object.remove("status");
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in SERVERS {
                metadata.remove(field);
            }
            if let Some(annotations) =
                metadata.get_mut("annotations").and_then(Value::as_object_mut)
            {
                annotations.remove(APPLIED);
            }
        }
        Self { name: name.into(), text: yaml(&object) }
    }
}

/// An object in lines of YAML.
pub fn yaml(object: &Value) -> String {
    let mut text = String::new();
    if let Content::Map(entries) = node(object).content {
        for (key, value) in &entries {
            write::entry(key, value, 0, &mut text);
        }
    }
    text
}

fn node(value: &Value) -> Node {
    Node::bare(match value {
        Value::Null => Content::Null,
        Value::Bool(value) => Content::Bool(*value),
        Value::Number(number) => Content::Number(number.clone()),
        Value::String(text) => Content::Text(text.clone()),
        Value::Array(items) => Content::List(items.iter().map(node).collect()),
        Value::Object(map) => {
            let mut entries: Vec<_> =
                map.iter().map(|(key, value)| (key.clone(), node(value))).collect();
            entries.sort_by_key(|(key, _)| {
                FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len())
            });
            Content::Map(entries)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_as_somebody_would_have_written_it() {
        let object = json!({
            "apiVersion": "v1", "kind": "Service", "status": {"loadBalancer": {}},
            "metadata": {
                "name": "web", "uid": "1", "resourceVersion": "7", "managedFields": [],
                "annotations": {APPLIED: "{}", "team": "shop"},
            },
            "spec": {"ports": [{"port": 80, "targetPort": "http"}], "clusterIP": "10.0.0.1"},
        });
        let source = Source::object("live", &object);
        let read = Node::parse(&source.text).expect("it is YAML").to_value();
        assert_eq!(
            read,
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "web", "annotations": {"team": "shop"}},
                "spec": object["spec"],
            })
        );
    }
}
