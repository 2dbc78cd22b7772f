//! A file's documents: a stream of YAML, or of JSON objects.

use serde::de::IgnoredAny;

/// One document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// Its first line in the file, from 1.
    pub(super) line: usize,
    /// Its text, from the marker on that began it.
    pub(super) text: &'a str,
}

/// The documents of a file that say something, in order.
///
/// They are cut apart before anything is parsed, as kubectl does, so that one that is broken does
/// not hide the others; `---` at the start of a line cannot be anything else, not even in a block
/// of text (YAML 1.2, 9.1.2).
pub(super) fn documents(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    json(text).unwrap_or_else(|| yaml(text))
}

/// Objects one after the other; `None` where it is not JSON, such as YAML that begins with a
/// brace.
fn json(text: &str) -> Option<Vec<Document<'_>>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut documents = Vec::new();
    let (mut start, mut line) = (0, 1);
    while let Some(value) = values.next() {
        value.ok()?;
        let end = values.byte_offset();
        let text = &text[start..end];
        documents.push(Document { line, text });
        line += text.matches('\n').count();
        start = end;
    }
    Some(documents)
}

fn yaml(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut first) = (0, 1);
    let mut end = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if begins_document(line) {
            documents.push(Document { line: first, text: &text[start..end] });
            (start, first) = (end, number + 1);
        }
        end += line.len();
    }
    documents.push(Document { line: first, text: &text[start..] });
    documents.retain(|document| says_something(document.text));
    documents
}

fn begins_document(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Whether there is more than markers, directives and comments.
fn says_something(text: &str) -> bool {
    let text = if begins_document(text) { &text[3..] } else { text };
    text.lines().map(str::trim).any(|line| {
        !(line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "...")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(usize, &str)> {
        documents(text).into_iter().map(|document| (document.line, document.text)).collect()
    }

    #[test]
    fn yaml_is_cut_at_its_markers() {
        assert_eq!(cut("a: 1\n"), [(1, "a: 1\n")]);
        assert_eq!(cut("a: 1\n---\nb: 2"), [(1, "a: 1\n"), (2, "---\nb: 2")]);
        assert_eq!(cut("---\r\na: 1\r\n--- # Source: x\r\nb: 2\r\n").len(), 2);
        assert_eq!(cut("--- {a: 1}\n---\tb\n"), [(1, "--- {a: 1}\n"), (2, "---\tb\n")]);
        // Neither a row of dashes nor an indented one begins a document.
        assert_eq!(cut("a: |\n  ---\n----: 1\n").len(), 1);
    }

    #[test]
    fn what_says_nothing_is_no_document() {
        for text in
            ["", "\n\n", "# Only a comment\n", "---\n---\n# x\n---\n", "%YAML 1.2\n", "...\n"]
        {
            assert_eq!(cut(text), [], "{text:?}");
        }
        assert_eq!(cut("# head\n---\n\n---\na: 1\n---\n"), [(4, "---\na: 1\n")]);
        assert_eq!(cut("\u{feff}a: 1"), [(1, "a: 1")]);
    }

    #[test]
    fn json_objects_follow_each_other() {
        assert_eq!(cut("{\"a\": 1}\n{\"b\":\n2}\n"), [(1, "{\"a\": 1}"), (1, "\n{\"b\":\n2}")]);
        assert_eq!(cut("{a: 1}\n---\n{b: 2}\n").len(), 2);
    }
}
