//! The layer of the file.

use std::{io, path::Path, time::Duration};

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::{
    error::SettingProblem,
    key::Key,
    keys::{self, KEYS},
    layer::{Layer, closest_key, leaves},
    sources::ConfigFile,
};
use crate::input;

/// How long a file that is a pipe is waited for: a server that starts must not hang there.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn layer(file: &ConfigFile) -> Layer {
    let mut layer = Layer::default();
    let (path, required) = match file {
        ConfigFile::No => return layer,
        ConfigFile::Optional(path) => (path, false),
        ConfigFile::Required(path) => (path, true),
    };
    let source = path.display().to_string();
    match read(path, required) {
        Ok(table) => {
            let mut previous = None;
            for (name, value) in leaves(table) {
                // `"delay.min"` in quotes and `min` under `[delay]` are the same key.
                if previous.as_deref() == Some(name.as_str()) {
                    layer.problems.push(SettingProblem {
                        key: Some(name.clone()),
                        value: None,
                        source: source.clone(),
                        problem: "it is set twice".to_owned(),
                        remedy: "remove one".to_owned(),
                    });
                }
                take(&mut layer, &name, &value, &source);
                previous = Some(name);
            }
        }
        Err((problem, remedy)) => {
            layer.problems.push(SettingProblem { key: None, value: None, source, problem, remedy });
        }
    }
    layer
}

fn read(path: &Path, required: bool) -> Result<Map<String, Value>, (String, String)> {
    let read = input::read(path, Some(PATIENCE)).and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    });
    let text = match read {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {
            return Ok(Map::new());
        }
        Err(error) => {
            return Err((
                format!("the file cannot be read: {error}"),
                "name a TOML file that exists and that this user may read".to_owned(),
            ));
        }
    };
    File::from_str(&text, FileFormat::Toml).collect().map_err(|error| {
        (
            format!("the file is not TOML: {}", without_excerpt(&error)),
            "correct it there".to_owned(),
        )
    })
}

/// The parser's message without the lines that it quotes: one of them may hold the token.
fn without_excerpt(error: &ConfigError) -> String {
    let message = error.to_string();
    let lines: Vec<_> = message
        .lines()
        .filter(|line| {
            !line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|')
        })
        .collect();
    lines.join(": ")
}

fn take(layer: &mut Layer, name: &str, value: &Value, source: &str) {
    let source = source.to_owned();
    let Some(key) = keys::find(name) else {
        return refuse_unknown(layer, name, value, source);
    };
    let wrong = match (&value.kind, key.is_text) {
        (ValueKind::Table(_) | ValueKind::Array(_), _) => {
            Some(("it takes one value", format!("write {}", example(key))))
        }
        // A version 1.10 would arrive as 1.1.
        (ValueKind::Float(_) | ValueKind::I64(_), true) => {
            Some(("a number may lose digits", "write it in quotes".to_owned()))
        }
        _ => None,
    };
    match wrong {
        Some((problem, remedy)) => layer.problems.push(SettingProblem {
            key: Some(name.to_owned()),
            value: Some(key.shown(&value.to_string())),
            source,
            problem: problem.to_owned(),
            remedy,
        }),
        None => layer.take(key, value.to_string(), source),
    }
}

fn example(key: &Key) -> String {
    format!("{} = \"{}\"", key.name, key.placeholder)
}

fn refuse_unknown(layer: &mut Layer, name: &str, value: &Value, source: String) {
    let section = format!("{name}.");
    let within: Vec<_> =
        KEYS.iter().map(|key| key.name).filter(|key| key.starts_with(&section)).collect();
    if !within.is_empty() {
        // An empty section says nothing and harms nobody.
        if !matches!(value.kind, ValueKind::Table(_)) {
            layer.problems.push(SettingProblem {
                key: Some(name.to_owned()),
                value: Some(value.to_string()),
                source,
                problem: "it is a section, not a setting".to_owned(),
                remedy: format!("set {}", within.join(" or ")),
            });
        }
        return;
    }
    let parent = KEYS
        .iter()
        .find(|key| name.strip_prefix(key.name).is_some_and(|rest| rest.starts_with('.')));
    let meant = match parent {
        Some(parent) => Some((parent, format!("`{}`", example(parent)))),
        None => closest_key(name).map(|key| (key, format!("`{}`", key.name))),
    };
    let value = match value.kind {
        ValueKind::Table(_) => String::new(),
        _ => value.to_string(),
    };
    layer.unknown(name, &value, source, meant);
}
