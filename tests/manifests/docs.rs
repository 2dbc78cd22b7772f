//! The page that explains the findings.

use std::{collections::BTreeSet, fs, path::Path};

use humantime::format_duration;
use websample_manifest::{PAGE, Rule, Sender};

/// The page's table of what is in front is the program's own.
#[test]
fn whoever_is_in_front_has_a_row_with_its_number_and_source() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).collect();
    for sender in Sender::ALL {
        let needs = sender.needs();
        let needs =
            needs.map_or("not known".to_owned(), |needs| format_duration(needs).to_string());
        let start = format!("| {} | {needs} |", sender.name());
        let row = rows.iter().find(|row| row.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("no row '{start}'"));
        for source in sender.source().split("; ") {
            assert!(row.contains(source), "{row}: {source}");
        }
    }
}

#[test]
fn every_finding_has_its_section_and_every_section_its_finding() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let documented: BTreeSet<_> = sections.iter().copied().collect();
    assert_eq!(documented.len(), sections.len(), "a section is there twice");
    let rules: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(documented, rules);
    for (rule, text) in page.split("\n### ").skip(1).filter_map(|part| part.split_once('\n')) {
        let rule = Rule::ALL.iter().find(|known| known.name() == rule).unwrap();
        let severity = format!("**{}**", rule.severity());
        assert!(text.contains(&severity), "{rule}: {severity}");
        assert!(text.len() > 100, "{rule}");
    }
}
