//! The command: what it prints where, and how it exits.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `websample check` in the folder of the manifests, with this on standard input, and with
/// an environment that it must not mind.
pub(crate) fn check(arguments: &[&str], input: &str) -> Ran {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    check_in(&folder, arguments, input)
}

/// The same in another folder.
pub(crate) fn check_in(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_websample"))
        .arg("check")
        .args(arguments)
        .env_clear()
        .env("WEBSAMPLE_MODE", "immediate")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses its arguments reads no input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn manifest(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    fs::read_to_string(folder.join(file)).unwrap()
}

const NO_PROBE: &str = "bad/01-no-readiness-probe.yaml";
const RACE: &str = "bad/03-endpoint-race.yaml";
const GOOD: &str = "good/podinfo.yaml";
const UNKNOWN: &str = "bad/64-traffic-unknown.yaml";

#[test]
fn errors_exit_with_1_and_warnings_with_0_unless_strict() {
    for (arguments, code) in [
        (&["--manifest", NO_PROBE][..], 1),
        (&["--manifest", RACE], 0),
        (&["--manifest", RACE, "--strict"], 1),
        (&["--manifest", GOOD, "--strict"], 0),
        (&["--manifest", UNKNOWN], 0),
        (&["--manifest", UNKNOWN, "--strict"], 1),
        (&["--manifest", GOOD, "--manifest", NO_PROBE], 1),
    ] {
        let ran = check(arguments, "");
        assert_eq!(ran.code, Some(code), "{arguments:?} {} {}", ran.out, ran.err);
        assert!(ran.err.is_empty(), "{}", ran.err);
    }
}

#[test]
fn the_text_says_what_was_checked_what_is_wrong_and_what_would_be_right() {
    let ran = check(&["--manifest", NO_PROBE], "");
    for expected in [
        "Deployment shop/checkout (bad/01-no-readiness-probe.yaml)",
        "3 replicas, in a rollout at least 3 available and at most 4 beside those that leave",
        "checkout: hook sleeps 10s, nothing known of a delay after SIGTERM, 20s left to finish, \
         SIGKILL at 30s",
        "error   no-readiness-probe (bad/01-no-readiness-probe.yaml:21)",
        "container checkout has no readiness probe",
        "fix: readinessProbe:",
        "see docs/check.md#no-readiness-probe",
        "1 error, 0 warnings in 1 workload: a rollout loses requests",
    ] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
    assert!(!ran.out.contains('\x1b'), "colours in a pipe: {}", ran.out);
}

#[test]
fn nothing_found_still_shows_the_budget() {
    let ran = check(&["--manifest", "-"], &manifest("good/websample-drain.json"));
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    for expected in [
        "Deployment default/websample (standard input)",
        "hook calls /prestop, goes on accepting for 6s to 15s, up to 28s to finish, SIGKILL at 45s",
        "Nothing found in 1 workload",
    ] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
}

#[test]
fn where_nothing_was_judged_nothing_is_promised() {
    for (file, verdict) in [
        (
            UNKNOWN,
            "Nothing found in 1 workload, as far as they were judged. 1 thing was not judged",
        ),
        ("bad/65-kind-not-judged.yaml", "1 thing was not judged (see the notes)"),
        ("bad/63-unknown-api.yaml", "1 error, 0 warnings"),
        ("good/controller-without-traffic.yaml", "and no requests come there"),
    ] {
        let ran = check(&["--manifest", file], "");
        assert!(ran.out.contains(verdict), "{file}: {}", ran.out);
        assert!(!ran.out.contains("loses nothing"), "{file}: {}", ran.out);
    }
    let ran = check(&["--manifest", UNKNOWN], "");
    assert!(ran.out.contains("ledger (whether requests come is not known): "), "{}", ran.out);
    let ran = check(&["--manifest", UNKNOWN, "--output", "json"], "");
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&document["notes"], &document["ok"]), (&1.into(), &true.into()));
    assert_eq!(document["checked"][0]["containers"][0]["serves"], Value::Null);
    let ran = check(&["--manifest", UNKNOWN, "--output", "github"], "");
    assert!(ran.out.starts_with("::notice file="), "{}", ran.out);
}

#[test]
fn json_is_one_document() {
    let ran = check(&["--manifest", "-", "--output", "json"], &manifest(NO_PROBE));
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["errors"], 1);
    assert_eq!(document["warnings"], 0);
    let finding = &document["findings"][0];
    for (key, value) in [
        ("rule", "no-readiness-probe"),
        ("severity", "error"),
        ("file", "-"),
        ("kind", "Deployment"),
        ("namespace", "shop"),
        ("name", "checkout"),
        ("container", "checkout"),
        ("docs", "docs/check.md#no-readiness-probe"),
    ] {
        assert_eq!(finding[key], value, "{finding:#}");
    }
    assert_eq!(finding["line"], 21);
    let container = &document["checked"][0]["containers"][0];
    assert_eq!(container["hook_seconds"], 10.0);
    assert_eq!(container["grace_seconds"], 30.0);
    assert_eq!(container["drain_seconds"], Value::Null);
    assert_eq!(document["checked"][0]["fewest_available"], 3);
}

#[test]
fn github_gets_annotations_with_file_and_line() {
    let ran = check(&["--manifest", NO_PROBE, "--manifest", RACE, "--output", "github"], "");
    assert_eq!(ran.code, Some(1));
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with(
            "::error file=bad/01-no-readiness-probe.yaml,line=21,title=no-readiness-probe::Deployment \
             checkout: container checkout has no readiness probe"
        ),
        "{}",
        lines[0]
    );
    assert!(lines[1].starts_with("::warning file=bad/03-endpoint-race.yaml,line="), "{}", lines[1]);
    // What comes through a pipe is in no file of the repository.
    let ran = check(&["--manifest", "-", "--output", "github"], &manifest(RACE));
    assert!(ran.out.starts_with("::warning title=endpoint-race::"), "{}", ran.out);
}

#[test]
fn input_that_cannot_be_checked_exits_with_64_in_every_format() {
    let broken = "apiVersion: apps/v1\nkind: Deployment\nspec: [\n";
    for (arguments, input, problem) in [
        (&["--manifest", "-"][..], "", "standard input: there is no Deployment"),
        (&["--manifest", "-"], broken, "standard input:"),
        (&["--manifest", "missing.yaml"], "", "missing.yaml: it cannot be read"),
        (&["--manifest", "-", "--manifest", "-"], "", "it was given twice"),
        (&["--manifest", "-"], "resources: [deployment.yaml]\n", "kustomize build DIR"),
    ] {
        let ran = check(arguments, input);
        assert_eq!(ran.code, Some(64), "{} {}", ran.out, ran.err);
        assert!(ran.out.is_empty() && ran.err.contains(problem), "{problem}\n{}", ran.err);
    }
    let json = check(&["--manifest", "-", "--output", "json"], broken);
    let document: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &document["ok"]), (Some(64), &Value::Bool(false)));
    assert_eq!(document["problems"][0]["document"], 1);
    assert!(document["problems"][0]["line"].as_u64().is_some_and(|line| line >= 3), "{document}");
    let github = check(&["--manifest", "-", "--output", "github"], broken);
    assert_eq!(github.code, Some(64));
    assert!(github.out.starts_with("::error title=unusable-manifest::"), "{}", github.out);
}

#[test]
fn a_budget_is_judged_with_all_its_workloads_and_names_them() {
    let ran = check(&["--manifest", "bad/70-one-budget-for-two.yaml"], "");
    let expected =
        "with minAvailable 4 none of the 4 pods of Deployment cart, Deployment till may be evicted";
    assert!(ran.out.contains(expected), "{}", ran.out);
    // One that grows is held up for as long as it is small.
    let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: menu }\nspec: \
                  { minReplicas: 3, maxReplicas: 9, scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, \
                  name: menu } }\n";
    let text = manifest("bad/71-budget-without-bounds.yaml");
    let text = text.replace(
        "kind: PodDisruptionBudget\nmetadata: { name: menu }\nspec:\n",
        "kind: PodDisruptionBudget\nmetadata: { name: menu }\nspec:\n  minAvailable: 3\n",
    );
    let ran = check(&["--manifest", "-"], &format!("{text}{scaler}"));
    assert!(ran.out.contains("evicted while the autoscaler keeps to minReplicas"), "{}", ran.out);
}

#[test]
fn of_requests_is_spoken_only_where_there_are_some() {
    for file in ["bad/62-worker.yaml", "bad/82-shell-of-a-worker.yaml"] {
        let ran = check(&["--manifest", file], "");
        let findings: Vec<_> = ran
            .out
            .lines()
            .filter(|line| line.contains("PID 1") || line.contains("is 0"))
            .collect();
        assert!(!findings.is_empty(), "{}", ran.out);
        assert!(findings.iter().all(|line| !line.contains("request")), "{findings:#?}");
    }
}

#[test]
fn what_cannot_be_read_does_not_hide_what_was_found() {
    let values = "image:\n  tag: v1\n---\n";
    let foreign = check(&["--manifest", "-"], &format!("{values}{}", manifest(NO_PROBE)));
    assert_eq!(foreign.code, Some(1), "{} {}", foreign.out, foreign.err);
    assert!(foreign.out.contains("note    not-an-object (standard input:1)"), "{}", foreign.out);
    let broken = format!("{}---\nname: {{{{ .Values.x }}}}\n", manifest(NO_PROBE));
    for format in ["text", "json", "github"] {
        let ran = check(&["--manifest", "-", "--output", format], &broken);
        assert_eq!(ran.code, Some(64), "{} {}", ran.out, ran.err);
        assert!(ran.out.contains("no-readiness-probe"), "{}", ran.out);
        assert!(
            ran.err.contains("a template that nobody has rendered yet: {{ .Values.x }}"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn what_is_told_of_a_server_is_taken_into_account() {
    let rules = |arguments: &[&str]| -> Vec<String> {
        let ran = check(&[&["--manifest", RACE, "--output", "json"], arguments].concat(), "");
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        let findings = document["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
    };
    // The readiness probe of that server is asked every 2 s and fails after three times.
    assert_eq!(rules(&[]), ["endpoint-race"]);
    assert_eq!(rules(&["--delay", "10s"]), [""; 0]);
    assert_eq!(rules(&["--delay", "5s"]), ["probe-outlasts-delay"]);
    assert_eq!(rules(&["--delay", "0s"]), ["endpoint-race"]);
    assert_eq!(rules(&["--delay", "1s"]), ["delay-too-short", "probe-outlasts-delay"]);
    assert_eq!(rules(&["--delay", "10s", "--drain", "20s"]), [""; 0]);
    assert_eq!(rules(&["--delay", "10s", "--drain", "21s"]), ["grace-too-short"]);
    assert_eq!(rules(&["--delay", "26s"]), ["no-time-to-drain"]);
}

#[test]
fn flags_that_make_no_sense_together_are_refused() {
    for (arguments, problem) in [
        (
            &["--manifest", GOOD, "--mode", "drain"][..],
            "'--manifest <FILE>' cannot be used with '--mode",
        ),
        (&["--delay", "5s"], "--manifest <FILE>"),
        (&["--strict"], "--manifest <FILE>"),
        (&["--output", "github"], "--output github is for manifests; name a FILE"),
        (&["--output", "sarif"], "--output sarif is for manifests; name a FILE"),
        (&["-", "--in-place"], "what comes through a pipe cannot be mended"),
        (&[GOOD, "--fix", "x", "--in-place"], "cannot be used with"),
        (&[GOOD, "--ignore", "single-replica"], "ignored without a reason"),
        (&[GOOD, "--ignore", "no-such: x"], "'no-such' is no rule"),
        (&["--manifest", GOOD, "--delay", "5"], "'--delay <DURATION>'"),
    ] {
        let ran = check(arguments, "");
        assert_eq!(ran.code, Some(64), "{arguments:?} {} {}", ran.out, ran.err);
        assert!(ran.err.contains(problem), "{problem}\n{}", ran.err);
    }
}

#[test]
fn names_cannot_drive_a_terminal_or_forge_an_annotation() {
    let hostile = manifest(NO_PROBE).replace("name: checkout", "name: \"a\\e[31m\\n::error::b\"");
    let text = check(&["--manifest", "-"], &hostile);
    assert!(!text.out.contains('\x1b'), "{}", text.out);
    assert!(!text.out.lines().any(|line| line.starts_with("::")), "{}", text.out);
    let github = check(&["--manifest", "-", "--output", "github"], &hostile);
    assert!(github.out.lines().all(|line| line.starts_with("::error title=")), "{}", github.out);
}
