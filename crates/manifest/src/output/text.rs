//! For eyes.

mod in_front;

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
};

use humantime::format_duration as shown;

use super::{
    super::{
        finding::Finding,
        printable,
        report::{CheckReport, Checked, Ending, Replacing},
        rule::{Rule, Severity},
    },
    file, link,
};

/// The report, object by object, with a verdict at the end; in colour if asked.
pub fn text(report: &CheckReport, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    let mut explained = Explained::default();
    let mut by_object: HashMap<_, Vec<&Finding>> = HashMap::new();
    for finding in &report.findings {
        let object = (&finding.file, &finding.kind, &finding.namespace, &finding.name);
        by_object.entry(object).or_default().push(finding);
    }
    for checked in &report.checked {
        let object = (&checked.file, &checked.kind, &checked.namespace, &checked.name);
        let own = by_object.remove(&object).unwrap_or_default();
        workload(&mut text, checked, &own, &mut explained, paint);
    }
    // Of Services, budgets, objects of old versions.
    let mut heading = String::new();
    for finding in &report.findings {
        let object = (&finding.file, &finding.kind, &finding.namespace, &finding.name);
        if !by_object.contains_key(&object) {
            continue;
        }
        let title =
            title(&finding.file, &finding.kind, finding.namespace.as_deref(), &finding.name);
        if heading != title {
            let _ = writeln!(text, "{}", paint.bold(&title));
            heading = title;
        }
        entry(&mut text, finding, &mut explained, paint);
        text.push('\n');
    }
    in_front::tables(&mut text, report);
    if !report.skipped.is_empty() {
        let kinds: Vec<_> = report
            .skipped
            .iter()
            .map(|(kind, count)| format!("{count} {}", printable(kind)))
            .collect();
        let _ = writeln!(text, "Not looked at: {}.", kinds.join(", "));
    }
    ignored(&mut text, report);
    let _ = writeln!(text, "{}", verdict(report));
    text
}

fn title(place: &str, kind: &str, namespace: Option<&str>, name: &str) -> String {
    let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
    printable(&format!("{kind} {namespace}{name} ({})", file(place)))
}

// Writing to a string cannot fail, here and below.
fn workload(
    text: &mut String,
    checked: &Checked,
    findings: &[&Finding],
    explained: &mut Explained,
    paint: Paint,
) {
    let heading = title(&checked.file, &checked.kind, checked.namespace.as_deref(), &checked.name);
    let _ = writeln!(text, "{}", paint.bold(&heading));
    let replicas = match checked.replicas {
        None => "a pod on every node".to_owned(),
        Some(1) => "1 replica".to_owned(),
        Some(replicas) => format!("{replicas} replicas"),
    };
    let replacing = match checked.replacing {
        Replacing::Rolling { fewest, most } => {
            format!(
                "in a rollout at least {fewest} available and at most {most} beside those that leave"
            )
        }
        Replacing::Recreate => "in a rollout none".to_owned(),
        Replacing::Switched { after } => {
            format!("traffic is switched to new ones, and the old go {} later", shown(after))
        }
        Replacing::Never => "nothing replaces it".to_owned(),
        Replacing::Unchecked => "how they are replaced is not checked".to_owned(),
    };
    let _ = writeln!(text, "  {replicas}, {replacing}");
    for ending in &checked.containers {
        let _ = writeln!(text, "  {}", printable(&budget(ending)));
    }
    for finding in findings {
        entry(text, finding, explained, paint);
    }
    text.push('\n');
}

/// How a container ends, as one line.
fn budget(ending: &Ending) -> String {
    let mut parts = vec![ending.hook.clone()];
    match ending.delay {
        Some((min, max)) if min == max && min.is_zero() => {
            parts.push("accepts nothing after SIGTERM".to_owned());
        }
        // Only what ignores SIGTERM has no longest delay.
        Some((min, max)) if min >= max => {
            parts.push(format!("goes on accepting for {}", shown(min)));
        }
        Some((min, max)) => {
            parts.push(format!("goes on accepting for {} to {}", shown(min), shown(max)));
        }
        None if ending.serves == Some(true) => {
            parts.push("nothing known of a delay after SIGTERM".to_owned());
        }
        None => {}
    }
    let before =
        ending.hook_takes.zip(Some(ending.delay.map_or_else(Default::default, |(_, max)| max)));
    match (ending.drain, before) {
        (Some(drain), _) if !drain.is_zero() => {
            parts.push(format!("up to {} to finish", shown(drain)));
        }
        (None, Some((hook, delay))) => {
            let left = ending.grace.saturating_sub(hook + delay);
            parts.push(format!("{} left to finish", shown(left)));
        }
        _ => {}
    }
    parts.push(format!("SIGKILL at {}", shown(ending.grace)));
    let serves = match ending.serves {
        Some(true) => "",
        Some(false) => " (no requests)",
        None => " (whether requests come is not known)",
    };
    format!("{}{serves}: {}", ending.container, parts.join(", "))
}

/// What has been said already: a rule is explained once, and a repeat names who else it is about.
#[derive(Default)]
struct Explained(HashSet<(Rule, String)>);

impl Explained {
    /// Whether this has not been said of anybody yet.
    fn is_new(&mut self, finding: &Finding) -> bool {
        let mut said = finding.message.clone();
        for name in [finding.container.as_deref(), Some(&finding.name)].into_iter().flatten() {
            said = said.replace(name, "…");
        }
        self.0.insert((finding.rule, said))
    }
}

fn entry(text: &mut String, finding: &Finding, explained: &mut Explained, paint: Paint) {
    let severity = paint.severity(finding.severity());
    let place = format!(
        "  {severity} {} ({}:{})",
        paint.bold(finding.rule.name()),
        printable(file(&finding.file)),
        finding.line
    );
    if !explained.is_new(finding) {
        let whom = finding
            .container
            .as_ref()
            .map_or_else(String::new, |container| printable(&format!(" container {container}")));
        let _ = writeln!(text, "{place}:{whom} as above");
        return;
    }
    let _ = writeln!(text, "{place}");
    let _ = writeln!(text, "    {}", printable(&finding.message));
    for (index, line) in finding.fix.text().lines().enumerate() {
        let lead = if index == 0 { "fix:" } else { "    " };
        let _ = writeln!(text, "    {lead} {}", printable(line));
    }
    let _ = writeln!(text, "    see {}", link(finding.rule));
}

/// What somebody lives with, and why.
fn ignored(text: &mut String, report: &CheckReport) {
    if report.ignored.is_empty() {
        return;
    }
    text.push_str("Ignored, each for its reason:\n");
    for ignored in &report.ignored {
        let finding = &ignored.finding;
        let title =
            title(&finding.file, &finding.kind, finding.namespace.as_deref(), &finding.name);
        let _ = writeln!(text, "  {} of {title}: {}", finding.rule, printable(&ignored.reason));
    }
}

fn verdict(report: &CheckReport) -> String {
    let counted =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let workloads = counted(report.checked.len(), "workload");
    let notes = report.count(Severity::Note);
    let unjudged = match notes {
        0 => String::new(),
        notes => format!(
            " {} not judged (see the notes): what is lost there is not known.",
            match notes {
                1 => "1 thing was".to_owned(),
                notes => format!("{notes} things were"),
            }
        ),
    };
    let found = match (report.count(Severity::Error), report.count(Severity::Warning)) {
        (0, 0) if !report.ignored.is_empty() => {
            format!("Nothing found in {workloads} besides what is ignored.")
        }
        (0, 0) if notes > 0 => format!("Nothing found in {workloads}, as far as they were judged."),
        (0, 0) if !report.serves() => format!(
            "Nothing found in {workloads}, and no requests come there, as far as a manifest can tell."
        ),
        (0, 0) => format!(
            "Nothing found in {workloads}: as far as a manifest can tell, a rollout loses nothing."
        ),
        (0, warnings) => format!(
            "{} in {workloads}: a rollout may lose requests, or something else may go wrong with it.",
            counted(warnings, "warning")
        ),
        (errors, warnings) => format!(
            "{}, {} in {workloads}: a rollout loses requests, does not end, or does not begin.",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    };
    format!("{found}{unjudged}")
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn severity(self, severity: Severity) -> String {
        let code = match severity {
            Severity::Error => "31",
            Severity::Warning => "33",
            Severity::Note => "36",
        };
        self.with(code, &format!("{severity:7}"))
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
