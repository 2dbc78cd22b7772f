use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use websample_load::Outcome;

use super::*;
use crate::{
    gate::tests::run as empty,
    losses::{Loss, count},
    timeline::{Conditions, Event, Exit, PodRecord, What},
};

const SCOPE: Scope = Scope { from: Duration::from_secs(1), stuck: false };

/// A Deployment of two pods with this hook and grace period, and a Service that leads to it.
fn manifest(lifecycle: &Value, grace: u32) -> Manifest {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": grace,
                    "containers": [{
                        "name": "app", "image": "shop:v1", "lifecycle": lifecycle,
                        "ports": [{"containerPort": 80}],
                        "readinessProbe": {"tcpSocket": {"port": 80}},
                    }],
                },
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let objects = [&deployment, &service];
    let sources =
        objects.iter().enumerate().map(|(n, object)| Source::object(n.to_string(), object));
    Manifest { sources: sources.collect(), ..Manifest::default() }
}

pub(crate) fn pod(n: u8, events: &[(u64, What)]) -> PodRecord {
    PodRecord {
        name: format!("web-{n}").into(),
        version: "a".into(),
        address: ([10, 0, 0, n], 80).into(),
        events: events
            .iter()
            .map(|(at, what)| Event { at: Duration::from_secs(*at), what: what.clone() })
            .collect(),
    }
}

fn ready() -> What {
    What::EndpointChanged(Conditions { serving: true, terminating: false })
}

/// A pod that was deleted after 10 s and ended so.
fn ended(n: u8, end: &[(u64, What)]) -> PodRecord {
    let begin = [(0, What::Ready), (0, ready()), (10, What::Deleted)];
    let end = end.iter().cloned().chain([(60, What::Removed)]);
    pod(n, &begin.into_iter().chain(end).collect::<Vec<_>>())
}

fn quick(n: u8) -> PodRecord {
    ended(n, &[(10, What::Sigterm), (10, What::Exited(Exit::Signal(15)))])
}

fn killed(n: u8, sigterm: u64) -> PodRecord {
    ended(n, &[(sigterm, What::Sigterm), (40, What::Sigkill), (40, What::Exited(Exit::Signal(9)))])
}

/// A request that was sent and failed so many seconds after the deletion of its pod.
fn loss(cause: Cause, sent: f64, failed: f64) -> Loss {
    Loss {
        at: 10.0 + failed,
        sent: 10.0 + sent,
        stream: "s".into(),
        outcome: Outcome::Refused,
        pod: Some("web-1".into()),
        after_deletion: Some(failed),
        after_sigterm: None,
        routed: None,
        cause,
    }
}

fn run(pods: Vec<PodRecord>, losses: Vec<Loss>) -> RunReport {
    let mut run = empty("web", losses.len() as u64);
    run.killed = pods.iter().filter(|pod| pod.killed()).count();
    run.causes = count(&losses);
    run.outcomes = BTreeMap::new();
    run.latency_ms.p99 = 50.0;
    RunReport { pods, losses, ..run }
}

fn advice(manifest: &Manifest, run: &RunReport) -> Advice {
    Advice::new(manifest, run, SCOPE, &()).expect("it can be checked")
}

fn found<'a>(advice: &'a Advice, rule: &str) -> &'a Judged {
    let found = advice.findings.iter().find(|judged| judged.rule == rule);
    found.unwrap_or_else(|| panic!("no {rule} in {:?}", advice.findings))
}

fn pod_of(patch: &Value) -> &Value {
    &patch["spec"]["template"]["spec"]
}

#[test]
fn a_race_that_lost_requests_is_mended_by_a_hook_that_outlasts_what_was_seen() {
    let slow = [loss(Cause::DeadPod, 0.4, 0.4), loss(Cause::ClosedListener, 6.2, 7.9)];
    let run = run(vec![quick(1), quick(2)], slow.to_vec());
    let advice = advice(&manifest(&Value::Null, 30), &run);
    let race = found(&advice, "endpoint-race");
    assert_eq!(race.seen, Some(true));
    assert!(race.evidence.starts_with("2 of 1000 requests were lost"), "{race:?}");
    assert_eq!(advice.remedies.len(), 2);
    for remedy in &advice.remedies {
        assert_eq!(remedy.mends, ["endpoint-race"]);
        // Requests came 6.2 s after the deletion: 5 s would not have been enough.
        let sleep = &pod_of(&remedy.patches[0])["containers"][0]["lifecycle"]["preStop"];
        assert_eq!(*sleep, json!({"sleep": {"seconds": 10}}));
    }
    assert_eq!(advice.patches, advice.remedies[0].patches);
    let text = text(&advice);
    for words in [
        "Against 1 dead_pod, 1 closed_listener: the smallest change",
        "  Deployment shop/web:\n    spec:\n      template:",
        "warning endpoint-race (app): 2 of 1000 requests",
        "no-disruption-budget (Deployment shop/web): a rollout does not show it",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[test]
fn what_was_killed_is_given_time_where_that_helps() {
    let hook = json!({"preStop": {"exec": {"command": ["sleep", "30"]}}});
    let slow = run(vec![killed(1, 40), killed(2, 40)], vec![loss(Cause::CutAtKill, 28.0, 30.0)]);
    let outlasts = advice(&manifest(&hook, 30), &slow);
    let judged = found(&outlasts, "hook-outlasts-grace");
    assert_eq!(judged.seen, Some(true));
    assert_eq!(
        judged.evidence,
        "2 of 2 pods that ended were killed, and a request that was in flight is lost"
    );
    assert_eq!(pod_of(&outlasts.patches[0]), &json!({"terminationGracePeriodSeconds": 55}));
    // Killed with a request in flight that takes longer than what is left of the grace period.
    let long = run(vec![killed(1, 15)], vec![loss(Cause::CutAtKill, 3.0, 30.0)]);
    let sleeps = json!({"preStop": {"sleep": {"seconds": 5}}});
    let long = advice(&manifest(&sleeps, 30), &long);
    assert_eq!(long.remedies[0].mends, ["grace-too-short"]);
    assert_eq!(pod_of(&long.patches[0]), &json!({"terminationGracePeriodSeconds": 34}));
    // One that goes on whatever it is told is not helped by more of it.
    let ignores = run(vec![killed(1, 10)], vec![loss(Cause::CutAtKill, 29.0, 30.0)]);
    let ignores = advice(&manifest(&Value::Null, 30), &ignores);
    assert!(ignores.remedies[0].patches.is_empty() && ignores.patches.is_empty());
    assert!(ignores.remedies[0].words.contains("went on after SIGTERM"), "{ignores:?}");
}

#[test]
fn a_program_that_ends_with_its_requests_is_held_for_as_long_as_they_take() {
    let run = run(vec![quick(1)], vec![loss(Cause::CutAtExit, -7.5, 0.0)]);
    let advice = advice(&manifest(&Value::Null, 30), &run);
    let sleep = &pod_of(&advice.patches[0])["containers"][0]["lifecycle"]["preStop"];
    // 1.2 s of a kube-proxy and 7.5 s of a request.
    assert_eq!(*sleep, json!({"sleep": {"seconds": 10}}));
}

#[test]
fn what_nothing_was_seen_of_says_so_and_is_in_no_patch() {
    let quiet = run(vec![quick(1), quick(2)], Vec::new());
    let quiet = advice(&manifest(&Value::Null, 30), &quiet);
    let race = found(&quiet, "endpoint-race");
    assert_eq!(race.seen, Some(false), "{race:?}");
    assert!(race.evidence.starts_with("none of 1000 requests was lost"), "{race:?}");
    assert!(quiet.patches.is_empty() && quiet.remedies.is_empty());
    let unasked = RunReport { requests: 0, ..run(vec![quick(1)], Vec::new()) };
    let unasked = advice(&manifest(&Value::Null, 30), &unasked);
    assert_eq!(found(&unasked, "endpoint-race").seen, None);
}

#[test]
fn what_no_manifest_ends_is_told_in_words() {
    for (cause, words) in [
        (Cause::IdleClosed, "no change of the manifest ends it"),
        (Cause::Crash, "ended by itself"),
        (Cause::TooSlow, "no answer came in time"),
    ] {
        let run = run(vec![quick(1)], vec![loss(cause, 0.0, 0.0)]);
        let advice = advice(&manifest(&Value::Null, 30), &run);
        assert!(advice.remedies[0].patches.is_empty(), "{advice:?}");
        assert!(advice.remedies[0].words.contains(words), "{advice:?}");
    }
}

#[test]
fn every_rule_and_every_cause_has_something_to_say() {
    let run = run(vec![quick(1)], vec![loss(Cause::DeadPod, 0.0, 0.0)]);
    let facts = Facts::of(&run, SCOPE);
    for rule in Rule::ALL {
        assert!(!evidence(*rule, &facts).words.is_empty(), "{rule}");
    }
    for cause in Cause::ALL {
        let run = self::run(vec![quick(1)], vec![loss(cause, 0.0, 0.0)]);
        let advice = advice(&manifest(&Value::Null, 30), &run);
        assert!(!advice.remedies[0].words.is_empty(), "{cause:?}");
    }
}

#[test]
fn the_fewest_ready_pods_are_counted() {
    let gap = vec![
        ended(1, &[(10, What::Exited(Exit::Code(0)))]),
        pod(2, &[(0, What::Ready), (0, ready())]),
        pod(3, &[(5, What::Ready)]),
    ];
    let run = run(gap, Vec::new());
    assert_eq!(Facts::of(&run, SCOPE).fewest_ready(), (2, 2));
    let few = self::run(vec![quick(1), pod(2, &[(12, What::Ready)])], Vec::new());
    assert_eq!(Facts::of(&few, SCOPE).fewest_ready(), (1, 0));
}
