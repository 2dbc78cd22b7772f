//! The right sleep, as a table of the workloads that requests come to, and who it is for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    time::Duration,
};

use humantime::format_duration as shown;

use super::super::super::{
    front::{Front, Sender},
    printable,
    report::{CheckReport, Checked},
};

/// What a row is about besides its workloads: how long they go on, how long they should, and for whom.
type Row = (Option<Duration>, Duration, Option<(Duration, Sender)>);

/// Both tables, where something is in front of anything.
pub(super) fn tables(text: &mut String, report: &CheckReport) {
    let mut rows: BTreeMap<Row, Vec<String>> = BTreeMap::new();
    let mut senders: BTreeSet<(Sender, Option<Duration>)> = BTreeSet::new();
    for checked in report.checked.iter().filter(|checked| !checked.in_front.is_empty()) {
        let Some(right) = checked.right_sleep else { continue };
        let fronts = checked.in_front.iter();
        senders.extend(fronts.map(|front| (front.sender, front.needs)));
        rows.entry((checked.goes_on, right, slowest(checked))).or_default().push(title(checked));
    }
    if rows.is_empty() {
        return;
    }
    let width = rows.keys().map(|(now, ..)| duration(*now).len()).max().unwrap_or(0).max(3);
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "The right sleep in a preStop hook, or delay of the server itself:");
    let _ = writeln!(text, "  {:width$}  right  where", "now");
    for ((now, right, slowest), titles) in rows {
        let shown_first: Vec<_> = titles.iter().take(3).map(String::as_str).collect();
        let more = match titles.len() - shown_first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let whom = slowest.map_or_else(String::new, |(needs, sender)| {
            format!(", for {} ({})", sender.name(), shown(needs))
        });
        let (now, right) = (duration(now), shown(right).to_string());
        let _ = writeln!(
            text,
            "  {now:width$}  {right:5}  {}{more}{whom}",
            printable(&shown_first.join(", "))
        );
    }
    let _ = writeln!(text, "How long these go on sending to a pod that is deleted:");
    for (sender, needs) in senders {
        let needs = needs.map_or_else(|| "not known".to_owned(), |needs| shown(needs).to_string());
        let _ = writeln!(text, "  {}: {needs}; {}", sender.name(), sender.why());
        let _ = writeln!(text, "    [{}]", sender.source());
    }
    text.push('\n');
}

fn slowest(checked: &Checked) -> Option<(Duration, Sender)> {
    let fronts = checked.in_front.iter().filter(|front| front.sender.is_waited_for());
    fronts.filter_map(|front: &Front| Some((front.needs?, front.sender))).max()
}

fn title(checked: &Checked) -> String {
    let namespace = checked.namespace.as_ref().map_or_else(String::new, |name| format!("{name}/"));
    format!("{} {namespace}{}", checked.kind, checked.name)
}

fn duration(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "?".to_owned(), |duration| shown(duration).to_string())
}
