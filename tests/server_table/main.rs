//! `scripts/servers` and what it writes: docs/servers.json and docs/servers.md. Nothing is measured here.

#![cfg(feature = "lab")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use websample_lab::causes::Cause;

const VARIANTS: [&str; 3] = ["plain", "hook", "best"];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn servers(arguments: &[&str]) -> Output {
    Command::new(repository("scripts/servers")).args(arguments).output().expect("python3 runs it")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn document() -> Value {
    let text = fs::read_to_string(repository("docs/servers.json")).expect("docs/servers.json");
    serde_json::from_str(&text).expect("JSON")
}

fn rows(document: &Value) -> &[Value] {
    document["servers"].as_array().expect("servers")
}

#[test]
fn help_has_examples_and_a_wrong_name_is_told() {
    let help = servers(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(code(&help) == 0 && text.contains("Examples:\n  scripts/servers\n"), "{text}");
    let wrong = servers(&["--only", "uvicron"]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        code(&wrong) == 64 && said.contains("'uvicron'") && said.contains("'uvicorn'"),
        "{said}"
    );
}

#[test]
fn the_page_is_what_the_document_makes_of_it() {
    let check = servers(&["--render", "--check"]);
    assert_eq!(code(&check), 0, "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn another_number_is_another_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().to_str().expect("a path");
    let mut changed = document();
    changed["servers"][0]["variants"]["plain"]["lost"] = 4_321.into();
    fs::write(directory.path().join("servers.json"), changed.to_string()).expect("written");
    fs::copy(repository("docs/servers.md"), directory.path().join("servers.md")).expect("copied");
    assert_eq!(code(&servers(&["--render", "--check", "--out", place])), 1);
    assert_eq!(code(&servers(&["--render", "--out", place])), 0);
    let page = fs::read_to_string(directory.path().join("servers.md")).expect("a page");
    assert!(page.contains("| **4321** of "), "{page}");
    assert_eq!(code(&servers(&["--render", "--check", "--out", place])), 0);
}

#[test]
fn every_server_is_measured_in_three_variants_and_explained() {
    let document = document();
    assert!(rows(&document).len() >= 20, "{} servers", rows(&document).len());
    for row in rows(&document) {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        assert!(!text("title").is_empty() && !text("version").is_empty(), "{row}");
        for sentence in ["sigterm", "fix"] {
            assert!(
                text(sentence).len() > 15 && text(sentence).ends_with('.'),
                "{sentence}: {row}"
            );
        }
        for source in ["source", "fix_source"] {
            assert!(text(source).starts_with("https://"), "{source}: {row}");
        }
        for variant in VARIANTS {
            let result = &row["variants"][variant];
            assert!(!result["command"].as_str().unwrap_or_default().is_empty(), "{variant}: {row}");
            if result["void"].is_null() {
                let (lost, of) = (result["lost"].as_u64(), result["of"].as_u64());
                assert!(lost < of, "{variant}: {row}");
                let causes = result["causes"].as_object().expect("causes");
                let explained: u64 = causes.values().filter_map(Value::as_u64).sum();
                assert_eq!(Some(explained), lost, "{variant}: {row}");
            } else {
                assert!(result["lost"].is_null(), "a void result is no number: {row}");
            }
        }
    }
}

#[test]
fn the_document_says_how_it_was_measured() {
    let how = &document()["measured"];
    for key in ["websample", "build", "seed", "mix", "replicas", "repeat", "machine", "priority"] {
        assert!(!how[key].is_null(), "{key}: {how}");
    }
}

#[test]
fn the_page_has_words_for_every_cause() {
    let page = fs::read_to_string(repository("scripts/server_table/page.py")).expect("a module");
    for cause in Cause::ALL {
        assert!(page.contains(&format!("    \"{}\": \"", cause.name())), "{}", cause.name());
    }
}

#[test]
fn rollouts_are_repeated_added_up_and_interrupted() {
    let ran = Command::new("python3")
        .args(["-B", "-m", "unittest", "rollouts"])
        .current_dir(repository("tests/server_table"))
        .env("PYTHONPATH", repository("scripts"))
        .output()
        .expect("python3");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
