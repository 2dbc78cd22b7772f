//! How long things took is recorded, and taken for a rollout that takes as long.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ran, rollout};

const FEW: [&str; 6] = ["--modes", "immediate,drain", "--replicas", "3", "--mix", "60/s new GET /"];

/// Runs it and reads what it has recorded.
fn recorded(directory: &TempDir, name: &str, arguments: &[&str]) -> (Ran, Value) {
    let file = directory.path().join(name);
    let file = file.to_str().expect("text");
    let ran = rollout(&[&FEW[..], arguments, &["--record", file]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("--record: the times of 6 pods that left are in "), "{ran:?}");
    let text = fs::read_to_string(file).expect("it is written");
    (ran, serde_json::from_str(&text).expect("it is JSON"))
}

fn times(record: &Value, name: &str) -> Vec<f64> {
    let times = record["seconds"][name].as_array().expect(name);
    times.iter().map(|time| time.as_f64().expect("a number")).collect()
}

fn lost(ran: &Ran) -> Vec<bool> {
    let report = ran.report();
    let runs = report["runs"].as_array().expect("runs");
    runs.iter().map(|run| run["lost"].as_u64() > Some(0)).collect()
}

#[test]
fn what_was_recorded_comes_back_when_it_is_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let arguments = ["--propagation", "600ms..1400ms", "--seed", "11"];
    let (first, record) = recorded(&directory, "timings.json", &arguments);
    let within = |times: &[f64], from: f64, to: f64| {
        assert!(times.iter().all(|time| (from..to).contains(time)), "{times:?}");
    };
    assert_eq!(record["websample_timings"], 1);
    assert_eq!(record["recorded"]["through"], "service");
    let (remove, add) = (times(&record, "propagation_remove"), times(&record, "propagation_add"));
    // Changes keep their order there: one may wait for the one before.
    within(&remove, 0.6, 2.0);
    within(&add, 0.6, 2.0);
    for name in ["start", "readiness", "termination", "removal"] {
        assert_eq!(times(&record, name).len(), 6, "{name} of {record}");
    }

    let file = directory.path().join("timings.json");
    let file = file.to_str().expect("text");
    let arguments = ["--propagation", file, "--seed", "12"];
    let (again, replayed) = recorded(&directory, "again.json", &arguments);
    assert!(again.err.contains("as recorded in "), "{again:?}");
    // Each time is one that was recorded, and a moment more for whoever carries it out.
    for (name, moment) in [("propagation_remove", 0.2), ("propagation_add", 0.2), ("start", 0.2)] {
        let known = times(&record, name);
        for time in times(&replayed, name) {
            let is_drawn = known.iter().any(|known| (*known..known + moment).contains(&time));
            assert!(is_drawn, "{name} {time} of {known:?}");
        }
    }
    // Nobody is ready, or gone, sooner than anybody was.
    for name in ["readiness", "removal"] {
        assert!(times(&replayed, name)[0] >= times(&record, name)[0] - 0.01, "{name}: {replayed}");
    }
    assert_eq!((lost(&first), lost(&again)), (vec![true, false], vec![true, false]));
}

#[test]
fn a_slow_load_balancer_is_replayed_as_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cloud.json");
    let record = r#"{"websample_timings": 1,
        "recorded": {"on": "eks", "what": ["web"], "unix": 1, "websample": "0", "through": {"url": "http://w/"}},
        "seconds": {"propagation_remove": [8.0, 8.5], "propagation_add": [0.2]}}"#;
    fs::write(&file, record).expect("it is written");
    let arguments = ["--propagation", file.to_str().expect("text"), "--modes", "drain"];
    let few = ["--replicas", "2", "--mix", "60/s new GET /", "--pre-stop", "none"];
    // The drain waits for quiet, 15 s at most: that is enough here.
    let ran = rollout(&[&arguments[..], &few].concat());
    assert_eq!((ran.code, lost(&ran)), (Some(0), vec![false]), "{ran:?}");
    assert!(ran.report()["runs"][0]["rollout_seconds"].as_f64() > Some(8.0), "{ran:?}");
}

#[test]
fn a_file_that_is_no_record_is_told_with_what_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    for (text, words) in [
        ("{}", "is no record of times, as --record writes them"),
        (r#"{"websample_timings": 9}"#, "has version 9 of the format"),
        ("", "is no record of times"),
    ] {
        let file = directory.path().join("bad.json");
        fs::write(&file, text).expect("it is written");
        let ran = rollout(&["--propagation", file.to_str().expect("text")]);
        assert_eq!(ran.code, Some(64), "{ran:?}");
        assert!(ran.err.contains(words), "{ran:?}");
    }
    for arguments in [
        &["--propagation", "missing.json"][..],
        &["--propagation", "timings"],
        &["--record", "nowhere/timings.json"],
    ] {
        let ran = rollout(arguments);
        assert_eq!(ran.code, Some(64), "{ran:?}");
    }
}
