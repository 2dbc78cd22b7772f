//! A YAML document as a tree that knows its lines.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The line of its document on which it, or its key, stands; from 1.
    pub(super) line: usize,
    /// The byte of the document at which its key begins, or itself where it has none.
    pub(super) key: usize,
    /// The byte at which it begins.
    pub(super) start: usize,
    /// How many bytes it takes, where it is a scalar.
    pub(super) len: usize,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A document of YAML, and JSON is one too.
    pub(super) fn parse(text: &str) -> Result<Self, serde_saphyr::Error> {
        let options = serde_saphyr::options! {
            // As kubectl's parser has it: 0644 is the mode of a file.
            legacy_octal_numbers: true,
            // The list of all objects of a large cluster is one document.
            // Aliases of aliases could make one of any file.
            budget: serde_saphyr::budget! {
                max_events: 20_000_000,
                max_nodes: 5_000_000,
                max_recorded_anchor_events: 100_000,
            },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
            with_snippet: false,
            // Those above an item are kept for it otherwise, and more than 32 are too many.
            emit_comments: false,
        };
        serde_saphyr::from_str_with_options(text, options)
    }

    /// One that stands nowhere.
    pub(super) fn bare(content: Content) -> Self {
        Self { line: 1, key: 0, start: 0, len: 0, content }
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(self.content, Content::List(_) | Content::Map(_))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The names of its fields.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.content {
            Content::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Moves it down by so many lines.
    pub(super) fn shift(&mut self, lines: usize) {
        self.line += lines;
        match &mut self.content {
            Content::List(items) => items.iter_mut().for_each(|item| item.shift(lines)),
            Content::Map(entries) => entries.iter_mut().for_each(|(_, node)| node.shift(lines)),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {}
        }
    }

    /// The items of a list that is a field of it, where they stand.
    pub(super) fn items(&self, key: &str) -> &[Self] {
        match self.get(key).map(|node| &node.content) {
            Some(Content::List(items)) => items,
            _ => &[],
        }
    }

    /// Puts texts into the map at a path of names, over those that are there. Where there is no such map
    /// it is made, if it may be.
    pub(super) fn put(&mut self, path: &str, texts: &BTreeMap<String, String>, is_made: bool) {
        if !is_made && self.at(path).is_none() {
            return;
        }
        let mut node = self;
        for name in path.split('.') {
            let Some(field) = node.entry(name) else { return };
            node = field;
        }
        for (name, text) in texts {
            let Some(field) = node.entry(name) else { return };
            field.content = Content::Text(text.clone());
        }
    }

    /// A field, made where it is missing; `None` of what is no map.
    fn entry(&mut self, name: &str) -> Option<&mut Self> {
        if self.content == Content::Null {
            self.content = Content::Map(Vec::new());
        }
        let Content::Map(entries) = &mut self.content else { return None };
        let place = entries.iter().position(|(own, _)| own == name).unwrap_or_else(|| {
            entries.push((name.to_owned(), Self::bare(Content::Null)));
            entries.len() - 1
        });
        entries.get_mut(place).map(|(_, node)| node)
    }

    /// The items of a list that is a field of it.
    pub(super) fn into_items(self, key: &str) -> Vec<Self> {
        let Content::Map(entries) = self.content else { return Vec::new() };
        let field = entries.into_iter().find(|(name, _)| name == key);
        match field.map(|(_, node)| node.content) {
            Some(Content::List(items)) => items,
            _ => Vec::new(),
        }
    }

    /// A field, written like `spec.containers[0].name`.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        steps(path).try_fold(self, Self::step)
    }

    /// The line of a field; where there is no such field, that of the nearest one around it.
    pub(super) fn line_of(&self, path: &str) -> usize {
        let mut node = self;
        for step in steps(path) {
            let Some(next) = node.step(step) else { break };
            node = next;
        }
        node.line
    }

    pub(super) fn step(&self, step: &str) -> Option<&Self> {
        match (step.strip_suffix(']'), &self.content) {
            (Some(index), Content::List(items)) => items.get(index.parse::<usize>().ok()?),
            (None, _) => self.get(step),
            _ => None,
        }
    }

    /// Without the places.
    pub(super) fn plain(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::plain).collect(),
            Content::Map(entries) => {
                entries.iter().map(|(key, node)| (key.clone(), node.plain())).collect()
            }
        }
    }

    /// Without the lines, and with every quantity as a text: the API takes numbers there too,
    /// k8s-openapi does not.
    pub(super) fn to_value(&self) -> Value {
        self.value_under(&mut Vec::new())
    }

    fn value_under<'a>(&'a self, path: &mut Vec<&'a str>) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) if is_quantity(path) => Value::String(number.to_string()),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => {
                Value::Array(items.iter().map(|item| item.value_under(path)).collect())
            }
            Content::Map(entries) => {
                let entry = |(key, node): &'a (String, Self)| {
                    path.push(key);
                    let value = node.value_under(path);
                    path.pop();
                    (key.clone(), value)
                };
                Value::Object(entries.iter().map(entry).collect())
            }
        }
    }
}

pub(super) fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).filter(|step| !step.is_empty())
}

fn is_quantity(path: &[&str]) -> bool {
    matches!(
        path,
        [.., "sizeLimit" | "divisor" | "averageValue"]
            | [.., "target", "value"]
            | [.., "limits" | "requests" | "capacity" | "overhead", _]
    )
}

/// A place in a text, which is in memory.
fn place(number: Option<u64>) -> usize {
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        let [start, len] =
            [referenced.span().byte_offset(), referenced.span().byte_len()].map(place);
        Ok(Self { line: place(Some(referenced.line())), key: start, start, len, content: value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        // Not a number is no number of JSON.
        let number = Number::from_f64(value).map(Content::Number);
        Ok(number.unwrap_or_else(|| Content::Text(value.to_string())))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Content, E> {
        Ok(Content::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let node: Node = map.next_value()?;
            let line = place(Some(key.referenced.line()));
            let start = place(key.referenced.span().byte_offset());
            entries.push((key.value, Node { line, key: start, ..node }));
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "\
# A comment.
kind: Deployment
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: app
          resources: { limits: { cpu: 1, memory: 1Gi } }
          ports:
            - containerPort: 80
        -
          name: other
";

    #[test]
    fn fields_know_their_lines() {
        let node = Node::parse(TEXT).unwrap();
        let table = [
            ("", 2),
            ("kind", 2),
            ("spec", 3),
            ("spec.replicas", 4),
            ("spec.template.spec.containers", 7),
            ("spec.template.spec.containers[0]", 8),
            ("spec.template.spec.containers[0].ports[0].containerPort", 11),
            ("spec.template.spec.containers[1].name", 13),
            // What is not there is where it would be.
            ("spec.strategy.type", 3),
            ("spec.template.spec.containers[0].lifecycle.preStop", 8),
            ("spec.template.spec.containers[7].name", 7),
        ];
        for (path, line) in table {
            assert_eq!(node.line_of(path), line, "{path}");
        }
    }

    #[test]
    fn json_is_yaml_also_with_tabs() {
        let node =
            Node::parse("{\n\t\"kind\": \"List\",\n\t\"items\": [\n\t\t{\"a\": 1}\n\t]\n}\n");
        let node = node.unwrap();
        assert_eq!(node.line_of("items[0].a"), 4);
        assert_eq!(node.to_value(), json!({ "kind": "List", "items": [{ "a": 1 }] }));
    }

    #[test]
    fn values_are_what_kubectl_makes_of_them() {
        let table = [
            ("a: 0644", json!({ "a": 420 })),
            ("a: yes", json!({ "a": true })),
            ("a: \"5\"", json!({ "a": "5" })),
            ("a: 25%", json!({ "a": "25%" })),
            ("a:", json!({ "a": null })),
            ("8080: x", json!({ "8080": "x" })),
            ("a: 1.5", json!({ "a": 1.5 })),
            ("a: |\n  - x\n", json!({ "a": "- x\n" })),
            (
                "x: &x { k: 1 }\ny: { <<: *x, l: 2 }",
                json!({ "x": { "k": 1 }, "y": { "k": 1, "l": 2 } }),
            ),
            (
                "limits: { cpu: 1, x: 0.5 }\nsizeLimit: 7",
                json!({ "limits": { "cpu": "1", "x": "0.5" }, "sizeLimit": "7" }),
            ),
        ];
        for (text, value) in table {
            assert_eq!(Node::parse(text).unwrap().to_value(), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_refused() {
        let level = |n: u8| {
            let (name, alias) = (char::from(b'b' + n), char::from(b'a' + n));
            format!("{name}: &{name} [{}]\n", vec![format!("*{alias}"); 9].join(","))
        };
        let bomb: String = (0..10).map(level).collect();
        assert!(Node::parse(&format!("a: &a [x]\n{bomb}")).is_err());
        assert!(Node::parse(&"[".repeat(100_000)).is_err());
        for text in ["a: [1", "a: b: c", "a: 1\na: 2", "a:\n\tb: 1\n"] {
            assert!(Node::parse(text).is_err(), "{text}");
        }
    }
}
