//! Which workload is meant: a name as kubectl takes it.

use std::{fmt, str::FromStr};

use k8s_openapi::api::core::v1::Pod;

/// What makes pods and replaces them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// As the API has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// As kubectl says it, such as `statefulset`.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// The resource, as permissions name it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }

    /// kubectl's short name.
    const fn short(self) -> &'static str {
        match self {
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A workload by its kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// What is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A kind that is not looked at.
    #[error(
        "`{0}` is no kind that rolls pods out: write NAME or deployment/NAME, statefulset/NAME, daemonset/NAME"
    )]
    Kind(String),
    /// What cannot be a name.
    #[error(
        "`{0}` is no name of a workload: names are lower-case letters, digits, `-` and `.`, 253 at most"
    )]
    Name(String),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads `NAME` or `KIND/NAME`, where KIND is written as kubectl takes it: `deploy`, `deployments`,
    /// `statefulset.apps`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (kind, name) = text.split_once('/').unwrap_or(("deployment", text));
        let plain = kind.to_ascii_lowercase();
        let plain = plain.strip_suffix(".apps").unwrap_or(&plain);
        let known = Kind::ALL
            .into_iter()
            .find(|known| [known.singular(), known.resource(), known.short()].contains(&plain));
        let kind = known.ok_or_else(|| ReferenceError::Kind(kind.to_owned()))?;
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if name.len() > 253
            || !name.chars().all(inner)
            || !outer(name.chars().next())
            || !outer(name.chars().next_back())
        {
            return Err(ReferenceError::Name(name.to_owned()));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.singular(), self.name)
    }
}

impl Reference {
    /// As errors call it, such as `Deployment shop/web`.
    pub fn title(&self, namespace: &str) -> String {
        format!("{} {namespace}/{}", self.kind, self.name)
    }

    /// Whether a pod that its selector finds is its own: selectors may overlap, and owners may not. The
    /// owner of a Deployment's pods is a ReplicaSet, whose name is the Deployment's and a hash.
    pub fn owns(&self, pod: &Pod) -> bool {
        let owners = pod.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
            return true;
        };
        match self.kind {
            Kind::Deployment => {
                let hash = owner.name.strip_prefix(&self.name).and_then(|r| r.strip_prefix('-'));
                owner.kind == "ReplicaSet" && hash.is_some_and(|hash| !hash.contains('-'))
            }
            kind => owner.kind == kind.name() && owner.name == self.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workload_is_named_as_kubectl_names_it() {
        for (text, expected) in [
            ("web", "deployment/web"),
            ("deploy/web", "deployment/web"),
            ("deployments.apps/web", "deployment/web"),
            ("StatefulSet/db-0.x", "statefulset/db-0.x"),
            ("sts/db", "statefulset/db"),
            ("ds/agent", "daemonset/agent"),
        ] {
            assert_eq!(text.parse::<Reference>().map(|r| r.to_string()), Ok(expected.to_owned()));
        }
        for (text, word) in
            [("pod/web-1", "`pod`"), ("", "``"), ("Web", "`Web`"), ("a/b/c", "`a`"), ("-a", "`-a`")]
        {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn pods_of_others_with_the_same_labels_are_not_its_own() {
        let pod = |kind: &str, name: &str| -> Pod {
            let owner = json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": "", "controller": true});
            serde_json::from_value(json!({"metadata": {"ownerReferences": [owner]}}))
                .expect("a pod")
        };
        let web: Reference = "web".parse().expect("a name");
        assert!(web.owns(&pod("ReplicaSet", "web-7d9c5b8f6")));
        assert!(!web.owns(&pod("ReplicaSet", "web-canary-7d9c5b8f6")));
        assert!(!web.owns(&pod("Job", "web-7d9c5b8f6")));
        assert!(web.owns(&Pod::default()));
        let db: Reference = "sts/db".parse().expect("a name");
        assert!(db.owns(&pod("StatefulSet", "db")) && !db.owns(&pod("StatefulSet", "db2")));
    }
}
