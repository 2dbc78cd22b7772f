//! What it costs to depend on a crate of this workspace, and whether it can be had.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The crates that a service builds which has these dependencies.
fn crates(dependencies: &str) -> BTreeSet<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = format!(
        "[package]\nname = \"service\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{dependencies}\n[workspace]\n"
    );
    fs::write(directory.path().join("Cargo.toml"), manifest).expect("written");
    fs::create_dir(directory.path().join("src")).expect("made");
    fs::write(directory.path().join("src/main.rs"), "fn main() {}\n").expect("written");
    // The same versions, and nothing to look up.
    fs::copy(Path::new(ROOT).join("Cargo.lock"), directory.path().join("Cargo.lock"))
        .expect("copied");
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(directory.path())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .filter(|name| !name.starts_with("service "))
        .collect()
}

fn path_to(name: &str) -> String {
    format!("websample-{name} = {{ path = \"{ROOT}/crates/{name}\" }}\n")
}

const ACTIX_WEB: &str = "actix-web = { version = \"4.18\", default-features = false, features = \
                         [\"http2\", \"macros\"] }\n";

#[test]
fn the_framework_brings_few_crates_with_it() {
    let plain = crates(ACTIX_WEB);
    let draining = crates(&format!("{ACTIX_WEB}{}", path_to("actix")));
    let more: Vec<_> = draining.difference(&plain).collect();
    assert!(more.len() <= 25, "{} more than plain actix-web: {more:#?}", more.len());
    assert!(more.iter().any(|name| name.starts_with("websample-actix ")), "{more:#?}");
}

#[test]
fn the_framework_on_hyper_brings_few_crates_with_it_and_none_of_actix() {
    let plain = crates(
        "hyper = { version = \"1\", features = [\"server\", \"http1\", \"http2\"] }\n\
         hyper-util = { version = \"0.1\", features = [\"tokio\"] }\n\
         tokio = { version = \"1\", features = [\"rt\", \"net\", \"time\", \"sync\", \"signal\", \
         \"macros\", \"io-util\"] }\n",
    );
    let draining = crates(&path_to("hyper"));
    let more: Vec<_> = draining.difference(&plain).collect();
    assert!(more.len() <= 60, "{} more than plain hyper: {more:#?}", more.len());
    assert!(more.iter().any(|name| name.starts_with("websample-hyper ")), "{more:#?}");
    assert!(!draining.iter().any(|name| name.contains("actix")), "{draining:#?}");
}

#[test]
fn the_core_brings_tokio_and_nothing_of_http_or_metrics() {
    let allowed = crates(
        "tokio = { version = \"1\", features = [\"rt\", \"time\", \"sync\", \"signal\", \
         \"macros\"] }\ntokio-util = \"0.7\"\nthiserror = \"2\"\ntracing = { version = \"0.1\", \
         default-features = false, features = [\"std\"] }\n",
    );
    let more: Vec<_> = crates(&path_to("lifecycle"))
        .into_iter()
        .filter(|name| !allowed.contains(name) && !name.starts_with("websample-lifecycle "))
        .collect();
    assert!(more.is_empty(), "{more:#?}");
}

/// What registries and people ask of a package; `cargo publish --dry-run` asks for the rest.
#[test]
fn every_crate_says_what_it_is_in_one_sentence_and_opens_with_an_example() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version=1"])
        .current_dir(ROOT)
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), 10);
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        assert!(text("description").len() > 40 && !text("description").ends_with('.'), "{name}");
        assert_eq!(text("license"), "MIT", "{name}");
        let manifest = package["manifest_path"].as_str().expect("a path");
        let folder = Path::new(manifest).parent().expect("a folder");
        let readme = fs::read_to_string(folder.join("README.md")).expect(name);
        assert!(readme.starts_with("# "), "{name}");
        if !matches!(name, "websample" | "websample-lab" | "websample-metrics") {
            assert!(readme.contains("```rust"), "{name} shows how it is used");
        }
        // A path alone is not to be had by others.
        let ours = package["dependencies"].as_array().expect("dependencies").iter();
        for dependency in ours.filter(|d| d["path"].is_string() && d["kind"].is_null()) {
            assert_ne!(dependency["req"], "*", "{name} needs a version of {}", dependency["name"]);
        }
    }
}

/// The lines that a service adds, or changes, are marked.
#[test]
fn adopting_a_framework_takes_under_ten_lines() {
    for example in ["examples/adopt.rs", "crates/hyper/examples/axum.rs"] {
        let text = fs::read_to_string(Path::new(ROOT).join(example)).expect("read");
        let marked = |n: usize| {
            text.contains(&format!("// {n}: "))
                || text.lines().any(|line| line.ends_with(&format!("// {n}")))
        };
        let lines = (1..20).take_while(|n| marked(*n)).count();
        assert!((5..10).contains(&lines), "{example}: {lines}");
    }
}
