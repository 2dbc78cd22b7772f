//! The Dockerfile, as far as it can be judged without an engine; `scripts/test-image` builds it.

use std::{path::Path, process::Command};

use crate::{in_repository, read};

/// Its instructions, each on one line.
fn instructions() -> Vec<(String, String)> {
    let text = read(&in_repository("deploy/Dockerfile"));
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .join("\n")
        .replace("\\\n", " ")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn all(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == name).map(|(_, rest)| rest).collect()
}

#[test]
fn it_needs_no_buildkit_and_no_shell_to_run() {
    for run in all("RUN") {
        assert!(!run.starts_with("--mount"), "Debian 12's docker.io cannot: {run}");
    }
    for name in ["ENTRYPOINT", "CMD"] {
        let forms = all(name);
        assert_eq!(forms.len(), 1);
        let words: Vec<String> = serde_json::from_str(&forms[0]).expect("the exec form");
        assert!(!words.is_empty());
    }
    let stages = all("FROM");
    assert_eq!(stages[0], "${BASE} AS runtime");
    assert!(all("ARG").iter().any(|arg| arg == "BASE=scratch"));
    assert_eq!(stages.last().map(String::as_str), Some("runtime"));
}

#[test]
fn its_ports_are_the_servers() {
    let settings = websample::config::Settings::default();
    let admin = settings.admin_listen.expect("an admin listener").port();
    assert_eq!(all("EXPOSE"), [format!("{} {admin}", settings.listen.port())]);
}

#[test]
fn its_compiler_is_new_enough_and_pinned() {
    let minimum = env!("CARGO_PKG_RUST_VERSION");
    let parts = |version: &str| -> Vec<u32> {
        version.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    let image = all("ARG").into_iter().find_map(|arg| {
        let image = arg.strip_prefix("RUST=docker.io/library/rust:")?;
        Some(image.strip_suffix("-alpine").expect("musl is Alpine's").to_owned())
    });
    let version = parts(&image.expect("the compiler's image"));
    assert_eq!(version.len(), 3, "pinned to the patch");
    assert!(version >= parts(minimum));
}

/// The sources that it copies from the context.
fn copied() -> Vec<String> {
    all("COPY")
        .into_iter()
        .filter(|copy| !copy.starts_with("--from"))
        .flat_map(|copy| {
            let mut words: Vec<_> = copy.split_whitespace().map(str::to_owned).collect();
            words.pop();
            words
        })
        // It is in the other build context, which scripts/image makes.
        .filter(|source| source != "websampl[e]")
        .collect()
}

#[test]
fn what_it_copies_is_there_and_not_ignored() {
    let ignore = read(&in_repository(".dockerignore"));
    let mut rules = ignore.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    assert_eq!(rules.next(), Some("*"), "everything is left out but what is named");
    let named: Vec<_> = rules.map(|rule| rule.strip_prefix('!').expect("an exception")).collect();
    let copied = copied();
    for source in &copied {
        assert!(in_repository(source).exists(), "{source}");
        assert!(named.contains(&source.as_str()), "{source} is not in .dockerignore");
    }
    for name in named {
        assert!(copied.iter().any(|source| source == name), "nothing copies {name}");
    }
}

/// Files that are compiled in come from what was copied.
#[test]
fn what_the_sources_include_is_copied() {
    const ONLY_TESTED: &str = "#[cfg(all(doctest, feature = \"lab\"))]\n#[doc = ";
    fn includes(directory: &Path, found: &mut Vec<(std::path::PathBuf, String)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                includes(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                for (at, _) in text.match_indices("include_") {
                    let (before, part) = (&text[..at], &text[at + "include_".len()..]);
                    // No image is built with rustdoc's tests.
                    if before.ends_with(ONLY_TESTED) {
                        continue;
                    }
                    // With concat!, the part that is written there: the directory.
                    let file = ["str!(\"", "bytes!(\"", "str!(concat!(\"", "bytes!(concat!(\""]
                        .iter()
                        .find_map(|start| part.strip_prefix(start)?.split('"').next());
                    if let Some(file) = file {
                        found.push((path.clone(), file.to_owned()));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    for directory in ["src", "crates"] {
        includes(&in_repository(directory), &mut found);
    }
    assert!(!found.is_empty());
    let roots: Vec<_> = copied().iter().map(|s| in_repository(s).canonicalize().unwrap()).collect();
    for (source, file) in found {
        let path = source.with_file_name(&file).canonicalize();
        let path = path.unwrap_or_else(|error| panic!("{}: {file}: {error}", source.display()));
        let copied = roots.iter().any(|root| path.starts_with(root));
        assert!(copied, "{} includes {file}, which the image is built without", source.display());
    }
}

/// The tables of targets are taken out of the package's manifest: their files are not copied.
#[test]
fn what_it_builds_is_a_package_that_cargo_reads() {
    let prepare = all("RUN").into_iter().find(|run| run.starts_with("sed "));
    let prepare = prepare.expect("what takes the tables out");
    let directory = tempfile::tempdir().unwrap();
    for source in copied() {
        let status = Command::new("cp")
            .args(["-r", "--parents", &source])
            .arg(directory.path())
            .current_dir(in_repository("."))
            .status();
        assert!(status.unwrap().success(), "{source}");
    }
    let status = Command::new("sh").args(["-ec", &prepare]).current_dir(&directory).status();
    assert!(status.unwrap().success(), "{prepare}");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version=1"])
        .current_dir(&directory)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let program = packages.iter().find(|package| package["name"] == "websample").unwrap();
    let targets = program["targets"].as_array().unwrap().iter();
    let mut kinds: Vec<_> = targets.map(|target| target["kind"][0].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["bin", "lib"]);
}
