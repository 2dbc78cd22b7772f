//! A whole rollout, of real pods.

use std::collections::BTreeSet;

use serde_json::Value;
use websample_lab::report::Report;

use crate::{
    api::Server,
    behaviour::Behaviour,
    lab::{Lab, Ran, rollout},
};

pub(crate) fn run(server: &Server, arguments: &[&str]) -> Ran {
    start(server, arguments).end()
}

pub(crate) fn start(server: &Server, arguments: &[&str]) -> Lab {
    let arguments = server.arguments(arguments);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Lab::start(&[], &arguments)
}

fn events(pod: &Value) -> impl Iterator<Item = &str> {
    pod["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| event["what"].as_str().expect("it"))
}

fn of_version<'a>(run: &'a Value, version: &str) -> Vec<&'a Value> {
    let pods = run["pods"].as_array().expect("pods");
    pods.iter().filter(|pod| pod["version"] == version).collect()
}

/// The keys of a document, wherever they are; what maps by a name that the run made up counts as one.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let parent = path.rsplit('/').next().unwrap_or_default();
                let free = ["outcomes", "versions", "lost", "in_flight", "streams", "reached"]
                    .contains(&parent)
                    && !path.ends_with("runs[]/streams[]");
                let name = if free { "*" } else { name.as_str() };
                let path = format!("{path}/{name}");
                found.insert(path.clone());
                keys(value, &path, found);
            }
        }
        Value::Array(list) => {
            for value in list {
                keys(value, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn drain_loses_nothing_and_leaves_nothing() {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let ran = run(&server, &["--modes", "drain", "--rate", "60", "--fail-on-loss", "drain"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let json = ran.report();
    let run = &json["runs"][0];
    assert_eq!((&run["mode"], &run["lost"]), (&"drain".into(), &0.into()), "{ran:?}");
    assert!(run["requests"].as_u64() > Some(300), "{}", run["requests"]);
    // The pods' histories, with what only their own reports can tell.
    let (old, new) = (of_version(run, "v1"), of_version(run, "v2"));
    assert_eq!((old.len(), new.len()), (2, 2), "{ran:?}");
    for pod in old {
        let seen: Vec<_> = events(pod).collect();
        for what in [
            "created",
            "started",
            "ready",
            "endpoint_ready_true",
            "deleted",
            "hook_called",
            "hook_returned",
            "endpoint_ready_false",
            "exited",
            "removed",
        ] {
            assert!(seen.contains(&what), "{what} is not among {seen:?}");
        }
        assert_eq!(pod["exit"], 0);
        assert!(pod["termination_seconds"].is_number(), "{pod}");
    }
    assert_eq!(run["killed"], 0);
    // Requests were answered by both versions, and it is known by which pods.
    let seconds = run["seconds"].as_array().expect("seconds");
    for version in ["v1", "v2"] {
        assert!(seconds.iter().any(|second| second["versions"][version].as_u64() > Some(0)));
    }
    let busy: BTreeSet<_> =
        seconds.iter().filter_map(|s| s["in_flight"].as_object()).flat_map(|m| m.keys()).collect();
    assert!(busy.iter().filter(|pod| pod.starts_with("websample-drain-")).count() >= 2, "{busy:?}");
    // And how well times are known.
    let clock = &run["clock"];
    for name in ["load_uncertainty", "pods_uncertainty"] {
        assert!(clock[name].is_number(), "{clock}");
    }
    assert_eq!(json["environment"]["cluster"]["version"], "v1.36.1");
    assert_eq!(server.api.store.titles(), ["namespaces/websample"], "nothing else is left");
    assert!(ran.file("report.html").contains("drain"));
}

#[test]
fn immediate_loses_requests_and_says_why() {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let arguments =
        ["--modes", "immediate+none", "--rate", "200", "--fail-on-loss", "immediate+none"];
    let ran = run(&server, &arguments);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let run = &ran.report()["runs"][0];
    assert!(run["lost"].as_u64() > Some(0), "{ran:?}");
    let losses = run["losses"].as_array().expect("losses");
    assert_eq!(losses.len() as u64, run["lost"].as_u64().expect("a number"));
    let of = |cause: &str| losses.iter().filter(|loss| loss["cause"] == cause).count();
    // Which pod it was that a new connection did not reach, nobody can tell; that it was dead, is.
    assert!(of("dead_pod") * 2 > losses.len(), "{losses:?}");
    // A kept connection is known to be some pod's.
    let reused: Vec<_> = losses.iter().filter(|loss| loss["outcome"] == "reset_reused").collect();
    assert!(!reused.is_empty() && reused.iter().all(|loss| loss["pod"].is_string()), "{losses:?}");
    for pod in of_version(run, "v1") {
        assert_eq!(pod["exit"], 143, "{pod}");
        assert!(events(pod).any(|what| what == "sigterm"), "{pod}");
    }
    assert_eq!(server.api.store.titles(), ["namespaces/websample"]);
}

#[test]
fn both_targets_write_the_same_report() {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let arguments = ["--modes", "immediate+none", "--replicas", "2", "--rate", "100"];
    let cluster =
        run(&server, &arguments[..2].iter().chain(&arguments[4..]).copied().collect::<Vec<_>>());
    let local = rollout(&arguments);
    let found = [cluster, local].map(|ran| {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let report: Report = serde_json::from_value(ran.report()).expect("a report");
        let (mut found, mut again) = (BTreeSet::new(), BTreeSet::new());
        keys(&ran.report(), "", &mut found);
        // Written again it says the same: nothing in it is foreign to the type.
        keys(&serde_json::to_value(&report).expect("JSON"), "", &mut again);
        assert_eq!(found, again);
        // What only one of them has is a value there, and null in the other.
        found.retain(|key| !key.contains("/cluster/") && !key.contains("/clock/"));
        found
    });
    assert!(found[0].contains("/runs[]/losses[]/cause"), "{:?}", found[0]);
    assert_eq!(found[0], found[1]);
}

#[test]
fn modes_side_by_side_leave_each_other_alone_and_repeats_begin_anew() {
    // One is done long before the other: what it removes then is its own.
    let server = Server::empty(Behaviour::Real, Behaviour::Real);
    let ran = run(
        &server,
        &["--modes", "immediate+none,drain", "--rate", "20", "--repeat", "2", "--results", "csv"],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    let runs = report["runs"].as_array().expect("runs");
    let named: Vec<_> = runs.iter().map(|run| (&run["mode"], &run["repeat"])).collect();
    let expected = [("immediate+none", 0), ("drain", 0), ("immediate+none", 1), ("drain", 1)]
        .map(|(mode, repeat)| (Value::from(mode), Value::from(repeat)));
    assert_eq!(named, expected.iter().map(|(m, r)| (m, r)).collect::<Vec<_>>());
    for (index, run) in runs.iter().enumerate() {
        let pods = run["pods"].as_array().expect("pods");
        assert_eq!(pods.len(), 4, "those of its own: {run}");
        if run["mode"] == "drain" {
            assert_eq!(run["lost"], 0, "{index}: {ran:?}");
        }
        let file = format!(
            "results-{}-{}.csv",
            run["mode"].as_str().expect("a name").replace('+', "-"),
            run["repeat"]
        );
        assert_eq!(Some(ran.file(&file).lines().count() as u64), run["requests"].as_u64());
    }
    assert_eq!(server.api.store.titles(), [""; 0], "the namespace was its own");
}

#[test]
fn from_outside_the_load_goes_to_the_url_and_no_job_is_made() {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let url = format!("http://{}", server.api.service_address());
    let mut lab = start(&server, &["--modes", "graceful", "--rate", "100", "--url", &url]);
    lab.is_rolling_out();
    assert_eq!(server.api.load_processes(), [0; 0]);
    let ran = lab.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    let run = &report["runs"][0];
    assert_eq!(run["clock"]["load_uncertainty"], 0.0, "one clock: {}", run["clock"]);
    assert_eq!(report["environment"]["cluster"]["url"], url);
    for pod in of_version(run, "v1") {
        assert!(events(pod).any(|what| what == "hook_called" || what == "sigterm"), "{pod}");
    }
    let jobs = |(_, resource, _): &(String, String, String)| resource == "jobs";
    assert!(!server.api.requested().iter().any(jobs));
}

#[test]
fn what_sigkill_ends_is_known() {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let ran = run(&server, &["--modes", "ignore", "--grace", "20s", "--rate", "20"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let run = &ran.report()["runs"][0];
    assert_eq!(run["killed"], 2, "{ran:?}");
    for pod in of_version(run, "v1") {
        assert_eq!(pod["exit"], 137, "{pod}");
        assert!(events(pod).any(|what| what == "sigkill"), "{pod}");
    }
}
