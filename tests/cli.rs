//! The real binary: what it prints where, and how it exits.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// What a run of the binary left behind.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the binary in an empty directory, with this environment and no other.
fn websample_in(directory: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_websample"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(directory)
        .output()
        .unwrap();
    let ran = Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!ran.out.contains('\x1b') && !ran.err.contains('\x1b'), "colours in a pipe: {ran:?}");
    ran
}

fn websample(environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
    websample_in(tempfile::tempdir().unwrap().path(), environment, arguments)
}

#[test]
fn help_and_version_go_to_standard_output_with_0() {
    for arguments in [
        &["--help"][..],
        &["help"],
        &["--version"],
        &["serve", "--help"],
        &["check", "--help"],
        &["help", "check"],
    ] {
        let ran = websample(&[], arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?} {ran:?}");
        assert!(ran.out.contains("websample") && ran.err.is_empty(), "{ran:?}");
        assert!(ran.out.contains("Examples:") || arguments == ["--version"], "{ran:?}");
    }
}

#[cfg(feature = "lab")]
#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = websample(&[], &["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for word in ["rollout", "fail-on-loss", "manifest"] {
            assert!(ran.out.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(websample(&[], &["completions", "tcsh"]).code, Some(64));
    let directory = tempfile::tempdir().unwrap();
    let ran = websample_in(directory.path(), &[], &["man", "pages"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (page, expected) in [
        ("websample.1", "websample\\-rollout"),
        ("websample-rollout.1", "fail\\-on\\-loss"),
        ("websample-check.1", "manifest"),
    ] {
        let text = fs::read_to_string(directory.path().join("pages").join(page)).unwrap();
        assert!(text.contains(expected), "{page}: {text}");
    }
}

#[test]
fn usage_errors_go_to_standard_error_with_64() {
    for (arguments, what) in [
        (&[][..], "Usage: websample <COMMAND>"),
        (&["sevre"], "unrecognized subcommand 'sevre'"),
        (&["serve", "--delay.mim", "2s"], "--delay.min"),
        (&["serve", "--mode"], "--mode"),
        (&["serve", "--mode", "drain", "--mode", "ignore"], "multiple times"),
        (&["check", "--output", "xml"], "text, json"),
        (&["check", "extra"], "unusable manifest: extra: it cannot be read"),
    ] {
        let ran = websample(&[], arguments);
        assert_eq!(ran.code, Some(64), "{arguments:?} {ran:?}");
        assert!(ran.err.contains(what) && ran.out.is_empty(), "{arguments:?} {ran:?}");
    }
}

#[test]
fn the_help_of_serve_tells_every_setting_with_default_and_variable() {
    let ran = websample(&[], &["serve", "--help"]);
    for key in websample::config::KEYS {
        assert!(ran.out.contains(&format!("--{} <", key.name)), "{}", key.name);
        let rest = format!("[default: {}] [env: {}]", key.initial.shown(), key.environment_name());
        assert!(ran.out.contains(&rest), "{rest}");
    }
}

#[test]
fn bad_configuration_exits_with_64_whatever_the_command() {
    let environment = [("WEBSAMPLE_DELAY__MIN", "5"), ("WEBSAMPLE_XYZZY", "1")];
    for command in ["serve", "check"] {
        let ran = websample(&environment, &[command, "--mode", "drian"]);
        assert_eq!(ran.code, Some(64), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
        for expected in [
            "bad configuration, 3 errors:",
            "delay.min = `5` (environment variable WEBSAMPLE_DELAY__MIN): a bare number could be \
             anything; add the unit: 5s",
            "WEBSAMPLE_XYZZY = `1` (environment): there is no such setting",
            "mode = `drian` (flag --mode): there is no such choice; did you mean `drain`?",
        ] {
            assert!(ran.err.contains(expected), "{expected}\n{}", ran.err);
        }
    }
}

#[test]
fn check_prints_settings_with_sources_and_the_timeline() {
    let ran = websample(&[("version", "v2")], &["check", "--delay.max", "20s"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.is_empty(), "{ran:?}");
    let lines: Vec<String> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "version v2 environment variable version",
        "grace_period 30s default",
        "delay.max 20s flag --delay.max",
        "hook.token - default",
        "A termination in mode drain, in seconds",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{}", ran.out);
    }
    for moment in ["0 SIGTERM or preStop:", "5 earliest", "20 latest", "28 deadline", "30 SIGKILL"]
    {
        assert!(lines.iter().any(|line| line.starts_with(moment)), "{moment}\n{}", ran.out);
    }
    assert!(!ran.out.contains("Warnings"), "{}", ran.out);
}

#[test]
fn warnings_do_not_fail() {
    let ran = websample(&[], &["check", "--delay.min", "1s", "--keep_alive", "5s"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (_, warnings) = ran.out.split_once("\nWarnings\n").unwrap();
    assert!(warnings.contains("  delay.min: 1s is less than the 1.2s"), "{warnings}");
    assert!(warnings.contains("  keep_alive: 5s is less than the 60s"), "{warnings}");
}

#[test]
fn check_refuses_a_budget_that_cannot_work() {
    let ran = websample(&[("WEBSAMPLE_GRACE_PERIOD", "10s")], &["check"]);
    assert_eq!(ran.code, Some(64), "{ran:?}");
    assert!(ran.err.contains("delay.max = `15s` (default)"), "{ran:?}");
    let origin = "grace_period is from environment variable WEBSAMPLE_GRACE_PERIOD";
    assert!(ran.err.contains(origin), "{ran:?}");
}

#[test]
fn json_is_one_document_good_or_bad() {
    let good = websample(&[("WEBSAMPLE_MODE", "ignore")], &["check", "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!(document["ok"], true);
    assert_eq!(document["mode"], "ignore");
    assert_eq!(document["budget_seconds"]["deadline"], 28.0);
    assert_eq!(document["timeline"][1]["at"], 30.0);
    assert_eq!(document["warnings"][0]["key"], "mode");
    let mode = document["settings"].as_array().unwrap().iter().find(|row| row["key"] == "mode");
    assert_eq!(mode.unwrap()["source"], "environment variable WEBSAMPLE_MODE");

    let bad = websample(&[], &["check", "--output", "json", "--margin", "2"]);
    assert_eq!(bad.code, Some(64));
    let document: serde_json::Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["errors"][0]["key"], "margin");
    assert_eq!(document["errors"][0]["source"], "flag --margin");
    assert!(bad.err.contains("margin = `2`"), "{bad:?}");
}

#[test]
fn the_file_of_the_working_directory_is_read_and_a_named_one_replaces_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("websample.toml"), "version = \"v-file\"").unwrap();
    fs::write(directory.path().join("other.toml"), "mode = \"graceful\"").unwrap();
    let here = websample_in(directory.path(), &[], &["check"]);
    assert!(here.out.contains("websample.toml") && here.out.contains("v-file"), "{here:?}");
    let other = websample_in(directory.path(), &[], &["check", "--config", "other.toml"]);
    assert!(other.out.contains("other.toml") && !other.out.contains("v-file"), "{other:?}");
    let missing = websample_in(directory.path(), &[], &["check", "--config", "missing.toml"]);
    assert_eq!(missing.code, Some(64), "{missing:?}");
    assert!(missing.err.contains("missing.toml: the file cannot be read"), "{missing:?}");
}

#[test]
fn a_service_of_the_same_name_does_not_stop_the_server() {
    let environment = [
        ("WEBSAMPLE_SERVICE_HOST", "10.96.0.7"),
        ("WEBSAMPLE_PORT", "tcp://10.96.0.7:80"),
        ("WEBSAMPLE_PORT_5000_TCP_ADDR", "10.96.0.7"),
    ];
    assert_eq!(websample(&environment, &["check"]).code, Some(0));
}

#[test]
fn a_reader_that_left_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_websample"))
        .arg("check")
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_port_that_is_none_is_not_taken_for_80() {
    let ran = websample(&[], &["attack", "http://127.0.0.1:99999/", "--duration", "1s"]);
    assert_eq!(ran.code, Some(64), "{ran:?}");
    assert!(ran.err.contains("http://127.0.0.1:99999/") && ran.err.contains("port"), "{ran:?}");
}

#[test]
fn check_and_serve_refuse_the_same_certificates() {
    for command in ["check", "serve"] {
        let flags = ["--tls.cert", "/etc/passwd", "--tls.key", "/etc/passwd"];
        let ran = websample(&[], &[&[command][..], &flags].concat());
        assert_eq!(ran.code, Some(64), "{ran:?}");
        assert!(ran.err.contains("tls.cert") && ran.err.contains("PEM"), "{ran:?}");
    }
}

#[test]
fn a_listener_that_cannot_be_had_is_no_usage_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = websample(&[], &["serve", "--listen", &address, "--admin.listen", "off"]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.err.contains(&address), "{ran:?}");
}

#[test]
fn an_environment_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStrExt as _;
    for name in ["version", "WEBSAMPLE_VERSION"] {
        let output = Command::new(env!("CARGO_BIN_EXE_websample"))
            .arg("check")
            .env(name, std::ffi::OsStr::from_bytes(b"v\xff1"))
            .current_dir(tempfile::tempdir().unwrap().path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{name}: {errors}");
        assert!(errors.contains(name) && errors.contains("not UTF-8"), "{errors}");
    }
}

#[test]
fn a_file_without_an_end_is_refused() {
    for arguments in [
        &["check", "--manifest", "/dev/zero"][..],
        &["check", "--config", "/dev/zero"],
        &["attack", "http://127.0.0.1:9/", "--body-file", "/dev/zero"],
        &["report", "/dev/zero"],
    ] {
        let ran = websample(&[], arguments);
        assert!(matches!(ran.code, Some(64 | 69)), "{arguments:?} {ran:?}");
        assert!(ran.err.contains("/dev/zero") && ran.err.contains("larger than"), "{ran:?}");
    }
}

#[test]
fn no_example_is_there_twice() {
    let help = websample(&[], &["--help"]).out;
    let examples: Vec<_> = help.lines().filter(|line| line.starts_with("  websample ")).collect();
    let commands: std::collections::BTreeSet<_> =
        examples.iter().map(|line| line.trim().split("   ").next()).collect();
    assert_eq!(commands.len(), examples.len(), "{help}");
}

#[test]
fn names_from_a_manifest_do_not_drive_a_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.json");
    let manifest = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a\u001b[31m"},
        "spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
        "spec":{"containers":[{"name":"c\u001b]0;x\u0007","image":"nginx",
        "ports":[{"containerPort":80}]}]}}}}"#;
    fs::write(&file, manifest).unwrap();
    for output in ["text", "github", "json"] {
        let file = file.to_str().unwrap();
        let ran = websample(&[], &["check", "--manifest", file, "--output", output]);
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!ran.out.contains(control) && !ran.err.contains(control), "{ran:?}");
        assert!(ran.out.contains("endpoint-race"), "{ran:?}");
    }
}
