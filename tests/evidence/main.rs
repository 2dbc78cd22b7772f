//! What the check of manifests calls an error loses requests: the settings of each bad manifest are rolled
//! out in the local lab, and so are those of the same manifest with its fix. The first loses, the second
//! does not.
//!
//! A manifest does not hold its program: this project's server stands for it, in the mode `graceful` (it
//! stops accepting at SIGTERM and finishes what is in flight, as most programs do) or in that of the
//! manifest, and takes a while to start. Idle connections that are closed under a request are left aside:
//! no setting of a manifest saves them.

mod lab;
mod settings;

use std::{fs, path::Path, thread};

use lab::Rollout;
use settings::Settings;
use websample::known::SampleServer;
use websample_manifest::{Rule, Severity, Source, Told, fix};

/// A rule, the manifest that breaks it, and how many seconds its server takes to start.
const SHOWN: [(&str, &str, u32); 9] = [
    ("no-readiness-probe", "01-no-readiness-probe", 1),
    ("grace-zero", "07-grace-zero", 1),
    ("hook-outlasts-grace", "09-sleep-equals-grace", 1),
    ("hook-without-program", "13-sleep-in-distroless", 1),
    ("hook-tcp-socket", "15-hook-tcp-socket", 1),
    ("exits-at-once", "24-exits-at-once", 1),
    ("strategy-recreate", "33-strategy-recreate", 1),
    // Longer than the old pod's hook: until then that one answers.
    ("no-pod-left", "34-one-replica-unavailable", 8),
    ("no-pod-left", "35-all-may-be-unavailable", 8),
];

/// Errors that a local rollout cannot show, and why.
const NOT_SHOWN: [(&str, &str); 18] = [
    ("api-refuses", "the rollout does not begin"),
    ("autoscaler-target-unknown", "the lab has no autoscaler"),
    ("disruption-budget-refused", "the lab's budget is its own"),
    ("disruption-budgets-overlap", "the lab's budget is its own"),
    ("grace-too-short", "it has to be told how long the server drains"),
    (
        "hook-port-not-exposed",
        "what its hook does is not written; one that fails is shown by the others",
    ),
    ("progress-deadline-too-short", "the rollout does not begin"),
    ("publishes-not-ready", "the lab's Service sends to ready pods only"),
    ("removed-api", "the rollout does not begin"),
    ("route-port-unknown", "the lab has no routes"),
    ("selector-mismatch", "the rollout does not begin"),
    ("server-grace-too-long", "it takes requests that are longer than the grace period"),
    ("service-port-unknown", "no request arrives before or after"),
    ("service-selects-nothing", "no request arrives before or after"),
    ("settings-refused", "the server does not start: tests/rollout/errors.rs"),
    ("surge-and-unavailable-zero", "the rollout does not begin"),
    ("unknown-api", "the rollout does not begin"),
    ("unknown-port-name", "the new pods never become ready, and the rollout does not end"),
];

#[test]
fn every_error_is_shown_or_cannot_be() {
    for rule in Rule::ALL.iter().filter(|rule| rule.severity() == Severity::Error) {
        let shown = SHOWN.iter().any(|(shown, ..)| *shown == rule.name());
        let not = NOT_SHOWN.iter().any(|(not, why)| *not == rule.name() && !why.is_empty());
        assert!(shown != not, "{rule}");
    }
}

/// The manifest, and what is left of it with every fix made.
fn with_fix(rule: &str, name: &str) -> (Settings, Settings) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/bad").join(name);
    let text = fs::read_to_string(file.with_extension("yaml")).unwrap();
    let source = |text: &str| vec![Source { name: "x.yaml".to_owned(), text: text.to_owned() }];
    let fixed = fix::fixed(&source(&text), Told::default(), &SampleServer).unwrap();
    assert!(fixed.mended.iter().any(|finding| finding.rule.name() == rule), "{name}");
    let after = &fixed.changed[0].after;
    (Settings::of(&source(&text)), Settings::of(&source(after)))
}

#[test]
fn what_is_an_error_loses_and_its_fix_does_not() {
    let pairs: Vec<_> = SHOWN
        .into_iter()
        .map(|(rule, name, start)| {
            let (bad, fixed) = with_fix(rule, name);
            (rule, name, bad, fixed, start)
        })
        .collect();
    // They mostly wait: a few at a time are no more than the machine has time for.
    for some in pairs.chunks(5) {
        thread::scope(|scope| {
            let run = |(rule, name, bad, fixed, start)| {
                let of = |settings| scope.spawn(move || Rollout::of(settings, start));
                (rule, name, of(bad), of(fixed))
            };
            let running: Vec<_> = some
                .iter()
                .map(|(rule, name, bad, fixed, start)| run((rule, name, bad, fixed, *start)))
                .collect();
            for (rule, name, bad, fixed) in running {
                let (bad, fixed) = (bad.join().unwrap(), fixed.join().unwrap());
                // What is cut in flight on a kept connection looks like one that was idle: there SIGKILL
                // tells them apart, or that they are many.
                let cut = bad.idle > 0 && (bad.killed > 0 || bad.idle > 5 + fixed.idle);
                assert!(bad.lost > bad.idle || cut, "{rule} of {name} lost nothing: {bad:?}");
                let kept = (fixed.lost - fixed.idle, fixed.killed);
                assert_eq!(kept, (0, 0), "the fix of {rule} of {name}: {fixed:?}");
                assert!(fixed.requests > 300, "{fixed:?}");
            }
        });
    }
}
