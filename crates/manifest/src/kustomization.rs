//! A folder that kustomize builds: which files are in it, and what the check does not do with them.

mod labels;

pub(super) use self::labels::{Put, Puts};
use super::node::Node;

/// Names that a kustomization may have.
pub const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields that change objects in ways that matter to a rollout.
const CHANGES: [&str; 10] = [
    "components",
    "generators",
    "helmCharts",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "replicas",
    "transformers",
    "vars",
];

/// The files and folders that a kustomization names; those elsewhere than in this tree too.
pub fn resources(text: &str) -> Vec<String> {
    let Ok(node) = Node::parse(text) else { return Vec::new() };
    listed(&node).map(str::to_owned).collect()
}

fn listed(node: &Node) -> impl Iterator<Item = &str> {
    ["resources", "bases"].into_iter().flat_map(|key| node.items(key)).filter_map(Node::text)
}

/// Whether a resource is fetched from elsewhere.
pub fn is_remote(resource: &str) -> bool {
    resource.contains("://") || resource.contains("?ref=") || resource.starts_with("github.com/")
}

/// Whether a document is one, by its kind or by the name of its file.
pub(super) fn is_one(node: &Node, file: &str) -> bool {
    let text = |key: &str| node.get(key).and_then(Node::text);
    match text("kind") {
        Some(kind) => {
            kind == "Kustomization"
                && text("apiVersion").is_none_or(|v| v.starts_with("kustomize.config.k8s.io/"))
        }
        None => NAMES.contains(&file.rsplit('/').next().unwrap_or(file)),
    }
}

/// What only a build does: `None` where the files are what is applied.
pub(super) fn unbuilt(node: &Node) -> Option<String> {
    let mut what: Vec<_> =
        CHANGES.into_iter().filter(|key| node.get(key).is_some()).map(str::to_owned).collect();
    what.extend(listed(node).filter(|name| is_remote(name)).map(str::to_owned));
    (!what.is_empty()).then(|| what.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_build_does_is_named() {
        let text = "resources: [a.yaml, ../base, 'https://example.com/x.yaml']\nreplicas: []\n";
        assert_eq!(resources(text), ["a.yaml", "../base", "https://example.com/x.yaml"]);
        let node = Node::parse(text).unwrap();
        assert_eq!(unbuilt(&node).as_deref(), Some("replicas, https://example.com/x.yaml"));
        assert!(is_one(&node, "x/kustomization.yaml") && !is_one(&node, "x/values.yaml"));
        let plain =
            Node::parse("kind: Kustomization\nresources: [a.yaml]\nnamespace: x\n").unwrap();
        assert_eq!(unbuilt(&plain), None);
        assert!(is_one(&plain, "k.yaml"));
    }
}
