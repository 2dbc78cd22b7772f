//! The manifests of `bad/` and `good/`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use websample::known::SampleServer;
use websample_manifest::{self as manifest, CheckReport, Rule, Source, Told};

pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(folder);
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn check(file: &Path) -> (String, CheckReport) {
    let text = fs::read_to_string(file).unwrap();
    let source = Source { name: file.display().to_string(), text: text.clone() };
    let report = manifest::check(&[source], Told::default(), &SampleServer);
    (text, report.unwrap_or_else(|unusable| panic!("{unusable}")))
}

fn found(report: &CheckReport) -> BTreeSet<&'static str> {
    report.findings.iter().map(|finding| finding.rule.name()).collect()
}

/// What the first line of a bad manifest says that is wrong with it.
fn expected(text: &str) -> BTreeSet<&str> {
    let line = text.lines().next().unwrap();
    line.strip_prefix("# expect: ").unwrap().split(", ").collect()
}

#[test]
fn exactly_the_planted_fault_is_found_in_each_bad_manifest() {
    let files = files("bad");
    assert!(files.len() >= 25, "{}", files.len());
    for file in files {
        let (text, report) = check(&file);
        assert_eq!(found(&report), expected(&text), "{}\n{:#?}", file.display(), report.findings);
        assert!(!report.checked.is_empty());
    }
}

#[test]
fn nothing_is_found_in_the_good_ones() {
    let files = files("good");
    assert!(files.len() >= 10, "{}", files.len());
    for file in files {
        let (_, report) = check(&file);
        assert_eq!(report.findings, [], "{}", file.display());
        let serves = |ending: &manifest::Ending| ending.serves == Some(true);
        assert!(
            report.checked.iter().any(|checked| checked.containers.iter().any(serves))
                || file.ends_with("controller-without-traffic.yaml")
                || file.ends_with("operator-with-guarded-metrics.yaml"),
            "{} has no traffic that could be lost",
            file.display()
        );
    }
}

#[test]
fn every_rule_has_a_manifest_that_breaks_it() {
    let broken: BTreeSet<String> = files("bad")
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            expected(&text).into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    // What is only known where somebody tells how long a server drains: see `command`.
    let told = [Rule::GraceTooShort.name()];
    for rule in Rule::ALL {
        assert!(broken.contains(rule.name()) != told.contains(&rule.name()), "{rule}");
    }
}

#[test]
fn every_finding_says_where_why_and_what_instead() {
    for file in files("bad") {
        let (text, report) = check(&file);
        for finding in report.findings {
            let line = text.lines().nth(finding.line - 1).unwrap();
            // The line is one of the object's own: neither a marker nor one of the comments.
            assert!(!line.starts_with('#') && !line.starts_with("---"), "{finding:#?}");
            assert!(finding.message.len() > 40 && !finding.message.ends_with('.'), "{finding:#?}");
            assert!(!finding.fix.text().is_empty(), "{finding:#?}");
            if let Some(container) = &finding.container {
                assert!(finding.message.contains(container.as_str()), "{finding:#?}");
            }
        }
    }
}
