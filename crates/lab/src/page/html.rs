//! Text and figures in HTML.

use std::fmt::{self, Display, Write as _};

/// Text as the content of an element or of a quoted attribute.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// JSON inside a `<script>`: nothing in it may end the element or begin a comment.
pub(super) fn json_for_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A count with thin spaces between the thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A share of all: enough digits to tell a few of a million from none.
pub(super) fn percent(share: f64) -> String {
    if share == 0.0 {
        "0 %".to_owned()
    } else if share < 0.001 {
        format!("{:.4} %", share * 100.0)
    } else {
        format!("{:.2} %", share * 100.0)
    }
}

/// A time given in milliseconds.
pub(super) fn millis(time: f64) -> String {
    if time >= 1000.0 {
        format!("{:.2} s", time / 1000.0)
    } else if time >= 10.0 {
        format!("{time:.0} ms")
    } else {
        format!("{time:.2} ms")
    }
}

/// A table: the head, and rows of cells that are HTML already.
pub(super) fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("<div class=scroll><table><caption>{caption}</caption><thead><tr>");
    for cell in head {
        let _ = write!(out, "<th scope=col>{cell}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            if column == 0 {
                let _ = write!(out, "<th scope=row>{cell}</th>");
            } else {
                let _ = write!(out, "<td>{cell}</td>");
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_break_out() {
        assert_eq!(Text("<b a='\"'>&").to_string(), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        let json = serde_json::to_string("</script><!--").expect("text is JSON");
        let embedded = json_for_script(&json);
        assert!(!embedded.contains('<'));
        assert_eq!(serde_json::from_str::<String>(&embedded).expect("still"), "</script><!--");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(999), "999");
        assert_eq!(percent(0.000_003), "0.0003 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(
            (millis(0.733), millis(41.2), millis(5003.8)),
            ("0.73 ms".to_owned(), "41 ms".to_owned(), "5.00 s".to_owned(),)
        );
    }
}
