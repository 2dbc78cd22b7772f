//! A dashboard's variables, filled in as Grafana would.

use crate::client::Window;

/// `All`, as these dashboards have it.
const ALL: &str = ".+";

/// The scrape interval, which the data source is told.
const INTERVAL: u64 = 1;

/// An expression with its variables filled in, and this run chosen; an error names a variable that
/// is not known.
pub(crate) fn filled(expr: &str, window: Window, run: &str) -> Result<String, String> {
    let seconds = window.seconds();
    // max($__interval + scrape interval, 4 x scrape interval)
    let rate_interval = (INTERVAL + INTERVAL).max(4 * INTERVAL);
    let value = |name: &str| {
        Some(match name {
            "job" | "instance" | "mode" | "version" | "pod" => ALL.to_owned(),
            "run" => run.to_owned(),
            "__rate_interval" => format!("{rate_interval}s"),
            "__interval" => format!("{INTERVAL}s"),
            "__interval_ms" => (INTERVAL * 1000).to_string(),
            "__range" => format!("{seconds}s"),
            "__range_s" => seconds.to_string(),
            "__range_ms" => (seconds * 1000).to_string(),
            _ => return None,
        })
    };
    let mut out = String::new();
    let mut rest = expr;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, after) = name(after);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            // Not a variable: a group of label_replace's pattern.
            out.extend(["$", name]);
            rest = after;
            continue;
        }
        let filled = value(name).ok_or_else(|| format!("${name} is not known"))?;
        out.push_str(&filled);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The name that follows a `$`, in braces or not, and what follows it.
fn name(text: &str) -> (&str, &str) {
    if let Some((inside, after)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        // A format, as in ${mode:regex}, makes no difference for these values.
        return (inside.split(':').next().unwrap_or(inside), after);
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

#[test]
fn variables_are_filled_in_as_grafana_does() {
    let window = Window { from: 100.0, to: 159.5 };
    for (expr, expected) in [
        ("up", Ok("up")),
        (r#"up{job=~"$job"}"#, Ok(r#"up{job=~".+"}"#)),
        (r#"up{run=~"$run|"}"#, Ok(r#"up{run=~"r1|"}"#)),
        (r#"up{mode=~"${mode:regex}"}[$__range]"#, Ok(r#"up{mode=~".+"}[60s]"#)),
        ("rate(x[$__rate_interval]) * $__range_s", Ok("rate(x[4s]) * 60")),
        ("x[${__interval}]", Ok("x[1s]")),
        (
            r#"label_replace(up, "a", "$1", "b", "(.+)")"#,
            Ok(r#"label_replace(up, "a", "$1", "b", "(.+)")"#),
        ),
        ("up{a=\"$nothing\"}", Err("$nothing is not known".to_owned())),
    ] {
        assert_eq!(filled(expr, window, "r1"), expected.map(str::to_owned), "{expr}");
    }
}
