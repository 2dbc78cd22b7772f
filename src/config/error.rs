//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SettingProblem {
    /// The key, as written in [`KEYS`](super::KEYS), or as given where it is unknown. `None`
    /// where a source as a whole cannot be read.
    pub key: Option<String>,
    /// The value as given; secrets are not repeated.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().map(printable);
        let value = self.value.as_deref().map(printable);
        let source = printable(&self.source);
        match (key, value) {
            (Some(key), Some(value)) => write!(f, "{key} = `{value}` ({source}): ")?,
            (Some(key), None) => write!(f, "{key} ({source}): ")?,
            (None, _) => write!(f, "{source}: ")?,
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Without control characters: what is repeated here must not drive a terminal or break a line.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<SettingProblem>,
}

impl ConfigError {
    /// `Ok` where there is nothing to complain about.
    pub(super) fn unless_empty(problems: Vec<SettingProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// What is wrong, lowest layer first.
    pub fn problems(&self) -> &[SettingProblem] {
        &self.problems
    }
}

impl From<SettingProblem> for ConfigError {
    fn from(problem: SettingProblem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "bad configuration: {problem}"),
            problems => {
                write!(f, "bad configuration, {} errors:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
