//! Changes to the text of a document that leave everything else as it is, comments and all.
//!
//! Each is made in the text and then read again: where that does not give what was meant, because
//! of an anchor, a tab or whatever else can stand in YAML, the change is not made.

use serde_json::Value;

use super::write;
use crate::node::{Content, Node};

/// Why a change was not made: the text is laid out in a way that it could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unchanged;

/// Fields that are replaced as a whole: what they hold excludes each other.
const WHOLE: [&str; 4] = ["preStop", "selector", "strategy", "matchLabels"];

/// More changes than this are in no fix.
const MOST: usize = 100;

/// Writes these keys into the mapping at a path.
pub(super) fn merge(text: &str, at: &str, yaml: &str) -> Result<String, Unchanged> {
    let new = Node::parse(yaml).map_err(|_| Unchanged)?;
    let mut text = text.to_owned();
    for _ in 0..MOST {
        let old = Node::parse(&text).map_err(|_| Unchanged)?;
        let Some(change) = first(&old, at, &new) else { return Ok(text) };
        let changed = change.made(&text).ok_or(Unchanged)?;
        // Only this may differ, and it has to.
        let meant = change.meant(&old)?;
        let read = Node::parse(&changed).map_err(|_| Unchanged)?;
        if read.plain() != meant {
            return Err(Unchanged);
        }
        text = changed;
    }
    Err(Unchanged)
}

/// Takes a field away, if it is there.
pub(super) fn remove(text: &str, at: &str) -> Result<String, Unchanged> {
    let old = Node::parse(text).map_err(|_| Unchanged)?;
    let (parent, key) = at.rsplit_once('.').unwrap_or(("", at));
    let Some(map) = old.at(parent).filter(|map| map.get(key).is_some()) else {
        return Ok(text.to_owned());
    };
    let change = Change { path: parent.to_owned(), target: map, what: What::Remove { key } };
    let changed = change.made(text).ok_or(Unchanged)?;
    let meant = change.meant(&old)?;
    let read = Node::parse(&changed).map_err(|_| Unchanged)?;
    if read.plain() == meant { Ok(changed) } else { Err(Unchanged) }
}

/// One change.
struct Change<'a> {
    /// Where the mapping or list is.
    path: String,
    target: &'a Node,
    what: What<'a>,
}

enum What<'a> {
    Set { key: &'a str, value: Node },
    Append { item: &'a Node },
    Remove { key: &'a str },
}

/// The first thing that is not yet as it should be.
fn first<'a>(root: &'a Node, at: &'a str, new: &'a Node) -> Option<Change<'a>> {
    // The deepest mapping on the way that is there; what is missing comes with the value.
    let mut node = root;
    let mut path = String::new();
    let mut steps = crate::node::steps(at).peekable();
    while let Some(step) = steps.peek() {
        let next = node.step(step).filter(|next| next.content != Content::Null);
        let Some(next) = next else { break };
        if !path.is_empty() && !step.ends_with(']') {
            path.push('.');
        }
        if step.ends_with(']') {
            path.push('[');
        }
        path.push_str(step);
        node = next;
        steps.next();
    }
    let missing: Vec<_> = steps.collect();
    let Some((outer, inner)) = missing.split_first() else { return walk(node, &path, new) };
    let wrap = |value: Node, key: &&str| Node::bare(Content::Map(vec![((*key).to_owned(), value)]));
    let value = inner.iter().rev().fold(new.clone(), wrap);
    Some(Change { path, target: node, what: What::Set { key: outer, value } })
}

fn walk<'a>(node: &'a Node, path: &str, new: &'a Node) -> Option<Change<'a>> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let (Content::Map(_), Content::Map(entries)) = (&node.content, &new.content) else {
        return None;
    };
    for (key, value) in entries {
        let set = || {
            let what = What::Set { key, value: value.clone() };
            Some(Change { path: path.to_owned(), target: node, what })
        };
        let Some(old) = node.get(key) else { return set() };
        let change = match (&old.content, &value.content) {
            (Content::Map(_), Content::Map(_)) if !WHOLE.contains(&key.as_str()) => {
                walk(old, &below(key), value)
            }
            (Content::List(olds), Content::List(items)) => {
                items.iter().find_map(|item| listed(old, olds, &below(key), item))
            }
            _ if old.plain() == value.plain() => None,
            _ => set(),
        };
        if change.is_some() {
            return change;
        }
    }
    None
}

/// An item belongs to the one of its name, or behind the last.
fn listed<'a>(list: &'a Node, olds: &'a [Node], path: &str, item: &'a Node) -> Option<Change<'a>> {
    let id = |node: &Node| {
        let name = node.get("name").map(Node::plain);
        name.or_else(|| node.get("containerPort").map(Node::plain))
    };
    let same = |old: &&Node| match (id(old), id(item)) {
        (Some(one), Some(other)) => one == other,
        _ => old.plain() == item.plain(),
    };
    match olds.iter().find(same) {
        Some(old) => {
            let place = olds.iter().position(|other| std::ptr::eq(other, old))?;
            walk(old, &format!("{path}[{place}]"), item)
        }
        None => Some(Change { path: path.to_owned(), target: list, what: What::Append { item } }),
    }
}

impl Change<'_> {
    /// What the document says then.
    fn meant(&self, root: &Node) -> Result<Value, Unchanged> {
        let mut value = root.plain();
        let mut place = &mut value;
        for step in crate::node::steps(&self.path) {
            place = match step.strip_suffix(']') {
                Some(index) => {
                    let index: usize = index.parse().map_err(|_| Unchanged)?;
                    place.get_mut(index)
                }
                None => place.get_mut(step),
            }
            .ok_or(Unchanged)?;
        }
        match (&self.what, place) {
            (What::Set { key, value }, Value::Object(map)) => {
                map.insert((*key).to_owned(), value.plain());
            }
            (What::Append { item }, Value::Array(list)) => list.push(item.plain()),
            (What::Remove { key }, Value::Object(map)) => {
                map.remove(*key);
            }
            _ => return Err(Unchanged),
        }
        Ok(value)
    }

    /// The text with it, if its layout is one that can be kept.
    fn made(&self, text: &str) -> Option<String> {
        let flow = text[self.target.start..].starts_with(['{', '[']);
        // JSON, or YAML in braces: names in quotes look the same in both.
        let json = flow
            && text[self.target.start + 1..].trim_start().starts_with(['"', '}', ']'])
            && text.trim_start().starts_with('{');
        match (&self.what, &self.target.content) {
            (What::Set { key, value }, Content::Map(entries)) => {
                match entries.iter().find(|(name, _)| name == key) {
                    Some((_, old)) => replace(text, old, key, value, flow, json),
                    None if flow => {
                        let pair = write::pair(key, value, json);
                        Some(insert_flow(text, self.target.start, &pair))
                    }
                    None => insert_block(text, entries, key, value),
                }
            }
            (What::Append { item }, Content::List(items)) => {
                if flow {
                    append_flow(text, self.target.start, &write::flow(item, json))
                } else {
                    append_block(text, items, item)
                }
            }
            (What::Remove { key }, Content::Map(entries)) => {
                let (_, old) = entries.iter().find(|(name, _)| name == key)?;
                if flow { None } else { remove_block(text, old) }
            }
            _ => None,
        }
    }
}

fn replace(
    text: &str,
    old: &Node,
    key: &str,
    value: &Node,
    flow: bool,
    json: bool,
) -> Option<String> {
    let is_scalar = !old.is_container() && old.len > 0;
    if is_scalar && !value.is_container() {
        let after = &text[old.start + old.len..];
        return Some(format!("{}{}{after}", &text[..old.start], write::flow(value, json)));
    }
    if flow {
        let end = if old.is_container() {
            flow_end(text, old.start)?
        } else if is_scalar {
            old.start + old.len
        } else {
            return None;
        };
        return Some(format!("{}{}{}", &text[..old.start], write::flow(value, json), &text[end..]));
    }
    let indent = column(text, old.key);
    let end = entry_end(text, old.key, indent);
    let mut new = String::new();
    write::entry(key, value, indent, &mut new);
    Some(format!("{}{}{}", &text[..old.key], with_ending(text, &new[indent..]), &text[end..]))
}

fn insert_block(text: &str, entries: &[(String, Node)], key: &str, value: &Node) -> Option<String> {
    let (_, first) = entries.first()?;
    let (_, last) = entries.last()?;
    let indent = column(text, first.key);
    // Where it is not in lines of its own, it is not known where to put it.
    if column(text, last.key) != indent {
        return None;
    }
    let end = entry_end(text, last.key, indent);
    let mut new = String::new();
    write::entry(key, value, indent, &mut new);
    Some(insert_lines(text, end, &new))
}

fn append_block(text: &str, items: &[Node], item: &Node) -> Option<String> {
    let last = items.last()?;
    let dash = text[..last.key].rfind('-')?;
    let between = &text[dash + 1..last.key];
    if !between.trim().is_empty() {
        return None;
    }
    let indent = column(text, dash);
    let end = entry_end(text, dash, indent);
    let mut new = String::new();
    write::item(item, indent, &mut new);
    Some(insert_lines(text, end, &new))
}

fn remove_block(text: &str, old: &Node) -> Option<String> {
    let start = line_start(text, old.key);
    // What stands behind a dash would take it away.
    if !text[start..old.key].trim().is_empty() {
        return None;
    }
    let end = entry_end(text, old.key, old.key - start);
    Some(format!("{}{}", &text[..start], &text[end..]))
}

/// `{ a: 1 }` becomes `{ new: 2, a: 1 }`, in the manner of what is there.
fn insert_flow(text: &str, open: usize, new: &str) -> String {
    let inside = &text[open + 1..];
    let rest = inside.trim_start();
    let gap = &inside[..inside.len() - rest.len()];
    let is_empty = rest.starts_with(['}', ']']);
    let (before, after) = (&text[..=open], &text[open + 1..]);
    if is_empty {
        let pad = if text[open..].starts_with('{') { " " } else { "" };
        return format!("{before}{pad}{new}{pad}{rest}");
    }
    // Lines of their own stay so.
    if gap.contains('\n') {
        return format!("{before}{gap}{new},{after}");
    }
    let space = if gap.is_empty() { " " } else { "" };
    format!("{before}{gap}{new},{space}{after}")
}

fn append_flow(text: &str, open: usize, new: &str) -> Option<String> {
    let end = flow_end(text, open)? - 1;
    let inside = text[open + 1..end].trim_end();
    let at = open + 1 + inside.len();
    let comma = if inside.trim().is_empty() { "" } else { ", " };
    Some(format!("{}{comma}{new}{}", &text[..at], &text[at..]))
}

/// The end of what a brace or bracket opens.
fn flow_end(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (offset, c) in text[open..].char_indices() {
        match (quote, c) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), c) if c == open && !escaped => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(open + offset + c.len_utf8());
                }
            }
            // A comment may hold anything.
            (None, '#') => return None,
            (None, _) => {}
        }
        escaped = false;
    }
    None
}

/// Where the line behind an entry begins whose key, or dash, stands here: behind its own lines and
/// those that are further in, but before comments and empty lines at their end.
fn entry_end(text: &str, key: usize, indent: usize) -> usize {
    let is_item = text[key..].starts_with("- ") || text[key..].starts_with("-\n");
    let mut end = line_end(text, key);
    let mut next = end;
    while next < text.len() {
        let line_end = line_end(text, next);
        let line = &text[next..line_end];
        let content = line.trim_start_matches(' ');
        let depth = line.len() - content.len();
        let is_blank = content.trim().is_empty() || content.starts_with('#');
        // The items of a list may stand as far out as its key.
        let is_dash =
            !is_item && depth == indent && (content.starts_with("- ") || content.trim_end() == "-");
        if !is_blank {
            if depth <= indent && !is_dash {
                break;
            }
            end = line_end;
        } else if depth > indent && !content.trim().is_empty() {
            // A comment that is further in belongs to what is before it.
            end = line_end;
        }
        next = line_end;
    }
    end
}

fn insert_lines(text: &str, at: usize, new: &str) -> String {
    let before = &text[..at];
    let new = with_ending(text, new);
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { newline };
    format!("{before}{gap}{new}{}", &text[at..])
}

/// In the line endings of the text.
fn with_ending(text: &str, new: &str) -> String {
    if text.contains("\r\n") { new.replace('\n', "\r\n") } else { new.to_owned() }
}

fn column(text: &str, at: usize) -> usize {
    at - line_start(text, at)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

#[cfg(test)]
mod tests;
