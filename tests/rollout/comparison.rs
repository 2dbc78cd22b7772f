//! What the modes lose, and the exit code that says so.

use crate::harness::{rollout, rollout_with};

/// So short that only what the drain itself observes keeps it in service for long enough.
const SHORT: (&str, &str) = ("WEBSAMPLE_DELAY__MIN", "500ms");

/// Every deletion reaches the proxy late enough to be noticed.
const SLOW: [&str; 2] = ["--propagation", "800ms..1s"];

#[test]
fn a_drain_loses_nothing_where_graceful_does_and_only_the_named_mode_counts() {
    let modes = ["--modes", "graceful,drain", "--fail-on-loss", "drain"];
    let ran = rollout_with(&[SHORT], &[&modes[..], &SLOW].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    let [graceful, drain] = report["runs"].as_array().unwrap().as_slice() else {
        panic!("two runs: {ran:?}")
    };
    assert_eq!((&graceful["mode"], &drain["mode"]), (&"graceful".into(), &"drain".into()));
    assert_eq!(drain["lost"], 0, "{}", drain["losses"]);
    assert!(graceful["lost"].as_u64().unwrap() > 0, "{ran:?}");
    assert_eq!(graceful["causes"][0]["cause"], "closed_listener", "{ran:?}");
    assert!(ran.err.contains("lost") && !ran.err.contains("--fail-on-loss"), "{ran:?}");
    assert!(
        ran.out.contains("\ndrain: nothing was lost; every old pod was gone after "),
        "{ran:?}"
    );
    for pod in drain["pods"].as_array().unwrap() {
        assert!(pod["version"] != "v1" || pod["exit"] == 0, "{pod}");
    }
}

#[test]
fn a_loss_of_a_named_mode_is_exit_code_1() {
    let ran =
        rollout(&[&["--modes", "graceful", "--fail-on-loss", "graceful"][..], &SLOW].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lost = ran.report()["runs"][0]["lost"].as_u64().unwrap();
    let said = ran.err.lines().last().unwrap();
    assert_eq!(said, format!("websample: --fail-on-loss: graceful lost {lost}"));
    assert!(
        ran.out.contains("were sent to a closed listener before the proxy's update"),
        "{ran:?}"
    );
}

#[test]
fn conditions_fail_a_result_and_files_for_other_systems_say_which() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("junit.xml");
    let few = ["--replicas", "2", "--mix", "50/s new GET /", "--modes", "immediate,drain"];
    let conditions = "immediate:lost>0,drain:lost>1000,replaced>1h";
    let log = directory.path().join("rollout.sarif");
    let told = [
        ["--fail-on", conditions],
        ["--junit", file.to_str().unwrap()],
        ["--sarif", log.to_str().unwrap()],
    ]
    .concat();
    let ran = rollout_with(&[SHORT], &[&few[..], &SLOW, &told].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lost = ran.report()["runs"][0]["lost"].as_u64().unwrap();
    let said = format!("websample: --fail-on immediate:lost>0: immediate has {lost} of ");
    assert!(ran.err.contains(&said) && !ran.err.contains("--fail-on drain"), "{ran:?}");
    let junit = std::fs::read_to_string(file).unwrap();
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
    assert!(
        junit.contains("name=\"immediate, repeat 0\"") && junit.contains("<failure "),
        "{junit}"
    );
    let log: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(log).unwrap()).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|result| result["ruleId"] == "fail-on"), "{log}");
    // Nothing was told not to lose anything: what was lost is a warning.
    let cause = results.iter().find(|result| result["ruleId"] == "dead_pod").unwrap();
    assert_eq!(cause["level"], "warning");
    let place = &cause["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert!(place.as_str().unwrap().ends_with("report.json"), "{place}");
}

#[test]
fn a_shell_before_a_server_is_told_of() {
    let server = "python3 -m http.server {port} --bind {host}; true";
    let few = ["--replicas", "1", "--mix", "20/s new GET /"];
    let ran = rollout(&[&few[..], &["--", "sh", "-c", server]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = "the command is run by sh, which keeps SIGTERM from python3: write exec before it";
    assert!(ran.err.contains(said), "{ran:?}");
}

#[test]
fn repeats_are_added_up_and_follow_from_seeds_in_a_row() {
    let few = ["--replicas", "1", "--mix", "20/s new GET /", "--pre-stop", "none"];
    let ran =
        rollout(&[&["--modes", "immediate", "--repeat", "2", "--seed", "5"][..], &few].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    let runs = report["runs"].as_array().unwrap();
    let told: Vec<_> = runs.iter().map(|run| (&run["repeat"], &run["seed"])).collect();
    assert_eq!(told, [(&0.into(), &5.into()), (&1.into(), &6.into())]);
    let requests: u64 = runs.iter().map(|run| run["requests"].as_u64().unwrap()).sum();
    let row = ran.out.lines().nth(1).unwrap();
    assert_eq!(row.split_whitespace().nth(2), Some(requests.to_string().as_str()), "{row}");
    assert!(ran.err.contains("1 of 2 done; lost so far: immediate "), "{ran:?}");
}

#[test]
fn single_results_are_written_for_vegeta_when_asked_for() {
    let few = ["--replicas", "1", "--mix", "20/s new GET /", "--pre-stop", "none"];
    let ran = rollout(&[&["--modes", "immediate", "--results", "csv"][..], &few].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let results = ran.file("results-immediate-0.csv");
    let requests = ran.report()["runs"][0]["requests"].as_u64().unwrap();
    assert_eq!(results.lines().count() as u64, requests, "a line a request");
    // Time, status, latency, bytes out and in, error, body, attack, number, method, URL, headers.
    for line in results.lines() {
        assert_eq!(line.split(',').count(), 12, "{line}");
        assert!(line.contains(",immediate,"), "{line}");
    }
}

/// `websample rollout … | head -1`: a reader that has gone does not hide what was lost.
#[test]
fn a_reader_of_the_table_that_has_gone_hides_no_loss() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_websample"))
        .args(["rollout", "--modes", "immediate", "--fail-on-loss", "immediate", "--replicas", "2"])
        .args(["--rate", "200", "--seed", "5", "--out"])
        .arg(directory.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(directory.path().join("report.json").exists());
}
