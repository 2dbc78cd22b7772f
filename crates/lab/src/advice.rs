//! What somebody's own manifest has to do with what was seen: each finding of the check beside its evidence,
//! and for each cause of a lost request the smallest change that ends it.
//!
//! ```text
//! report ─► facts ─► told ─► check ─► findings ─► evidence ─┐
//!              └──► rules of a cause ─► fix, checked again ─┴► advice ─► text, page, patch
//! ```
//!
//! | file | its subject |
//! |---|---|
//! | `facts` | what was measured, as far as a manifest can have to do with it |
//! | `evidence` | what was seen of a finding |
//! | `remedy` | which findings a cause comes from, and what to say where there is none |
//! | `text` | all of it in words |
//! | `file` | the patch in a file |

mod evidence;
mod facts;
mod file;
mod remedy;
mod text;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use websample_manifest::{Finding, Knows, Rule, Severity, Source, check, fix};

use self::{evidence::evidence, facts::Facts};
use super::{causes::Cause, report::RunReport};

pub(crate) use self::{
    facts::Scope,
    file::write,
    text::{change, grouped, text, title},
};

/// What was found in a manifest, and what it has to do with what was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// What the check says of the manifest, those first that something was seen of.
    pub findings: Vec<Judged>,
    /// What ends each cause of a loss, the most frequent first.
    pub remedies: Vec<Remedy>,
    /// Everything together that ends what was seen: a strategic merge patch an object.
    pub patches: Vec<Value>,
    /// What was not judged, and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A finding, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The rule, which docs/check.md explains under its name.
    pub rule: String,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// The object.
    pub object: String,
    /// The container, if it is about one.
    pub container: Option<String>,
    /// What is wrong, and what that costs.
    pub message: String,
    /// What to write instead.
    pub fix: String,
    /// Whether anything was seen of it; `None` where nothing could have been.
    pub seen: Option<bool>,
    /// What was seen, or was not.
    pub evidence: String,
}

/// What ends a cause of lost requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// The cause.
    pub cause: Cause,
    /// How many requests it lost.
    pub count: u64,
    /// The findings that are gone with it.
    pub mends: Vec<String>,
    /// The smallest change of the manifest: a strategic merge patch an object; none where no change of a
    /// manifest does it.
    pub patches: Vec<Value>,
    /// The same in words, or what else has to be done.
    pub words: String,
}

/// A manifest as the cluster has it.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// Its objects.
    pub(crate) sources: Vec<Source>,
    /// Rules about what may not be read.
    pub(crate) unread: Vec<Rule>,
    /// What was not judged, and why.
    pub(crate) notes: Vec<String>,
}

impl Advice {
    /// Joins what the check says of a manifest with what was measured; nothing where there is nothing to
    /// check.
    pub(crate) fn new(
        manifest: &Manifest,
        run: &RunReport,
        scope: Scope,
        known: &dyn Knows,
    ) -> Option<Self> {
        let facts = Facts::of(run, scope);
        let told = facts.told();
        let report = check(&manifest.sources, told, known).ok()?;
        let is_read = |finding: &&Finding| !manifest.unread.contains(&finding.rule);
        let found: Vec<_> = report.findings.iter().filter(is_read).collect();
        let mut findings: Vec<_> = found.iter().map(|finding| judged(finding, &facts)).collect();
        findings.sort_by_key(|judged| judged.seen != Some(true));
        let patched = |rules: &[Rule]| {
            let wanted = |finding: &Finding| rules.contains(&finding.rule);
            fix::patched(&manifest.sources, told, known, wanted)
        };
        let mut all: Vec<Rule> = Vec::new();
        let mut remedies = Vec::new();
        for cause in run.causes.iter().filter(|count| count.count > 0) {
            let rules = remedy::rules(cause.cause, &found);
            let patched = patched(rules).ok()?;
            remedies.push(remedy::remedy(cause, &patched, &facts));
            all.extend(rules);
        }
        let seen = found.iter().filter(|finding| evidence(finding.rule, &facts).seen == Some(true));
        all.extend(seen.map(|finding| finding.rule));
        let patches = patched(&all).ok()?.patches;
        let patches = patches.into_iter().map(|patch| patch.patch).collect();
        Some(Self { findings, remedies, patches, notes: manifest.notes.clone() })
    }
}

fn judged(finding: &Finding, facts: &Facts<'_>) -> Judged {
    let evidence = evidence(finding.rule, facts);
    let namespace = finding.namespace.as_ref().map_or_else(String::new, |name| format!("{name}/"));
    Judged {
        rule: finding.rule.name().to_owned(),
        severity: Severity::name(finding.severity()).to_owned(),
        object: format!("{} {namespace}{}", finding.kind, finding.name),
        container: finding.container.clone(),
        message: finding.message.clone(),
        fix: finding.fix.text().to_owned(),
        seen: evidence.seen,
        evidence: evidence.words,
    }
}

#[cfg(test)]
pub(crate) mod tests;
