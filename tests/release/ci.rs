//! The GitHub Action and the GitLab template: their shell parts, run with the real program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use super::{in_repository, program, said};

const BAD: &str = "tests/manifests/bad/03-endpoint-race.yaml";

/// A directory to work in, with what would be on a runner's PATH in `bin`.
struct Runner {
    directory: tempfile::TempDir,
}

impl Runner {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        Self { directory }
    }

    /// One that has the program installed.
    fn with_program() -> Self {
        let runner = Self::new();
        symlink(env!("CARGO_BIN_EXE_websample"), runner.at("bin/websample")).unwrap();
        runner
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs bash as GitHub and GitLab do.
    fn bash(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.at("bin").display());
        Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.directory.path())
            .envs(environment.iter().copied())
            .output()
            .expect("bash runs")
    }

    fn step(&self, step: &str, environment: &[(&str, &str)]) -> Output {
        let script = in_repository("packaging/ci/websample-ci");
        self.bash(&format!("'{}' {step}", script.display()), environment)
    }

    /// What a release is downloaded from: an archive of a program that only says its version.
    fn release(&self, version: &str) -> String {
        let name = format!("websample-{version}-{}-unknown-linux-musl", std::env::consts::ARCH);
        let files = self.at("files");
        let inside = files.join(&name);
        fs::create_dir_all(&inside).unwrap();
        executable(&inside.join("websample"), "#!/bin/sh\necho websample stand-in\n");
        fs::copy(in_repository("packaging/ci/websample-ci"), inside.join("websample-ci")).unwrap();
        let packed = format!(
            "cd '{}' && tar -czf {name}.tar.gz {name} && rm -r {name} && sha256sum *.tar.gz >SHA256SUMS",
            files.display()
        );
        let output = self.bash(&packed, &[]);
        assert!(output.status.success(), "{}", said(&output));
        format!("file://{}", files.display())
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_manifest_is_annotated_summed_up_and_kept_for_other_systems() {
    let runner = Runner::with_program();
    fs::copy(in_repository(BAD), runner.at("my deploy.yaml")).unwrap();
    let summary = runner.at("summary");
    let github = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ("INPUT_MANIFEST", "'my deploy.yaml'"),
    ];
    let output = runner.step("check", &github);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("::warning file=my deploy.yaml,line="), "{}", said(&output));
    assert!(runner.read("summary").contains("warning endpoint-race"));
    assert!(runner.read("websample-check.xml").contains("<testsuites>"));
    let log: Value = serde_json::from_str(&runner.read("websample-check.sarif")).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "endpoint-race");

    let strict = [("INPUT_MANIFEST", "'my deploy.yaml'"), ("INPUT_STRICT", "true")];
    let output = runner.step("check", &strict);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = [strict[0], strict[1], ("INPUT_CHECK_ARGUMENTS", "--delay 10s --drain 15s")];
    let output = runner.step("check", &told);
    assert!(!said(&output).contains("endpoint-race"), "{}", said(&output));
    assert_eq!(runner.step("check", &[]).status.code(), Some(64));
}

#[test]
fn a_server_that_loses_fails_the_step_and_its_report_is_kept() {
    let runner = Runner::with_program();
    let summary = runner.at("summary");
    let server = in_repository("examples/servers/python/server.py");
    let command =
        format!("python3 '{}' --host '{{host}}' --port '{{port}}'", server.to_str().unwrap());
    let asked = [
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ("INPUT_COMMAND", &command),
        ("INPUT_FAIL_ON", "replaced>1ms"),
        (
            "INPUT_ROLLOUT_ARGUMENTS",
            "--replicas 2 --mix '20/s new GET /' --readiness http:/readiness",
        ),
    ];
    let output = runner.step("rollout", &asked);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("--fail-on replaced>1ms"), "{}", said(&output));
    assert!(runner.read("summary").contains("| mode | lost | of |"));
    assert!(runner.read("websample-rollout.xml").contains("failures=\"1\""));
    assert!(runner.read("websample-rollout.sarif").contains("\"fail-on\""));
    assert!(runner.at("websample-rollout/report.html").is_file());

    // The comment is what GitHub's own client is told to write.
    executable(
        &runner.at("bin/gh"),
        "#!/bin/sh\necho \"$@\" >told; cat websample-summary.md >>told\n",
    );
    let pull_request = [("INPUT_PULL_REQUEST", "17"), ("GITHUB_REPOSITORY", "shop/web")];
    let output = runner.step("comment", &pull_request);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = runner.read("told");
    assert!(told.starts_with("pr comment 17 --repo shop/web --body-file"), "{told}");
    assert!(told.contains("### Rollout: "), "{told}");
    assert!(said(&runner.step("comment", &[])).contains("no pull request"));
}

#[test]
fn a_server_that_does_not_start_fails_the_step_too() {
    let runner = Runner::with_program();
    let output = runner.step("rollout", &[("INPUT_COMMAND", "no-such-server --port {port}")]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("no-such-server"), "{}", said(&output));
}

/// What somebody wrote into an input is words, and no program.
#[test]
fn nothing_in_an_input_is_run() {
    let runner = Runner::new();
    executable(&runner.at("bin/websample"), "#!/bin/sh\nprintf '[%s]' \"$@\"\n");
    let manifest = "$(touch run) `touch run` 'a b' \"c\"";
    let output = runner.step("check", &[("INPUT_MANIFEST", manifest)]);
    let text = said(&output);
    assert!(text.contains("[$(touch][run)][`touch][run`][a b][c]"), "{text}");
    assert!(!runner.at("run").exists());
}

#[test]
fn what_is_installed_is_checked_first() {
    let runner = Runner::new();
    let from = runner.release("9.9.9");
    let path = runner.at("path");
    let asked = [
        ("INPUT_FROM", from.as_str()),
        ("INPUT_VERSION", "9.9.9"),
        ("GITHUB_PATH", path.to_str().unwrap()),
        ("RUNNER_TEMP", runner.directory.path().to_str().unwrap()),
    ];
    let output = runner.step("install", &asked);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("websample stand-in"), "{}", said(&output));
    assert!(Path::new(runner.read("path").trim()).join("websample").is_file());

    let sums = runner.read("files/SHA256SUMS");
    for wrong in [sums.replacen(&sums[..4], "0000", 1), String::new()] {
        fs::write(runner.at("files/SHA256SUMS"), wrong).unwrap();
        let output = runner.step("install", &asked);
        assert!(!output.status.success(), "{}", said(&output));
        assert!(!said(&output).contains("stand-in"), "{}", said(&output));
    }
}

fn yaml(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(in_repository(path)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("a mapping").keys().cloned().collect()
}

/// The variables that the script reads, as inputs are called.
fn inputs_of_the_script() -> BTreeSet<String> {
    let text = fs::read_to_string(in_repository("packaging/ci/websample-ci")).unwrap();
    text.split("INPUT_")
        .skip(1)
        .map(|rest| rest.split(|c: char| c != '_' && !c.is_ascii_uppercase()).next().unwrap())
        .map(|name| name.to_lowercase().replace('_', "-"))
        .collect()
}

#[test]
fn the_action_hands_every_input_to_its_script() {
    let action = &yaml("action.yml")[0];
    assert_eq!(action["runs"]["using"], "composite");
    let mut handed = BTreeSet::new();
    let text = action.to_string();
    for step in action["runs"]["steps"].as_array().expect("steps") {
        if let Some(run) = step["run"].as_str() {
            // Inputs are anybody's: in the environment they are no part of a script.
            assert!(!run.contains("${{"), "{run}");
            assert!(run.contains("$GITHUB_ACTION_PATH/packaging/ci/websample-ci"), "{run}");
            assert_eq!(step["shell"], "bash", "{step}");
            for (name, value) in step["env"].as_object().expect("an environment") {
                let Some(input) = name.strip_prefix("INPUT_") else { continue };
                let input = input.to_lowercase().replace('_', "-");
                if input != "pull-request" {
                    assert_eq!(*value, format!("${{{{ inputs.{input} }}}}"));
                }
                handed.insert(input);
            }
        }
    }
    assert_eq!(handed, inputs_of_the_script());
    for input in keys(&action["inputs"]) {
        assert!(text.contains(&format!("inputs.{input}")), "nothing uses {input}");
        assert!(action["inputs"][&input]["description"].is_string(), "{input}");
    }
}

/// The step that installs, as the action has it: the version and the place are the action's own.
#[test]
fn the_action_installs_its_own_version() {
    let runner = Runner::new();
    let version = env!("CARGO_PKG_VERSION");
    let from = runner.release(version);
    // Where the action would look: …/releases/download/vVERSION.
    let place = runner.at(&format!("host/shop/websample/releases/download/v{version}"));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::rename(from.strip_prefix("file://").unwrap(), &place).unwrap();
    let action = &yaml("action.yml")[0];
    let run = action["runs"]["steps"][0]["run"].as_str().expect("a script");
    let server = format!("file://{}", runner.at("host").display());
    let output = runner.bash(
        run,
        &[
            ("INPUT_VERSION", ""),
            ("INPUT_FROM", ""),
            ("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR")),
            ("GITHUB_SERVER_URL", &server),
            ("GITHUB_ACTION_REPOSITORY", "shop/websample"),
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// The template's own lines, with its inputs filled in as GitLab does.
#[test]
fn the_gitlab_template_installs_checks_and_fails_at_the_end() {
    let documents = yaml("packaging/gitlab/websample.yml");
    let inputs = documents[0]["spec"]["inputs"].as_object().expect("inputs");
    let job = documents[1].as_object().expect("jobs").values().next().expect("one");
    let runner = Runner::new();
    let from = runner.release("9.9.9");
    fs::copy(in_repository(BAD), runner.at("deploy.yaml")).unwrap();
    let mut given: BTreeMap<&str, String> = inputs
        .iter()
        .map(|(name, input)| (&**name, input["default"].as_str().unwrap_or_default().to_owned()))
        .collect();
    for (name, value) in [
        ("from", from.as_str()),
        ("version", "9.9.9"),
        ("manifest", "deploy.yaml"),
        ("strict", "true"),
    ] {
        *given.get_mut(name).expect("an input") = value.to_owned();
    }
    let filled = |text: &str| {
        let mut text = text.to_owned();
        for (name, value) in &given {
            text = text.replace(&format!("$[[ inputs.{name} ]]"), value);
        }
        assert!(!text.contains("$[["), "{text}");
        text
    };
    let variables: Vec<(&str, String)> = job["variables"]
        .as_object()
        .expect("variables")
        .iter()
        .map(|(name, value)| (&**name, filled(value.as_str().expect("text"))))
        .collect();
    let environment: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let lines = |part: &str| -> Vec<String> {
        let lines = job[part].as_array().expect("lines").iter();
        lines.map(|line| filled(line.as_str().expect("text"))).collect()
    };
    // What is installed only says its version: the real one takes its place before it is used.
    let real = env!("CARGO_BIN_EXE_websample");
    let script = [
        lines("before_script"),
        vec!["websample --version".to_owned(), format!("ln -sf '{real}' .websample/websample")],
        lines("script"),
    ]
    .concat()
    .join("\n");
    let output = runner.bash(&script, &environment);
    let text = said(&output);
    assert!(
        text.contains("websample stand-in") && text.contains("warning endpoint-race"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(runner.at("websample-check.xml").is_file());

    let handed: BTreeSet<_> = variables
        .iter()
        .filter_map(|(name, _)| Some(name.strip_prefix("INPUT_")?.to_lowercase().replace('_', "-")))
        .collect();
    let mut wanted = inputs_of_the_script();
    wanted.remove("pull-request");
    assert_eq!(handed, wanted);
}

#[test]
fn every_input_is_explained_and_every_example_is_right() {
    let page = fs::read_to_string(in_repository("docs/ci.md")).unwrap();
    let action = &yaml("action.yml")[0];
    let template = &yaml("packaging/gitlab/websample.yml")[0];
    for input in keys(&action["inputs"]).union(&keys(&template["spec"]["inputs"])) {
        assert!(page.contains(&format!("| `{input}` |")), "docs/ci.md does not explain {input}");
    }
    let blocks: Vec<_> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert!(blocks.len() >= 3);
    let actionlint = program::find("actionlint");
    for block in blocks {
        let value: Value =
            serde_saphyr::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        if value.get("jobs").is_none() {
            continue;
        }
        for job in value["jobs"].as_object().expect("jobs").values() {
            for step in job["steps"].as_array().expect("steps") {
                let uses = step["uses"].as_str().unwrap_or_default();
                if uses.contains("/websample@") {
                    let given = keys(&step["with"]);
                    assert!(given.is_subset(&keys(&action["inputs"])), "{given:?}");
                }
            }
        }
        let Some(actionlint) = &actionlint else { continue };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("workflow.yml");
        fs::write(&file, block).unwrap();
        let output = Command::new(actionlint).arg(&file).output().expect("it runs");
        assert!(output.status.success(), "{}", said(&output));
    }
}
