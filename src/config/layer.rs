//! One layer of settings: what a single source says.

use std::collections::BTreeMap;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::{
    error::SettingProblem,
    key::Key,
    keys::{self, KEYS},
    similar,
};

/// What one source says, checked entry by entry.
///
/// As a [`Source`] it holds only what passed, so that the layers can be merged and checked
/// further even where something is wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    entries: BTreeMap<&'static str, Value>,
    pub(super) problems: Vec<SettingProblem>,
}

impl Layer {
    /// Takes a value if it is one for this key.
    pub(super) fn take(&mut self, key: &'static Key, text: String, source: String) {
        let refusal = if text.is_empty() {
            Some(("it is empty".to_owned(), format!("remove it, or set {}", key.placeholder)))
        } else {
            key.check(&text).err().map(|refusal| (refusal.problem, refusal.remedy))
        };
        match refusal {
            None => {
                self.entries.insert(key.name, Value::new(Some(&source), text));
            }
            Some((problem, remedy)) => self.problems.push(SettingProblem {
                key: Some(key.name.to_owned()),
                value: Some(key.shown(&text)),
                source,
                problem,
                remedy,
            }),
        }
    }

    /// Refuses a key that does not exist; `meant` is the one that was probably meant, and how it
    /// is written in this source.
    pub(super) fn unknown(
        &mut self,
        name: &str,
        value: &str,
        source: String,
        meant: Option<(&Key, String)>,
    ) {
        // What is misspelt here could be our secret.
        let secret = meant.as_ref().is_some_and(|(key, _)| key.is_secret)
            || ["token", "secret", "password"]
                .iter()
                .any(|word| name.to_lowercase().contains(word));
        self.problems.push(SettingProblem {
            key: Some(name.to_owned()),
            value: (!secret && !value.is_empty()).then(|| value.to_owned()),
            source,
            problem: "there is no such setting".to_owned(),
            remedy: meant.map_or_else(
                || "remove it; `websample check` lists every setting".to_owned(),
                |(_, written)| format!("did you mean {written}?"),
            ),
        });
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }
}

/// The setting whose name is most like this one.
pub(super) fn closest_key(name: &str) -> Option<&'static Key> {
    let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    similar::closest(name, &names).and_then(keys::find)
}

/// The leaves of a nested table, under their full names, in order.
pub(super) fn leaves(table: Map<String, Value>) -> Vec<(String, Value)> {
    fn walk(prefix: &str, table: Map<String, Value>, found: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value.kind {
                ValueKind::Table(table) if !table.is_empty() => walk(&name, table, found),
                _ => found.push((name, value)),
            }
        }
    }
    let mut found = Vec::new();
    walk("", table, &mut found);
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}
