//! Labels that a kustomization puts on all that it names, and into their selectors: a base is often
//! written without those that belong together only by them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Component, Path, PathBuf},
};

use super::{NAMES, is_remote, listed};
use crate::{documents::documents, node::Node, read::Source, select::Labels};

/// What is put on the objects of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Put {
    labels: Labels,
    /// On the pods that they make, too.
    to_pods: bool,
    /// Into selectors, too.
    to_selectors: bool,
}

/// What is put on the objects of each file, by its normal name.
#[derive(Debug, Default)]
pub(crate) struct Puts(BTreeMap<PathBuf, Vec<Put>>);

impl Puts {
    /// From the kustomizations among these files.
    pub(crate) fn of(sources: &[Source]) -> Self {
        let mut kustomizations = BTreeMap::new();
        for source in sources {
            let file = normal(Path::new(&source.name));
            let is_one = file.file_name().is_some_and(|name| NAMES.iter().any(|own| name == *own));
            if let Some(folder) = file.parent().filter(|_| is_one)
                && let Some(first) = documents(&source.text).first()
                && let Ok(node) = Node::parse(first.text)
            {
                kustomizations.insert(folder.to_owned(), node);
            }
        }
        let mut puts = BTreeMap::<_, Vec<_>>::new();
        if kustomizations.is_empty() {
            return Self(puts);
        }
        let files: BTreeSet<_> = sources.iter().map(|s| normal(Path::new(&s.name))).collect();
        for (folder, node) in &kustomizations {
            let put = written(node);
            if put.is_empty() {
                continue;
            }
            let mut within = BTreeSet::new();
            let mut seen = HashSet::from([folder.as_path()]);
            named(folder, node, &kustomizations, &files, &mut seen, &mut within);
            for file in within {
                puts.entry(file.clone()).or_default().extend(put.iter().cloned());
            }
        }
        Self(puts)
    }

    /// What is put on the objects of this file.
    pub(crate) fn on(&self, file: &str) -> &[Put] {
        if self.0.is_empty() {
            return &[];
        }
        self.0.get(&normal(Path::new(file))).map_or(&[], Vec::as_slice)
    }
}

impl Put {
    /// Puts them on an object, where kustomize does (its defaults of `commonLabels`).
    pub(crate) fn on(&self, object: &mut Node, kind: &str) {
        object.put("metadata.labels", &self.labels, true);
        let (pods, selector, is_made) = match kind {
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => {
                (Some("spec.template.metadata.labels"), Some("spec.selector.matchLabels"), true)
            }
            "ReplicationController" => {
                (Some("spec.template.metadata.labels"), Some("spec.selector"), true)
            }
            "Job" => {
                (Some("spec.template.metadata.labels"), Some("spec.selector.matchLabels"), false)
            }
            "CronJob" => (
                Some("spec.jobTemplate.spec.template.metadata.labels"),
                Some("spec.jobTemplate.spec.selector.matchLabels"),
                false,
            ),
            "Service" => (None, Some("spec.selector"), true),
            "PodDisruptionBudget" => (None, Some("spec.selector.matchLabels"), false),
            _ => (None, None, false),
        };
        if let Some(path) = pods.filter(|_| self.to_pods || self.to_selectors) {
            object.put(path, &self.labels, true);
        }
        if let Some(path) = selector.filter(|_| self.to_selectors) {
            object.put(path, &self.labels, is_made);
        }
    }
}

/// What a kustomization itself says.
fn written(node: &Node) -> Vec<Put> {
    let labels = |node: &Node| -> Option<Labels> { serde_json::from_value(node.to_value()).ok() };
    let is_set = |node: &Node, key: &str| node.get(key).map(Node::to_value) == Some(true.into());
    let common = node.get("commonLabels").and_then(labels);
    let common = common.map(|labels| Put { labels, to_pods: true, to_selectors: true });
    let more = node.items("labels").iter().filter_map(|item| {
        let (to_pods, to_selectors) =
            (is_set(item, "includeTemplates"), is_set(item, "includeSelectors"));
        Some(Put { labels: labels(item.get("pairs")?)?, to_pods, to_selectors })
    });
    common.into_iter().chain(more).collect()
}

/// The files that a kustomization names, and those of the kustomizations that it names.
fn named<'a>(
    folder: &Path,
    node: &Node,
    kustomizations: &'a BTreeMap<PathBuf, Node>,
    files: &'a BTreeSet<PathBuf>,
    seen: &mut HashSet<&'a Path>,
    within: &mut BTreeSet<&'a PathBuf>,
) {
    for resource in listed(node).filter(|resource| !is_remote(resource)) {
        let path = normal(&folder.join(resource));
        if let Some((inner, node)) = kustomizations.get_key_value(&path) {
            if seen.insert(inner) {
                named(inner, node, kustomizations, files, seen, within);
            }
        } else {
            within.extend(files.get(&path));
        }
    }
}

/// A path without `.`, and without the `..` that can be done without a look at the disk.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            part => normal.push(part),
        }
        normal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn what_is_named_by_others_gets_the_labels_of_all() {
        let puts = Puts::of(&[
            source(
                "d/over/kustomization.yaml",
                "resources: [../base, own.yaml]\nlabels: [{ pairs: { env: x } }, { pairs: { tier: front }, \
                 includeSelectors: true }]\n",
            ),
            source("d/over/own.yaml", ""),
            source(
                "./d/over/../base/kustomization.yml",
                "resources: [a.yaml]\ncommonLabels: { app: web }\n",
            ),
            source("d/base/a.yaml", ""),
            source("d/base/other.yaml", ""),
        ]);
        let put = |key: &str, value: &str, all: bool| Put {
            labels: Labels::from([(key.to_owned(), value.to_owned())]),
            to_pods: key == "app",
            to_selectors: all,
        };
        let over = [put("env", "x", false), put("tier", "front", true)];
        assert_eq!(puts.on("d/over/own.yaml"), over);
        assert_eq!(puts.on("d/base/other.yaml"), []);
        let both: Vec<_> = [put("app", "web", true)].into_iter().chain(over).collect();
        assert_eq!(puts.on("d/over/../base/a.yaml"), both);
    }

    #[test]
    fn kustomizations_that_name_each_other_end() {
        let puts = Puts::of(&[
            source(
                "a/kustomization.yaml",
                "resources: [../b, x.yaml]\ncommonLabels: { app: web }\n",
            ),
            source("a/x.yaml", ""),
            source("b/kustomization.yaml", "resources: [../a]\n"),
        ]);
        assert_eq!(puts.on("a/x.yaml").len(), 1);
    }

    #[test]
    fn labels_are_put_where_kustomize_does() {
        let put = Put {
            labels: Labels::from([("app".into(), "web".into())]),
            to_pods: true,
            to_selectors: true,
        };
        for (kind, before, after) in [
            (
                "Deployment",
                "spec: { template: { spec: { containers: [] } } }",
                "metadata: { labels: { app: web } }\nspec: { selector: { matchLabels: { app: web } }, template: { \
                 metadata: { labels: { app: web } }, spec: { containers: [] } } }",
            ),
            (
                "Service",
                "spec: { selector: { x: z } }",
                "metadata: { labels: { app: web } }\nspec: { selector: { app: web, x: z } }",
            ),
            ("PodDisruptionBudget", "spec: {}", "metadata: { labels: { app: web } }\nspec: {}"),
            (
                "PodDisruptionBudget",
                "spec: { selector: { matchLabels: { app: old } } }",
                "metadata: { labels: { app: web } }\nspec: { selector: { matchLabels: { app: web } } }",
            ),
            ("Secret", "metadata:\n", "metadata: { labels: { app: web } }"),
        ] {
            let mut node = Node::parse(before).unwrap();
            put.on(&mut node, kind);
            assert_eq!(node.to_value(), Node::parse(after).unwrap().to_value(), "{kind} {before}");
        }
    }
}
