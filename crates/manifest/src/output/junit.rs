//! JUnit's XML, which most systems for continuous integration show: a case for each workload, and one
//! for each finding elsewhere.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    super::{finding::Finding, problem::Unusable, report::CheckReport, rule::Severity},
    file, link,
    xml::xml_escaped as escaped,
};

/// The report; with `strict` warnings and what was not judged are failures too.
pub fn junit(report: &CheckReport, strict: bool) -> String {
    let mut cases: BTreeMap<(String, String), Vec<&Finding>> = BTreeMap::new();
    for checked in &report.checked {
        let space = checked.namespace.as_deref();
        cases.entry(case(&checked.file, &checked.kind, space, &checked.name)).or_default();
    }
    for finding in &report.findings {
        let space = finding.namespace.as_deref();
        let case = case(&finding.file, &finding.kind, space, &finding.name);
        cases.entry(case).or_default().push(finding);
    }
    let fails = |finding: &Finding| strict || finding.severity() == Severity::Error;
    let mut text = String::new();
    let (mut tests, mut failures) = (0, 0);
    // Writing to a string cannot fail, here and below.
    for ((file, name), findings) in &cases {
        tests += 1;
        let _ = write!(
            text,
            "    <testcase classname=\"{}\" name=\"{}\">",
            escaped(file),
            escaped(name)
        );
        let (bad, other): (Vec<_>, Vec<_>) = findings.iter().copied().partition(|f| fails(f));
        if !bad.is_empty() {
            failures += 1;
            let rules: Vec<_> = bad.iter().map(|finding| finding.rule.name()).collect();
            let body: String = bad.iter().map(|finding| said(finding)).collect();
            let _ = write!(
                text,
                "\n      <failure message=\"{}\">{}</failure>",
                escaped(&rules.join(", ")),
                escaped(&body)
            );
        }
        if !other.is_empty() {
            let body: String = other.iter().map(|finding| said(finding)).collect();
            let _ = write!(text, "\n      <system-out>{}</system-out>", escaped(&body));
        }
        text.push_str(if findings.is_empty() { "</testcase>\n" } else { "\n    </testcase>\n" });
    }
    for ignored in &report.ignored {
        tests += 1;
        let finding = &ignored.finding;
        let (class, name) =
            case(&finding.file, &finding.kind, finding.namespace.as_deref(), &finding.name);
        let _ = writeln!(
            text,
            "    <testcase classname=\"{}\" name=\"{} {}\"><skipped message=\"{}\"/></testcase>",
            escaped(&class),
            escaped(&name),
            finding.rule,
            escaped(&ignored.reason)
        );
    }
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    suite(&text, tests, failures, report.ignored.len(), &problems)
}

/// What kept the input from being checked.
pub fn junit_problems(unusable: &Unusable) -> String {
    let problems: Vec<_> = unusable.problems.iter().map(ToString::to_string).collect();
    suite("", 0, 0, 0, &problems)
}

fn suite(
    cases: &str,
    tests: usize,
    failures: usize,
    skipped: usize,
    problems: &[String],
) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"websample check\" \
         tests=\"{}\" failures=\"{failures}\" errors=\"{}\" skipped=\"{skipped}\">\n{cases}",
        tests + problems.len(),
        problems.len()
    );
    for problem in problems {
        let _ = writeln!(
            text,
            "    <testcase classname=\"manifests\" name=\"unusable-manifest\"><error message=\"{}\"/></testcase>",
            escaped(problem)
        );
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn case(name: &str, kind: &str, namespace: Option<&str>, object: &str) -> (String, String) {
    let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
    (file(name).to_owned(), format!("{kind} {namespace}{object}"))
}

fn said(finding: &Finding) -> String {
    format!(
        "{} {} (line {}): {}\nfix:\n{}\nsee {}\n",
        finding.severity(),
        finding.rule,
        finding.line,
        finding.message,
        finding.fix,
        link(finding.rule)
    )
}
