//! GitHub's workflow commands: annotations in the lines of a pull request.

use std::fmt::Write;

use super::super::{
    STANDARD_INPUT,
    problem::{Problem, Unusable},
    report::CheckReport,
    rule::{PAGE, Severity},
};

/// An annotation for each finding. What came through a pipe is in no file of the repository, and
/// shows with the run as a whole.
pub fn github(report: &CheckReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let level = match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let place = (finding.file != STANDARD_INPUT).then_some((&*finding.file, finding.line));
        let message = format!(
            "{} {}: {}\nfix:\n{}\nsee {PAGE}#{}",
            finding.kind,
            finding.name,
            finding.message,
            finding.fix.text(),
            finding.rule
        );
        command(&mut text, level, place, finding.rule.name(), &message);
    }
    problems(&mut text, &report.problems);
    text
}

/// An annotation for each problem.
pub fn github_problems(unusable: &Unusable) -> String {
    let mut text = String::new();
    problems(&mut text, &unusable.problems);
    text
}

fn problems(text: &mut String, problems: &[Problem]) {
    for problem in problems {
        let place = problem
            .line
            .filter(|_| problem.file != STANDARD_INPUT)
            .map(|line| (&*problem.file, line));
        command(text, "error", place, "unusable-manifest", &problem.to_string());
    }
}

fn command(
    text: &mut String,
    level: &str,
    place: Option<(&str, usize)>,
    title: &str,
    message: &str,
) {
    let place = place
        .map_or_else(String::new, |(file, line)| format!("file={},line={line},", property(file)));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "::{level} {place}title={}::{}", property(title), data(message));
}

/// Escapes a command's message as @actions/core does.
fn data(text: &str) -> String {
    let line = |c: char| c != '\n' && c != '\r' && c.is_control();
    let plain: String = text.chars().map(|c| if line(c) { '\u{fffd}' } else { c }).collect();
    plain.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_or_property_is_escaped() {
        let mut text = String::new();
        command(&mut text, "error", Some(("a,b:c.yaml", 7)), "x", "100 % of it:\nnext, line");
        assert_eq!(
            text,
            "::error file=a%2Cb%3Ac.yaml,line=7,title=x::100 %25 of it:%0Anext, line\n"
        );
        text.clear();
        command(&mut text, "warning", None, "x", "y");
        assert_eq!(text, "::warning title=x::y\n");
    }
}
