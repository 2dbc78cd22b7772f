//! What a finding says to write instead is written, and the finding is gone; nothing else has come in
//! its place, and everything around it is as it was.

use std::{collections::BTreeSet, fs, path::Path};

use websample::known::SampleServer;
use websample_manifest::{
    self as manifest, CheckReport, Finding, Severity, Source, Told,
    fix::{self, Why},
};

use super::files::files;

/// Rules whose fix is advice: it takes somebody who knows the program, the port or the name.
const ADVICE: &[&str] = &[
    "anti-affinity-blocks-surge",
    "api-refuses",
    "autoscaler-target-missing",
    "autoscalers-overlap",
    "bare-pod",
    "defined-twice",
    "deregistration-too-short",
    "device-blocks-surge",
    "disruption-budgets-overlap",
    "hook-port-not-exposed",
    "hook-refused",
    "ignore-refused",
    "kind-not-judged",
    "no-readiness-gate",
    "not-an-object",
    "not-built",
    "probe-of-udp-port",
    "probe-port-undeclared",
    "proxy-leaves-first",
    "publishes-not-ready",
    "reference-not-judged",
    "route-service-missing",
    "scale-down-delay-too-short",
    "scales-to-zero",
    "selector-mismatch",
    "service-of-several",
    "service-without-pods",
    "services-disagree",
    "settings-refused",
    "shell-as-pid-1",
    "single-attach-volume",
    "traffic-unknown",
    "unknown-field",
    "unknown-port-name",
    // Where it is known what is meant they are edits.
    "delay-too-short",
    "endpoint-race",
    "host-port-blocks-surge",
    "no-pod-left",
    "removed-api",
    "service-port-undeclared",
    "service-port-unknown",
    "single-replica",
];

fn source(file: &Path) -> Vec<Source> {
    vec![Source { name: "x.yaml".to_owned(), text: fs::read_to_string(file).unwrap() }]
}

fn check(sources: &[Source]) -> CheckReport {
    manifest::check(sources, Told::default(), &SampleServer)
        .unwrap_or_else(|unusable| panic!("{unusable}"))
}

fn same(one: &Finding, other: &Finding) -> bool {
    (one.rule, &one.name, &one.container) == (other.rule, &other.name, &other.container)
}

#[test]
fn every_fix_that_is_an_edit_mends_its_finding_and_brings_no_other() {
    let mut mended = BTreeSet::new();
    for file in files("bad") {
        let sources = source(&file);
        let before = check(&sources).findings;
        for finding in &before {
            if !finding.fix.is_edit() {
                assert!(ADVICE.contains(&finding.rule.name()), "{finding:#?}");
                continue;
            }
            let fixed = fix::with(finding, &sources)
                .unwrap_or_else(|| panic!("{}: not made: {finding:#?}", file.display()));
            let after = check(&fixed).findings;
            let text = &fixed[0].text;
            assert!(!after.iter().any(|left| same(left, finding)), "{finding:#?}\n{text}");
            let new = after.iter().find(|left| !before.iter().any(|known| same(left, known)));
            // What was hidden behind it may show now, as long as it is no error.
            assert!(new.is_none_or(|new| new.severity() != Severity::Error), "{new:#?}\n{text}");
            mended.insert(finding.rule.name());
        }
    }
    // Every rule is of one kind or the other, but for those that need to be told of a server.
    let all = manifest::Rule::ALL.iter().map(|rule| rule.name());
    let rest: Vec<_> =
        all.filter(|rule| !mended.contains(rule) && !ADVICE.contains(rule)).collect();
    assert_eq!(rest, ["grace-too-short"]);
}

#[test]
fn all_fixes_together_leave_only_what_takes_somebody() {
    for file in files("bad") {
        let sources = source(&file);
        let before = check(&sources).findings;
        let fixed = fix::fixed(&sources, Told::default(), &SampleServer).unwrap();
        for left in &fixed.left {
            assert_eq!(
                left.why,
                Why::Advice,
                "{}: {left:#?}\n{:#?}",
                file.display(),
                fixed.changed
            );
            let known = before.iter().any(|known| same(known, &left.finding));
            assert!(known || left.finding.severity() == Severity::Warning, "{left:#?}");
        }
        let edits = before.iter().filter(|finding| finding.fix.is_edit()).count();
        assert_eq!(fixed.changed.is_empty(), edits == 0, "{}", file.display());
        // Comments are what shows first that a file was laid out by somebody.
        for changed in &fixed.changed {
            let comments = |text: &str| text.lines().filter(|line| line.contains('#')).count();
            assert!(comments(&changed.after) >= comments(&changed.before), "{}", changed.after);
        }
    }
}

#[test]
fn a_hook_comes_with_the_grace_period_that_it_needs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/manifests/bad/69-no-room-for-a-hook.yaml");
    let sources = source(&file);
    let finding = &check(&sources).findings[0];
    assert!(finding.fix.text().contains("terminationGracePeriodSeconds: 30"), "{finding:#?}");
    let fixed = fix::with(finding, &sources).unwrap();
    assert_eq!(check(&fixed).findings, [], "{}", fixed[0].text);
    let expected = sources[0]
        .text
        .replace("Seconds: 5  # it is quick", "Seconds: 30  # it is quick")
        .replace("Seconds: 2\n", "Seconds: 15\n          lifecycle:\n            preStop:\n              sleep:\n                seconds: 5\n");
    assert_eq!(fixed[0].text.replace("periodSeconds: 15", "periodSeconds: 2"), expected);
}

#[test]
fn another_database_is_no_replica() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/manifests/bad/36-stateful-single-pod.yaml");
    let finding = &check(&source(&file)).findings[0];
    assert!(!finding.fix.is_edit() && !finding.fix.text().contains("replicas: 2"), "{finding:#?}");
}
