//! The check in people's hands: folders, formats, what they live with, and what is mended for them.

use std::{fs, path::Path};

use serde_json::Value;

use super::command::{check, check_in, manifest};

const NO_PROBE: &str = "bad/01-no-readiness-probe.yaml";
const ROOMLESS: &str = "bad/69-no-room-for-a-hook.yaml";
const SINGLE: &str = "bad/40-single-replica.yaml";

fn json(ran: &super::command::Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{} {}", ran.out, ran.err))
}

fn workloads(document: &Value) -> Vec<&str> {
    let checked = document["checked"].as_array().unwrap();
    checked.iter().map(|checked| checked["name"].as_str().unwrap()).collect()
}

#[test]
fn files_and_folders_are_arguments_and_each_file_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("app/b/one.yml", &manifest(ROOMLESS));
    put("app/two.json", &manifest("good/websample-drain.json"));
    put("app/notes.txt", "no manifest");
    put("app/.hidden/three.yaml", "a: [");
    let run = |arguments: &[&str]| {
        check_in(folder.path(), &[arguments, &["--output", "json"]].concat(), "")
    };
    let ran = run(&["app"]);
    assert_eq!(workloads(&json(&ran)), ["quotes", "websample"], "{}", ran.err);
    let ran = run(&["app/two.json", "app", "./app/two.json", "--manifest", "app/b/one.yml"]);
    assert_eq!(workloads(&json(&ran)), ["websample", "quotes"], "{}", ran.err);

    // A kustomization says what is in its folder, and what is not is left alone.
    put("base/kustomization.yaml", "resources: [deployment.yaml, ../app/two.json]\n");
    put("base/deployment.yaml", &manifest(SINGLE));
    put("base/unused.yaml", "a: [");
    put("over/kustomization.yaml", "resources: [../base, 'https://example.com/x']\nreplicas: []\n");
    let document = json(&run(&["over"]));
    assert_eq!(workloads(&document).len(), 2, "{document:#}");
    let rules: Vec<_> =
        document["findings"].as_array().unwrap().iter().map(|f| &f["rule"]).collect();
    assert!(rules.contains(&&Value::from("not-built")), "{document:#}");

    fs::create_dir(folder.path().join("empty")).unwrap();
    let ran = check_in(folder.path(), &["empty"], "");
    assert_eq!(ran.code, Some(64));
    assert!(ran.err.contains("empty: there is no .yaml, .yml or .json file"), "{}", ran.err);
}

#[test]
fn what_somebody_lives_with_is_listed_with_its_reason() {
    let lived = "single-replica: it is small";
    let ran = check(&[SINGLE, "--ignore", lived, "--strict"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    for expected in [
        "Ignored, each for its reason:\n  single-replica of Deployment",
        ": it is small\n",
        "besides what is ignored",
    ] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
    let annotated = manifest("bad/83-ignored-without-a-reason.yaml").replace("; endpoint-race", "");
    let ran = check(&["-", "--strict"], &annotated);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.contains("it is a demonstration"), "{}", ran.out);
    let document = json(&check(&["-", "--output", "json"], &annotated));
    assert_eq!(document["findings"], Value::Array(Vec::new()));
    assert_eq!(document["ignored"][0]["reason"], "it is a demonstration");
}

#[test]
fn a_rule_is_explained_once() {
    let twice = [manifest(ROOMLESS), manifest(ROOMLESS).replace("quotes", "prices")].join("---\n");
    let ran = check(&["-"], &twice);
    assert_eq!(ran.out.matches("no preStop hook, and nothing shows").count(), 1, "{}", ran.out);
    assert!(ran.out.contains(": container prices as above"), "{}", ran.out);
}

#[test]
fn sarif_names_rules_places_and_what_is_suppressed() {
    let arguments = [NO_PROBE, SINGLE, "--output", "sarif", "--ignore", "single-replica: small"];
    let ran = check(&arguments, "");
    assert_eq!(ran.code, Some(1));
    let document = json(&ran);
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let results = run["results"].as_array().unwrap();
    assert_eq!(
        (&results[0]["ruleId"], &results[0]["level"]),
        (&"no-readiness-probe".into(), &"error".into())
    );
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], NO_PROBE);
    assert_eq!(place["region"]["startLine"], 21);
    assert_eq!(results[1]["suppressions"][0]["justification"], "small");
    let rules: Vec<_> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    assert!(results.iter().all(|result| rules.contains(&&result["ruleId"])));

    let ran = check(&["-", "--output", "sarif"], "a: [");
    let run = &json(&ran)["runs"][0];
    assert_eq!(
        (ran.code, &run["invocations"][0]["executionSuccessful"]),
        (Some(64), &false.into())
    );
}

#[test]
fn junit_has_a_case_for_each_workload() {
    let ran = check(&[NO_PROBE, SINGLE, "good/podinfo.yaml", "--output", "junit"], "");
    for expected in [
        "failures=\"1\" errors=\"0\" skipped=\"0\"",
        "<testcase classname=\"bad/01-no-readiness-probe.yaml\" name=\"Deployment shop/checkout\">",
        "<failure message=\"no-readiness-probe\">",
        "<system-out>warning single-replica",
    ] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
    let strict = check(&[SINGLE, "--output", "junit", "--strict"], "");
    assert!(strict.out.contains("<failure message=\"single-replica\">"), "{}", strict.out);
    let broken = check(&["-", "--output", "junit"], "a: [");
    assert!(broken.out.contains("<error message=\"standard input"), "{}", broken.out);
}

#[test]
fn a_patch_mends_and_so_does_the_file_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deploy.yaml");
    fs::write(&file, manifest(ROOMLESS)).unwrap();
    let ran = check_in(folder.path(), &["deploy.yaml", "--fix", "deploy.patch"], "");
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    assert!(ran.err.contains("mended 1 finding in 1 file"), "{}", ran.err);
    assert!(ran.out.contains("Nothing found in 1 workload"), "{}", ran.out);
    assert_eq!(fs::read_to_string(&file).unwrap(), manifest(ROOMLESS), "only a patch");
    let patch = fs::read_to_string(folder.path().join("deploy.patch")).unwrap();
    for line in [
        "--- a/deploy.yaml",
        "+++ b/deploy.yaml",
        "-      terminationGracePeriodSeconds: 5  # it is quick",
        "+      terminationGracePeriodSeconds: 30  # it is quick",
        "+                seconds: 5",
    ] {
        assert!(patch.lines().any(|found| found == line), "{line}\n{patch}");
    }
    assert!(
        !patch.lines().any(|line| line.starts_with('-') && line.contains("The only one")),
        "{patch}"
    );

    let ran = check_in(folder.path(), &["deploy.yaml", "--in-place"], "");
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    let mended = fs::read_to_string(&file).unwrap();
    assert!(mended.contains("terminationGracePeriodSeconds: 30  # it is quick"), "{mended}");
    let again = check_in(folder.path(), &["deploy.yaml", "--in-place"], "");
    assert!(again.err.contains("mended 0 findings in 0 files"), "{}", again.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), mended);
}

#[test]
fn what_cannot_be_mended_is_left_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deploy.yaml");
    // One container in two places: a change of one would be one of both.
    let text = manifest(ROOMLESS);
    let (head, rest) = text.split_once("      containers:\n").unwrap();
    let aliased = format!(
        "x-app: &app\n  - {{name: quotes, image: a, ports: [{{containerPort: 80}}], readinessProbe: {{tcpSocket: {{port: 80}}}}}}\n{head}      containers: *app\n---{}",
        rest.split_once("---").unwrap().1
    );
    fs::write(&file, &aliased).unwrap();
    let ran = check_in(folder.path(), &["deploy.yaml", "--in-place"], "");
    assert!(
        ran.err.contains("could not be mended without losing how the file is laid out"),
        "{}",
        ran.err
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), aliased);
    // Nowhere to write it.
    let ran = check(&[ROOMLESS, "--fix", "no/such/folder.patch"], "");
    assert_eq!(ran.code, Some(69), "{}", ran.err);
    assert!(!Path::new("no/such/folder.patch").exists());
}
