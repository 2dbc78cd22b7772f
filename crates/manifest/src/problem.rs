//! Why a file cannot be checked.

use std::fmt;

use super::{STANDARD_INPUT, printable};

/// What is wrong with a file, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file, as it was given.
    pub file: String,
    /// Which of its documents, from 1, if it is one of them.
    pub document: Option<usize>,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.file == STANDARD_INPUT { "standard input" } else { &self.file };
        f.write_str(&printable(file))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(document) = self.document {
            write!(f, " (document {document})")?;
        }
        write!(f, ": {}; {}", printable(&self.problem), self.remedy)
    }
}

/// Everything that keeps the input from being checked; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Unusable {
    /// What is wrong, in the order of the input.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "unusable manifest: {problem}"),
            problems => {
                write!(f, "unusable manifests, {} errors:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
