//! A tree as YAML again: in lines, or in braces where its surroundings are.

use crate::node::{Content, Node};

/// `key: value` in lines, each behind so many spaces.
pub(crate) fn entry(key: &str, value: &Node, indent: usize, out: &mut String) {
    spaces(indent, out);
    out.push_str(&scalar(key));
    out.push(':');
    block(value, indent, out);
}

/// `- item` in lines.
pub(super) fn item(value: &Node, indent: usize, out: &mut String) {
    spaces(indent, out);
    out.push('-');
    match &value.content {
        Content::Map(entries) if !entries.is_empty() => {
            for (index, (key, value)) in entries.iter().enumerate() {
                if index == 0 {
                    // The first stands behind the dash, its own lines where the others are.
                    out.push(' ');
                    out.push_str(&scalar(key));
                    out.push(':');
                    block(value, indent + 2, out);
                } else {
                    entry(key, value, indent + 2, out);
                }
            }
        }
        _ => block(value, indent, out),
    }
}

/// What stands behind a colon or a dash, to the end of its last line.
fn block(value: &Node, indent: usize, out: &mut String) {
    match &value.content {
        Content::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            for (key, value) in entries {
                entry(key, value, indent + 2, out);
            }
        }
        Content::List(items) if !items.is_empty() => {
            out.push('\n');
            for value in items {
                item(value, indent + 2, out);
            }
        }
        _ => {
            out.push(' ');
            out.push_str(&flow(value, false));
            out.push('\n');
        }
    }
}

/// In braces, on one line; `json` puts every name in quotes.
pub(super) fn flow(value: &Node, json: bool) -> String {
    match &value.content {
        Content::Null => "null".to_owned(),
        Content::Bool(value) => value.to_string(),
        Content::Number(number) => number.to_string(),
        Content::Text(text) if json => quoted(text),
        Content::Text(text) => scalar(text),
        Content::List(items) => {
            let items: Vec<_> = items.iter().map(|item| flow(item, json)).collect();
            format!("[{}]", items.join(", "))
        }
        Content::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Content::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| pair(key, value, json)).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// `key: value` in braces.
pub(super) fn pair(key: &str, value: &Node, json: bool) -> String {
    let key = if json { quoted(key) } else { scalar(key) };
    format!("{key}: {}", flow(value, json))
}

/// A text that is read as the same text, in braces too: in quotes wherever there is any doubt.
fn scalar(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
    );
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(fits)
        && !word;
    // Percentages are what strategies are made of.
    let percent = text.strip_suffix('%').is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    // `30s` and the like begin with a digit, and are no number all the same.
    let unit = text.ends_with(|c: char| "smh".contains(c))
        && text.len() > 1
        && text[..text.len() - 1].bytes().all(|byte| byte.is_ascii_digit());
    if plain || percent || unit { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn spaces(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "lifecycle:\n  preStop: { sleep: { seconds: 5 } }\nenv:\n  - name: A\n    value: \
                    \"5\"\n  - { name: B, valueFrom: { x: [1, yes, ~] } }\n  - valueFrom: { a: 1 \
                    }\n    name: C\nempty: {}\nlist: []\nratio: 25%\ntime: 30s\nodd: \"a: b #c\"\n";
        let node = Node::parse(text).unwrap();
        let Content::Map(entries) = &node.content else { panic!("{node:?}") };
        let mut lines = String::new();
        for (key, value) in entries {
            entry(key, value, 4, &mut lines);
        }
        assert_eq!(Node::parse(&lines).unwrap().to_value(), node.to_value(), "{lines}");
        assert!(lines.contains("    ratio: 25%\n    time: 30s\n"), "{lines}");
        for json in [false, true] {
            let line = flow(&node, json);
            assert_eq!(Node::parse(&line).unwrap().to_value(), node.to_value(), "{line}");
            assert!(!json || serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
        }
    }
}
