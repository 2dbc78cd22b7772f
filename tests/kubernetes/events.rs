//! Every way in which pods go that somebody can bring about on a cluster, of real pods.

use std::collections::BTreeSet;

use serde_json::Value;
use websample_lab::{
    cluster::kubernetes::{Permission, for_events},
    disruption::Disruption,
};

use crate::{
    api::{Requested, Server},
    behaviour::Behaviour,
    lab::{Ran, rollout},
    role::permitted,
    rollout::run,
};

const ROLE: &str = include_str!("../../deploy/kubernetes/rollout-events-role.yaml");

fn pods(run: &Value) -> &[Value] {
    run["pods"].as_array().expect("pods")
}

fn deleted(pod: &Value) -> bool {
    let events = pod["events"].as_array().expect("events");
    events.iter().any(|event| event["what"] == "deleted")
}

/// How many pods there were of a version, and how many of them were deleted.
fn counts(run: &Value, version: &str) -> (usize, usize) {
    let of = pods(run).iter().filter(|pod| pod["version"] == version);
    (of.clone().count(), of.filter(|pod| deleted(pod)).count())
}

fn drained(event: &str) -> (Server, Ran) {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let told = ["--modes", "drain", "--rate", "60", "--fail-on-loss", "drain", "--event", event];
    let ran = run(&server, &told);
    (server, ran)
}

#[test]
fn a_drain_loses_nothing_however_its_pods_go() {
    // Pods of v1 and how many of them were deleted, and the same of v2; two are enough.
    for (event, v1, v2) in
        [("restart", (4, 2), (0, 0)), ("scale-in", (2, 1), (0, 0)), ("evict", (4, 2), (0, 0))]
    {
        let (_server, ran) = drained(event);
        assert_eq!(ran.code, Some(0), "{event}: {ran:?}");
        let json = ran.report();
        let run = &json["runs"][0];
        assert_eq!((&run["event"], &run["lost"]), (&event.into(), &0.into()), "{ran:?}");
        assert_eq!((counts(run, "v1"), counts(run, "v2")), (v1, v2), "{event}: {}", run["pods"]);
    }
}

#[test]
fn what_takes_all_pods_away_is_over_when_others_are_there() {
    for (event, v1, v2) in [
        ("delete-all", (4, 2), (0, 0)),
        ("scale-to-zero-and-back", (4, 2), (0, 0)),
        ("recreate", (2, 2), (2, 0)),
    ] {
        let server = Server::start(Behaviour::Real, Behaviour::Real);
        let ran = run(&server, &["--modes", "graceful", "--rate", "20", "--event", event]);
        assert_eq!(ran.code, Some(0), "{event}: {ran:?}");
        let json = ran.report();
        let run = &json["runs"][0];
        assert_eq!((counts(run, "v1"), counts(run, "v2")), (v1, v2), "{event}: {}", run["pods"]);
    }
}

#[test]
fn a_rollback_ends_with_the_version_from_before() {
    let (_server, ran) = drained("rollback");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let json = ran.report();
    let run = &json["runs"][0];
    assert_eq!(run["lost"], 0, "{ran:?}");
    let ((_, gone), (update, undone)) = (counts(run, "v1"), counts(run, "v2"));
    assert!(update >= 1 && update == undone && gone <= 2, "{}", run["pods"]);
    assert_eq!(pods(run).iter().filter(|pod| !deleted(pod)).count(), 2, "{}", run["pods"]);
}

#[test]
fn a_role_of_its_own_permits_what_they_need_and_it_is_asked_for_before_anything_is_made() {
    let needed = for_events(&Disruption::ALL).into_iter();
    let needed: BTreeSet<Requested> = needed
        .map(|Permission { group, resource, verb }| {
            (group.to_owned(), resource.to_owned(), verb.to_owned())
        })
        .collect();
    assert_eq!(permitted(ROLE, "Role"), needed);

    let server = Server::start(Behaviour::Real, Behaviour::Real);
    server.api.forbid("create", "pods/eviction");
    let ran = run(&server, &["--modes", "drain", "--event", "evict"]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    for word in ["create pods/eviction", "rollout-events-role.yaml"] {
        assert!(ran.err.contains(word), "{ran:?}");
    }
    assert!(server.api.requested().is_empty(), "it only asked what it may do");
}

#[test]
fn what_nobody_can_bring_about_from_outside_is_refused_with_its_reason() {
    for event in ["liveness", "crash", "node-shutdown"] {
        let ran = rollout(&["--target", "kubernetes", "--event", event]);
        assert_eq!(ran.code, Some(64), "{ran:?}");
        assert!(ran.err.contains(&format!("--event: {event} is the local target's")), "{ran:?}");
    }
}
