//! A finding: what is wrong with which object, where, and what would be right.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    rc::Rc,
};

use super::{
    fix::Fix,
    ignore,
    node::Node,
    objects::Origin,
    problem::Problem,
    report::Ignored,
    rule::{Rule, Severity},
    subject::Unit,
};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What, in general.
    pub rule: Rule,
    /// The file, as it was given.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// The object's kind.
    pub kind: String,
    /// Its namespace, if it says.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The container, if it is about one.
    pub container: Option<String>,
    /// A sentence: what is wrong, and what that costs.
    pub message: String,
    /// What to write instead.
    pub fix: Fix,
    /// The object, for whoever makes the fix.
    pub(super) target: Target,
}

/// Where in its file an object is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Target {
    /// The document, from 0.
    pub(super) document: usize,
    /// Where in that.
    pub(super) within: String,
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.rule.severity()
    }
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: HashSet<Finding>,
    /// The same by object.
    objects: HashSet<(Rule, *const Node)>,
    /// What the objects themselves say to ignore, and why.
    ignored: HashMap<Finding, String>,
}

impl Findings {
    /// About an object; `path` is where in it.
    pub(super) fn object(
        &mut self,
        rule: Rule,
        origin: &Origin,
        path: &str,
        message: String,
        fix: impl Into<Fix>,
    ) {
        self.push(rule, origin, None, path, message, fix.into());
    }

    /// About a container of it; `field` is where in that.
    pub(super) fn unit(
        &mut self,
        rule: Rule,
        origin: &Origin,
        unit: &Unit<'_>,
        field: &str,
        message: String,
        fix: impl Into<Fix>,
    ) {
        let name = Some(unit.container.name.clone());
        self.push(rule, origin, name, &unit.at(field), message, fix.into());
    }

    /// About a document that is no object at all.
    pub(super) fn document(&mut self, rule: Rule, problem: &Problem, message: String) {
        self.found.insert(Finding {
            rule,
            file: problem.file.clone(),
            line: problem.line.unwrap_or(1),
            kind: "document".to_owned(),
            namespace: None,
            name: problem.document.unwrap_or(1).to_string(),
            container: None,
            message,
            fix: Fix::advice(problem.remedy.as_str()),
            target: Target::default(),
        });
    }

    fn push(
        &mut self,
        rule: Rule,
        origin: &Origin,
        container: Option<String>,
        path: &str,
        message: String,
        fix: Fix,
    ) {
        self.objects.insert((rule, Rc::as_ptr(&origin.node)));
        let finding = Finding {
            rule,
            file: origin.file.to_string(),
            line: origin.node.line_of(path),
            kind: origin.kind.clone(),
            namespace: origin.namespace.clone(),
            name: origin.name.clone(),
            container,
            message,
            fix,
            target: Target { document: origin.document, within: origin.within.clone() },
        };
        // A Service of two workloads is looked at twice.
        match ignore::reason(origin, rule) {
            Some(reason) => _ = self.ignored.insert(finding, reason),
            None => _ = self.found.insert(finding),
        }
    }

    /// Whether this was found of an object, or is ignored there.
    pub(super) fn has(&self, rule: Rule, origin: &Origin) -> bool {
        self.objects.contains(&(rule, Rc::as_ptr(&origin.node)))
    }

    /// All of them, and those that are ignored: by file and object, the worst first.
    pub(super) fn sorted(self) -> (Vec<Finding>, Vec<Ignored>) {
        let mut all: Vec<_> = self.found.into_iter().collect();
        all.sort_by(order);
        let ignored = self.ignored.into_iter();
        let mut ignored: Vec<_> =
            ignored.map(|(finding, reason)| Ignored { finding, reason, in_source: true }).collect();
        ignored.sort_by(|one, other| order(&one.finding, &other.finding));
        (all, ignored)
    }
}

fn order(a: &Finding, b: &Finding) -> Ordering {
    let key = |finding: &Finding| (finding.severity(), finding.line, finding.rule);
    (&a.file, &a.kind, &a.namespace, &a.name)
        .cmp(&(&b.file, &b.kind, &b.namespace, &b.name))
        .then_with(|| key(a).cmp(&key(b)))
        // The same for every run, whatever order they were found in.
        .then_with(|| (&a.container, &a.message).cmp(&(&b.container, &b.message)))
}
