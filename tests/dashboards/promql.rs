//! Which series an expression selects: as much of PromQL as that takes. Whether the expression is
//! well-formed is for `promtool` to say.

/// A selector of series.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Selector {
    /// The metric, where it is named.
    pub(crate) metric: String,
    pub(crate) matchers: Vec<Matcher>,
    /// The window, as it is written.
    pub(crate) range: Option<String>,
    /// The function or aggregation that it is the direct argument of.
    pub(crate) function: String,
}

/// A condition on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

impl Selector {
    /// The metrics that it can select.
    pub(crate) fn metrics(&self) -> Vec<&str> {
        if !self.metric.is_empty() {
            return vec![&self.metric];
        }
        let names = self.matchers.iter().filter(|matcher| matcher.label == "__name__");
        names.flat_map(|matcher| matcher.value.split('|')).collect()
    }

    /// Whether it has this condition.
    pub(crate) fn demands(&self, label: &str, operator: &str, value: &str) -> bool {
        let mut all = self.matchers.iter();
        all.any(|m| m.label == label && m.operator == operator && m.value == value)
    }
}

/// Words that are followed by a list of labels.
const WITH_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Words that are neither functions nor metrics.
const WORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"];

/// The selectors of an expression, in order.
pub(crate) fn selectors(expr: &str) -> Vec<Selector> {
    let mut rest = expr;
    let mut found = Vec::new();
    let mut functions: Vec<String> = Vec::new();
    let mut function = String::new();
    while let Some(first) = rest.chars().next() {
        if is_start(first) {
            let word = word(rest);
            rest = rest[word.len()..].trim_start();
            if WITH_LABELS.contains(&word) {
                rest = after(rest, '(', ')');
            } else if rest.starts_with('(') || rest.starts_with("by") || rest.starts_with("without")
            {
                // An aggregation may have its labels in front of its arguments.
                word.clone_into(&mut function);
            } else if !WORDS.contains(&word) {
                let mut selector = Selector { metric: word.to_owned(), ..Selector::default() };
                rest = finish(&mut selector, rest);
                functions.last().cloned().unwrap_or_default().clone_into(&mut selector.function);
                found.push(selector);
            }
            continue;
        }
        match first {
            '{' => {
                let mut selector = Selector::default();
                rest = finish(&mut selector, rest);
                functions.last().cloned().unwrap_or_default().clone_into(&mut selector.function);
                found.push(selector);
                continue;
            }
            '"' | '\'' => {
                rest = after_string(rest);
                continue;
            }
            // A subquery's window, behind a bracket.
            '[' => {
                rest = after(rest, '[', ']');
                continue;
            }
            '(' => functions.push(std::mem::take(&mut function)),
            ')' => drop(functions.pop()),
            _ if first.is_ascii_digit() => {
                let number = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                    .unwrap_or(rest.len());
                rest = &rest[number..];
                continue;
            }
            _ => {}
        }
        rest = &rest[first.len_utf8()..];
    }
    found
}

fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':'
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(is_start(c) || c.is_ascii_digit())).unwrap_or(text.len());
    &text[..end]
}

/// What follows the first `close` after an `open`; strings in between are passed over.
fn after(text: &str, open: char, close: char) -> &str {
    let Some(mut rest) = text.strip_prefix(open) else { return text };
    while let Some(first) = rest.chars().next() {
        match first {
            '"' | '\'' => rest = after_string(rest),
            _ if first == close => return &rest[1..],
            _ => rest = &rest[first.len_utf8()..],
        }
    }
    rest
}

/// What follows a string with its escapes.
fn after_string(text: &str) -> &str {
    let quote = text.chars().next().unwrap_or('"');
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// Reads the conditions and the window of a selector whose name has been read.
fn finish<'a>(selector: &mut Selector, text: &'a str) -> &'a str {
    let mut rest = text;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            let label = word(rest);
            rest = rest[label.len()..].trim_start();
            let operator = rest.find(['"', '\'']).unwrap_or(rest.len());
            let value = &rest[operator..];
            let behind = after_string(value);
            selector.matchers.push(Matcher {
                label: label.to_owned(),
                operator: rest[..operator].trim().to_owned(),
                value: value[..value.len() - behind.len()].trim_matches(['"', '\'']).to_owned(),
            });
            rest = behind.trim_start_matches([',', ' ', '\n']);
        }
        rest = rest.strip_prefix('}').unwrap_or(rest);
    }
    if rest.starts_with('[') {
        let behind = after(rest, '[', ']');
        let window = &rest[..rest.len() - behind.len()];
        selector.range = Some(window.trim_matches(['[', ']']).to_owned());
        rest = behind;
    }
    rest
}

#[test]
fn finds_every_selector_with_what_is_around_it() {
    let short = |expr: &str| {
        let described = selectors(expr).into_iter().map(|s| {
            let matchers: Vec<_> = s
                .matchers
                .iter()
                .map(|m| format!("{}{}{}", m.label, m.operator, m.value))
                .collect();
            let range = s.range.as_deref().unwrap_or("-");
            format!("{}({}{{{}}}[{range}])", s.function, s.metrics().join("|"), matchers.join(";"))
        });
        described.collect::<Vec<_>>().join(" ")
    };
    for (expr, expected) in [
        ("up", "(up{}[-])"),
        (
            r#"rate(a_total{x=~"a|}",y!='b'}[$__rate_interval])"#,
            "rate(a_total{x=~a|};y!=b}[$__rate_interval])",
        ),
        ("sum by (x, y) (a) / on (z) group_left b", "sum(a{}[-]) (b{}[-])"),
        ("sum(a) by (x) or vector(0)", "sum(a{}[-])"),
        (
            "1.5 * max without (p) (rec:a:max10m > 0) unless -up == 1",
            "max(rec:a:max10m{}[-]) (up{}[-])",
        ),
        (r#"{__name__=~"a|b",job="c"}"#, "(a|b{__name__=~a|b;job=c}[-])"),
        ("histogram_quantile(0.9, sum by (le) (rate(d_bucket[5m])))", "rate(d_bucket{}[5m])"),
        ("max_over_time(rate(a[1m])[10m:]) + time()", "rate(a{}[1m])"),
        (r#"label_replace(a, "x", "up(", "y", "(.+)")"#, "label_replace(a{}[-])"),
        ("a offset 5m > bool 3e5 and b", "(a{}[-]) (b{}[-])"),
    ] {
        assert_eq!(short(expr), expected, "{expr}");
    }
}
