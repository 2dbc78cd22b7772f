//! What would be right: as text for whoever reads it, and where it is a matter of YAML alone, as
//! edits that can be made.

mod edit;
mod mend;
mod patch;
mod strategic;
pub(crate) mod write;

use std::fmt;

pub use self::{
    mend::{Changed, Fixed, Left, Why, fixed, with},
    patch::{Patch, Patched, patched},
};

/// What to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fix {
    text: String,
    edits: Vec<Edit>,
}

/// One change to a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Edit {
    /// These keys, in the mapping at this path of the object.
    Merge { at: String, yaml: String },
    /// Not the field at this path.
    Remove { at: String },
    /// Another object in the same file.
    Document { yaml: String },
}

impl Fix {
    /// Something that takes somebody who knows the program.
    pub(super) fn advice(text: impl Into<String>) -> Self {
        Self { text: text.into(), edits: Vec::new() }
    }

    /// YAML that belongs into the mapping at this path; keys that are there already get these values.
    pub(super) fn within(at: impl Into<String>, yaml: impl Into<String>) -> Self {
        let yaml = yaml.into();
        Self { text: yaml.clone(), edits: vec![Edit::Merge { at: at.into(), yaml }] }
    }

    /// Another object.
    pub(super) fn document(yaml: impl Into<String>) -> Self {
        let yaml = yaml.into();
        Self { text: yaml.clone(), edits: vec![Edit::Document { yaml }] }
    }

    /// Without a field, as this text says.
    pub(super) fn without(at: impl Into<String>, text: impl Into<String>) -> Self {
        Self { text: text.into(), edits: vec![Edit::Remove { at: at.into() }] }
    }

    /// Together with something at another place, which `wherever` names.
    pub(super) fn and(mut self, wherever: &str, at: impl Into<String>, yaml: &str) -> Self {
        self.text = format!("{}\n# and {wherever}\n{yaml}", self.text);
        self.edits.push(Edit::Merge { at: at.into(), yaml: yaml.to_owned() });
        self
    }

    /// Together with the end of a field that would contradict it.
    pub(super) fn instead_of(mut self, at: impl Into<String>) -> Self {
        self.edits.insert(0, Edit::Remove { at: at.into() });
        self
    }

    /// Or this, which is for people.
    pub(super) fn or(mut self, text: &str) -> Self {
        let gap = if text.starts_with('\n') { "" } else { " " };
        self.text = format!("{}\n# or{gap}{text}", self.text);
        self
    }

    /// What to write, in YAML where it is a matter of YAML.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it brings an object that was not there.
    fn adds(&self) -> bool {
        self.edits.iter().any(|edit| matches!(edit, Edit::Document { .. }))
    }

    /// Whether it can be made without knowing the program.
    pub fn is_edit(&self) -> bool {
        !self.edits.is_empty()
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&str> for Fix {
    fn from(text: &str) -> Self {
        Self::advice(text)
    }
}

impl From<String> for Fix {
    fn from(text: String) -> Self {
        Self::advice(text)
    }
}
