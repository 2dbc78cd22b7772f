//! What ends what was lost, and what the manifest has to do with what was seen.

use std::fmt::Write as _;

use websample_manifest::yaml;

use super::html::{Text, count, table};
use crate::{
    advice::{Advice, Judged, Remedy, change, grouped, title},
    saved::Saved,
};

/// The section; nothing where nobody's manifest was looked at.
pub(super) fn advice(reports: &[Saved]) -> String {
    let parts = reports.iter().filter_map(|saved| {
        let advice = saved.report.advice.as_ref()?;
        let title = match saved.label.as_str() {
            "" => String::new(),
            label => format!("<h3>{}</h3>", Text(label)),
        };
        Some(format!("{title}{}", of(advice)))
    });
    let parts: String = parts.collect();
    if parts.is_empty() {
        return parts;
    }
    format!("<section id=advice><h2>What ends it</h2>{parts}</section>")
}

fn of(advice: &Advice) -> String {
    let mut out: String = grouped(&advice.remedies).iter().map(|group| remedy(group)).collect();
    if advice.remedies.is_empty() {
        out.push_str("<p>No request was lost, so there is nothing to end.</p>");
    }
    let rows: Vec<Vec<String>> = advice.findings.iter().map(row).collect();
    if !rows.is_empty() {
        let head = ["finding", "", "object", "what is wrong", "what was seen of it"];
        let caption =
            "What <code>websample check</code> says of the manifest, and what was seen of it";
        let _ = write!(out, "<div id=findings-table>{}</div>", table(caption, &head, &rows));
    }
    for note in &advice.notes {
        let _ = write!(out, "<p>{}.</p>", Text(note));
    }
    out
}

fn remedy(group: &[&Remedy]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let causes = group.iter().map(|remedy| {
        format!("<b>{}</b> <code>{}</code>", count(remedy.count), remedy.cause.name())
    });
    let causes: Vec<_> = causes.collect();
    let words = Text(&first.words).to_string().replace('\n', "<br>");
    let mut out = format!("<p>Against {}: {words}</p>", causes.join(", "));
    for patch in &first.patches {
        let _ = write!(
            out,
            "<p>{}:</p><pre tabindex=0><code>{}</code></pre>",
            Text(title(patch)),
            Text(yaml(&change(patch)))
        );
    }
    out
}

fn row(judged: &Judged) -> Vec<String> {
    let container =
        judged.container.as_ref().map_or_else(String::new, |name| format!(", container {name}"));
    let evidence = Text(&judged.evidence);
    vec![
        format!("<code>{}</code>", Text(&judged.rule)),
        Text(&judged.severity).to_string(),
        Text(format_args!("{}{container}", judged.object)).to_string(),
        Text(&judged.message).to_string(),
        match judged.seen {
            Some(true) => format!("<b>{evidence}</b>"),
            Some(false) => format!("nothing: {evidence}"),
            None => format!("not looked at: {evidence}"),
        },
    ]
}
