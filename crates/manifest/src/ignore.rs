//! Findings that somebody has looked at and lives with, each with a reason.

use std::str::FromStr;

use super::{objects::Origin, rule::Rule};

/// Where an object says what is to be ignored of it: `rule: reason; rule: reason`.
pub(super) const ANNOTATION: &str = "websample.io/ignore";

/// A rule that is ignored, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// The rule.
    pub rule: Rule,
    /// Why it does not matter here.
    pub reason: String,
}

/// Why a text does not say what to ignore.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// There is no such rule.
    #[error("'{0}' is no rule; write the name that the check prints, such as single-replica")]
    Unknown(String),
    /// A rule without a reason.
    #[error("'{0}' is ignored without a reason; write `{0}: REASON`")]
    Reason(String),
}

impl FromStr for Ignore {
    type Err = IgnoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, reason) = text.split_once(':').unwrap_or((text, ""));
        let (name, reason) = (name.trim(), reason.trim());
        let rule = Rule::named(name).ok_or_else(|| IgnoreError::Unknown(name.to_owned()))?;
        if reason.is_empty() {
            return Err(IgnoreError::Reason(name.to_owned()));
        }
        Ok(Self { rule, reason: reason.to_owned() })
    }
}

/// What an object's annotation says.
pub(super) fn said(origin: &Origin) -> impl Iterator<Item = Result<Ignore, IgnoreError>> {
    let annotations = origin.node.get("metadata").and_then(|meta| meta.get("annotations"));
    let text = annotations.and_then(|all| all.get(ANNOTATION)?.text()).unwrap_or_default();
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::parse)
}

/// Why a rule is ignored here, if it is.
pub(super) fn reason(origin: &Origin, rule: Rule) -> Option<String> {
    let found = said(origin).flatten().find(|ignore| ignore.rule == rule)?;
    Some(found.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_ignored_for_a_reason_only() {
        let ignore = Ignore { rule: Rule::SingleReplica, reason: "it: is small".to_owned() };
        assert_eq!("single-replica:  it: is small ".parse(), Ok(ignore));
        for (text, error) in [
            ("single-replica", "ignored without a reason"),
            ("single-replica: ", "ignored without a reason"),
            ("single: x", "'single' is no rule"),
        ] {
            let refused = text.parse::<Ignore>().unwrap_err().to_string();
            assert!(refused.contains(error), "{refused}");
        }
    }
}
