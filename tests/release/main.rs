//! What a release consists of: packed of the program that is there, installed, and run; and the workflow
//! that makes it.

#[path = "../common/program.rs"]
mod program;

mod ci;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// The program without what debuggers need, which is most of it.
fn stripped(directory: &Path) -> PathBuf {
    let copy = directory.join("websample");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&copy)
        .arg(env!("CARGO_BIN_EXE_websample"))
        .status()
        .expect("strip runs");
    assert!(status.success());
    copy
}

/// Packs the program; nothing where what packs it cannot be had.
fn released(directory: &Path) -> Option<PathBuf> {
    let files = directory.join("files");
    let output = Command::new(in_repository("scripts/release"))
        .arg("--binary")
        .arg(stripped(directory))
        .arg("--out")
        .arg(&files)
        // That of the commit, in a repository.
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .expect("python3 runs");
    if output.status.code() == Some(69) {
        println!("skipped: {}", said(&output));
        return None;
    }
    assert!(output.status.success(), "{}", said(&output));
    Some(files)
}

fn names(files: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(files).expect("a directory");
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_is_packed_installs_and_finds_something() {
    let directory = tempfile::tempdir().unwrap();
    let Some(files) = released(directory.path()) else { return };
    let names = names(&files);
    let version = env!("CARGO_PKG_VERSION");
    let ends = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
    assert_eq!((ends(".whl"), ends(".tgz"), ends(".tar.gz"), ends(".cdx.json")), (1, 1, 1, 1));
    assert!(names.contains("SHA256SUMS") && names.len() == 5, "{names:?}");
    assert!(names.iter().filter(|n| *n != "SHA256SUMS").all(|name| name.contains(version)));

    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&files)
        .output()
        .expect("sha256sum runs");
    assert!(sums.status.success(), "{}", said(&sums));

    let bom = names.iter().find(|name| name.ends_with(".cdx.json")).expect("one");
    let bom = fs::read_to_string(files.join(bom)).expect("read");
    assert!(!bom.contains(env!("CARGO_MANIFEST_DIR")), "a path of this machine");
    let bom: serde_json::Value = serde_json::from_str(&bom).expect("JSON");
    let parts: Vec<_> =
        bom["components"].as_array().expect("parts").iter().map(|part| &part["name"]).collect();
    // What is in the program is there, and what only tests it is not.
    assert!(parts.iter().any(|name| *name == "hyper") && !parts.iter().any(|n| *n == "proptest"));

    // Into an empty environment, and an empty prefix; where it may, in a root directory of its own.
    let output = Command::new(in_repository("scripts/five-minutes"))
        .arg("--check-only")
        .arg(&files)
        .env("TMPDIR", directory.path())
        .output()
        .expect("bash runs");
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let installed = text.matches("first finding on a manifest").count();
    let skipped = text.matches("skipped: ").count();
    assert_eq!(installed + skipped, 3, "{text}");
    assert!(installed > 0, "{text}");
}

/// What `cargo binstall` downloads is called as it is packed.
#[test]
fn binstall_looks_for_what_is_packed() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "websample").expect("it");
    let binstall = &package["metadata"]["binstall"];
    let url = binstall["pkg-url"].as_str().expect("a URL");
    let file = url.rsplit('/').next().expect("a file");
    let script = fs::read_to_string(in_repository("scripts/release")).expect("read");
    // The same name in Python's words and in binstall's.
    assert_eq!(file, "websample-{ version }-{ target }.tar.gz");
    assert!(script.contains("name = f\"websample-{version}-{program.target}\""));
    assert!(script.contains("f\"{name}.tar.gz\"") && script.contains("f\"{name}/{file}\""));
    assert_eq!(binstall["bin-dir"], "websample-{ version }-{ target }/websample");
}

#[test]
fn the_workflow_has_no_mistake_that_a_linter_knows() {
    let Some(actionlint) = program::find("actionlint") else { return };
    let workflows = in_repository(".github/workflows");
    let mut found = 0;
    for entry in fs::read_dir(&workflows).expect("a directory") {
        let output = Command::new(&actionlint)
            .arg(entry.expect("an entry").path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", said(&output));
        found += 1;
    }
    assert!(found > 0);
}

#[test]
fn the_scripts_have_no_mistake_that_a_linter_knows() {
    let Some(shellcheck) = program::find("shellcheck") else { return };
    let scripts: Vec<_> = fs::read_dir(in_repository("scripts"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .chain([in_repository("packaging/npm/websample")])
        .chain([in_repository("packaging/ci/websample-ci")])
        .filter(|path| path.is_file())
        .filter(|path| {
            let text = fs::read_to_string(path).expect("text");
            let first = text.lines().next().unwrap_or_default();
            first.ends_with("bash") || first.ends_with("/sh")
        })
        .collect();
    assert!(scripts.len() > 5);
    let output = Command::new(shellcheck)
        .args(["--severity", "warning"])
        .args(&scripts)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
}
