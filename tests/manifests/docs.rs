//! The page that explains the findings.

use std::{collections::BTreeSet, fs, path::Path};

use websample_manifest::{PAGE, Rule};

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
