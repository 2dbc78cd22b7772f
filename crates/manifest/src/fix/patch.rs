//! Fixes of objects as patches of them: the smallest change that ends certain findings.

use serde_json::{Value, json};

use super::{Left, mend::fixed_of, strategic::difference};
use crate::{
    finding::Finding, known::Knows, live, node::Node, problem::Unusable, read::Source,
    report::CheckReport, server::Told,
};

/// A change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// The object's kind.
    pub kind: String,
    /// Its namespace, if it says.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// A strategic merge patch, which says of which object it is: `kubectl patch --patch-file` and
    /// kustomize take it.
    pub patch: Value,
}

impl Patch {
    /// As YAML.
    pub fn yaml(&self) -> String {
        live::yaml(&self.patch)
    }
}

/// What ends certain findings.
#[derive(Debug, Clone, PartialEq)]
pub struct Patched {
    /// A patch for each object that has to be changed.
    pub patches: Vec<Patch>,
    /// The findings that are gone then.
    pub mended: Vec<Finding>,
    /// Those that were wanted and are left.
    pub left: Vec<Left>,
    /// What the check says of the objects as they would be.
    pub report: CheckReport,
}

/// What mends the findings that are wanted, and what would be wrong because of that: made, and checked
/// again. Every source is one object.
///
/// # Errors
/// Input that cannot be checked.
pub fn patched(
    sources: &[Source],
    told: Told,
    known: &dyn Knows,
    wanted: impl Fn(&Finding) -> bool,
) -> Result<Patched, Unusable> {
    let fixed = fixed_of(sources, told, known, wanted)?;
    let patches = fixed.changed.iter().filter_map(|changed| {
        let before = Node::parse(&changed.before).ok()?.plain();
        let after = Node::parse(&changed.after).ok()?.plain();
        of(&before, &after)
    });
    Ok(Patched {
        patches: patches.collect(),
        mended: fixed.mended,
        left: fixed.left,
        report: fixed.report,
    })
}

fn of(before: &Value, after: &Value) -> Option<Patch> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut patch = difference(before, after)?;
    let (metadata, kind) = (&before["metadata"], text(&before["kind"])?);
    let (name, namespace) = (text(&metadata["name"])?, text(&metadata["namespace"]));
    patch["apiVersion"] = before["apiVersion"].clone();
    patch["kind"] = json!(kind);
    patch["metadata"]["name"] = json!(name);
    if let Some(namespace) = &namespace {
        patch["metadata"]["namespace"] = json!(namespace);
    }
    Some(Patch { kind, namespace, name, patch })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rule::Rule;

    fn objects(hook: &Value) -> Vec<Source> {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "replicas": 4, "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [
                        {"name": "mesh", "image": "mesh"},
                        {
                            "name": "app", "image": "shop", "ports": [{"containerPort": 80}],
                            "readinessProbe": {"tcpSocket": {"port": 80}},
                            "lifecycle": hook,
                        },
                    ]},
                },
            },
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        });
        vec![Source::object("web", &deployment), Source::object("service", &service)]
    }

    fn patch(hook: &Value, told: Told, rules: &[Rule]) -> (Vec<Value>, Vec<Rule>) {
        let wanted = |finding: &Finding| rules.contains(&finding.rule);
        let patched = patched(&objects(hook), told, &(), wanted).expect("they can be checked");
        let mended = patched.mended.iter().map(|finding| finding.rule).collect();
        (patched.patches.into_iter().map(|patch| patch.patch).collect(), mended)
    }

    fn with(pod: &Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"template": {"spec": pod}},
        })
    }

    #[test]
    fn a_finding_that_is_wanted_is_mended_and_no_other() {
        let sleeps = |seconds: u64| json!({"preStop": {"sleep": {"seconds": seconds}}});
        let rules = [Rule::EndpointRace, Rule::DelayTooShort];
        let (patches, mended) = patch(&json!({}), Told::default(), &rules);
        let change = json!({"containers": [{"name": "app", "lifecycle": sleeps(5)}]});
        assert_eq!((patches, mended), (vec![with(&change)], vec![Rule::EndpointRace]));
        // What was seen counts for more than what is known.
        let told = Told { sending: Some(Duration::from_millis(5_700)), ..Told::default() };
        let (patches, mended) = patch(&sleeps(5), told, &rules);
        let change = json!({"containers": [{"name": "app", "lifecycle": sleeps(10)}]});
        assert_eq!((patches, mended), (vec![with(&change)], vec![Rule::DelayTooShort]));
    }

    #[test]
    fn what_a_fix_brings_with_it_is_in_the_same_patch() {
        let told = Told { sending: Some(Duration::from_secs(28)), ..Told::default() };
        let (patches, _) = patch(&json!({}), told, &[Rule::EndpointRace]);
        let change = json!({
            "terminationGracePeriodSeconds": 35,
            "containers": [{"name": "app", "lifecycle": {"preStop": {"sleep": {"seconds": 30}}}}],
        });
        assert_eq!(patches, [with(&change)]);
        let (patches, mended) = patch(&json!({}), Told::default(), &[Rule::HookOutlastsGrace]);
        assert!(patches.is_empty() && mended.is_empty());
    }
}
