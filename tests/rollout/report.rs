//! The table for people and `report.json` for programs.

use std::collections::HashMap;

use serde_json::Value;

use crate::harness::{Ran, rollout};

const QUICK: [&str; 8] =
    ["--modes", "immediate", "--pre-stop", "none", "--replicas", "2", "--mix", MIX];
const MIX: &str = "40/s new GET /, 20/s keep-alive POST /echo body=64";

fn run(seed: &str) -> Ran {
    let ran = rollout(&[&QUICK[..], &["--seed", seed]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a count: {value}"))
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a time: {value}"))
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(number).sum()
}

#[test]
fn the_table_goes_to_standard_output_and_the_progress_to_standard_error() {
    let ran = run("1");
    let lines: Vec<_> = ran.out.lines().collect();
    let [header, row, empty, sentence, gap, paths @ ..] = lines.as_slice() else {
        panic!("a header, a row, a sentence, paths: {ran:?}")
    };
    let columns = ["mode", "lost", "of", "share", "at most", "replaced in", "killed", "p99", "why"];
    let mut rest = *header;
    for column in columns {
        rest = rest.split_once(column).unwrap_or_else(|| panic!("{column} in {header}")).1;
    }
    assert!(row.starts_with("immediate "), "{row}");
    assert!(sentence.starts_with("immediate: ") && sentence.ends_with('.'), "{sentence}");
    assert_eq!((*empty, *gap), ("", ""));
    assert_eq!(paths, ["websample-rollout/report.json", "websample-rollout/report.html"]);
    assert!(ran.report_file().is_file() && ran.report_file().with_extension("html").is_file());

    let first = ran.err.lines().next().unwrap();
    assert_eq!(first, "2 replicas, proxy; 60 requests/s to each of: immediate; seed 1");
    assert!(ran.err.lines().skip(1).all(|line| line.contains(" s  immediate  ")), "{}", ran.err);
}

#[test]
fn the_report_has_its_documented_members_and_they_add_up() {
    let ran = run("2");
    let report = ran.report();
    let [run] = report["runs"].as_array().unwrap().as_slice() else { panic!("one run: {ran:?}") };
    assert_eq!(run["mode"], "immediate");
    assert_eq!((number(&run["repeat"]), number(&run["seed"])), (0, 2));

    let (requests, lost) = (number(&run["requests"]), number(&run["lost"]));
    assert!(lost > 0, "{ran:?}");
    assert_eq!(sum(&run["outcomes"]), requests);
    assert_eq!(sum(&run["outcomes"]) - number(&run["outcomes"]["ok"]), lost);
    let known =
        ["ok", "refused", "connect_timeout", "reset", "reset_reused", "truncated", "timeout"];
    for outcome in run["outcomes"].as_object().unwrap().keys() {
        assert!(known.contains(&outcome.as_str()) || outcome.starts_with("status_"), "{outcome}");
    }
    assert!(number(&run["lost_with_retries"]) <= lost);
    for member in ["requests", "lost"] {
        let streams = run["streams"].as_array().unwrap();
        let added: u64 = streams.iter().map(|stream| number(&stream[member])).sum();
        assert_eq!(added, number(&run[member]), "{member}");
    }
    assert_eq!(run["losses"].as_array().unwrap().len() as u64, lost);
    let causes = run["causes"].as_array().unwrap();
    assert_eq!(causes.iter().map(|cause| number(&cause["count"])).sum::<u64>(), lost);
    let ended = run["seconds"].as_array().unwrap().iter();
    assert_eq!(ended.map(|second| sum(&second["lost"])).sum::<u64>(), lost);

    let latency = ["p50", "p90", "p95", "p99", "max"].map(|q| seconds(&run["latency_ms"][q]));
    assert!(latency.is_sorted() && latency[0] > 0.0, "{latency:?}");
    assert_eq!(number(&run["killed"]), 0);
    pods(run);

    let environment = &report["environment"];
    assert_eq!(environment["mix"], MIX);
    assert_eq!(
        (&environment["replicas"], &environment["propagation"]),
        (&2.into(), &"proxy".into())
    );
    let command: Vec<_> = environment["command"].as_array().unwrap().iter().collect();
    assert!(command.iter().any(|part| **part == "--seed"), "{command:?}");
}

/// Two pods of each version, each with a history that makes sense.
fn pods(run: &Value) {
    let pods = run["pods"].as_array().unwrap();
    let (began, took) = (seconds(&run["rollout_began"]), seconds(&run["rollout_seconds"]));
    let mut versions: HashMap<&str, usize> = HashMap::new();
    for pod in pods {
        let version = pod["version"].as_str().unwrap();
        *versions.entry(version).or_default() += 1;
        assert!(
            pod["name"].as_str().unwrap().starts_with(&format!("websample-{version}-")),
            "{pod}"
        );
        let events = pod["events"].as_array().unwrap();
        let times: Vec<_> = events.iter().map(|event| seconds(&event["at"])).collect();
        assert!(times.is_sorted() && times[0] >= 0.0, "{pod}");
        let at = |what: &str| {
            let event = events.iter().find(|event| event["what"] == what);
            event.map_or_else(|| panic!("no {what}: {pod}"), |event| seconds(&event["at"]))
        };
        assert!(at("created") < at("started") && at("started") < at("ready"), "{pod}");
        if version == "v2" {
            assert_eq!((&pod["exit"], &pod["termination_seconds"]), (&Value::Null, &Value::Null));
            continue;
        }
        assert_eq!(pod["exit"], 143, "{pod}");
        assert!(began <= at("deleted") && at("deleted") < at("sigterm"), "{pod}");
        assert!(at("sigterm") <= at("exited") && at("exited") < at("removed"), "{pod}");
        let termination = seconds(&pod["termination_seconds"]);
        assert!((termination - (at("removed") - at("deleted"))).abs() < 0.002, "{pod}");
        assert!(at("removed") <= began + took, "{pod}");
    }
    assert_eq!(versions, HashMap::from([("v1", 2), ("v2", 2)]));
}

#[test]
fn a_seed_decides_names_and_delays() {
    let delays = |ran: &Ran| -> Vec<(String, f64)> {
        let report = ran.report();
        let pods = report["runs"][0]["pods"].as_array().unwrap().iter();
        pods.map(|pod| {
            let events = pod["events"].as_array().unwrap();
            let at = |what| seconds(&events.iter().find(|e| e["what"] == what).unwrap()["at"]);
            (pod["name"].as_str().unwrap().to_owned(), at("started") - at("created"))
        })
        .collect()
    };
    let [one, same, other] = std::thread::scope(|scope| {
        let runs = ["3", "3", "4"].map(|seed| scope.spawn(move || run(seed)));
        runs.map(|run| delays(&run.join().unwrap()))
    });
    let names =
        |pods: &[(String, f64)]| pods.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&same));
    assert!(names(&one).iter().all(|name| !names(&other).contains(name)), "{one:?} {other:?}");
    // Half of the delays at least are on time, however busy the machine is.
    let mut differences: Vec<_> = one.iter().zip(&same).map(|(a, b)| (a.1 - b.1).abs()).collect();
    differences.sort_by(f64::total_cmp);
    assert!(differences[1] < 0.05, "{one:?} {same:?}");
}
