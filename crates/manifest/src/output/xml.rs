//! Text in XML.

/// For texts and attributes; characters that XML does not have at all are replaced (XML 1.0, 2.2).
pub fn xml_escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::xml_escaped;

    #[test]
    fn what_would_end_a_tag_or_attribute_is_escaped() {
        assert_eq!(xml_escaped("a<b>\"&\u{1b}\n"), "a&lt;b&gt;&quot;&amp;\u{fffd}\n");
    }
}
