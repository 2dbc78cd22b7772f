//! The manifests, as kubectl's kustomize renders them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{in_repository, objects::Object, program, read};

const KUSTOMIZATION: &str = "kustomization.yaml";

/// The four modes, each with its directory.
pub(crate) fn modes() -> impl Iterator<Item = (&'static str, String)> {
    websample_lifecycle::Mode::ALL
        .into_iter()
        .map(|mode| (mode.name(), format!("modes/{}", mode.name())))
}

/// A kustomization under `deploy/kubernetes`, rendered; `None` where there is no kubectl.
pub(crate) fn text(directory: &str) -> Option<String> {
    let path = in_repository("deploy/kubernetes").join(directory);
    let output = Command::new(program::find("kubectl")?)
        .arg("kustomize")
        .arg(&path)
        .output()
        .expect("kubectl runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", path.display());
    Some(String::from_utf8(output.stdout).expect("YAML is text"))
}

/// The objects of a kustomization.
pub(crate) fn render(directory: &str) -> Option<Vec<Object>> {
    text(directory).map(|text| parse(Path::new(directory), &text))
}

/// The objects of one file under `deploy/kubernetes`.
pub(crate) fn file(name: &str) -> Vec<Object> {
    let path = in_repository("deploy/kubernetes").join(name);
    parse(&path, &read(&path))
}

fn parse(path: &Path, text: &str) -> Vec<Object> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let objects: Vec<_> = documents
        .into_iter()
        .map(|value| {
            let what = format!("{} {}", value["kind"], value["metadata"]["name"]);
            Object::parse(value)
                .unwrap_or_else(|error| panic!("{}: {what}: {error}", path.display()))
        })
        .collect();
    assert!(!objects.is_empty(), "{} holds no object", path.display());
    objects
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .flat_map(|entry| {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}

#[test]
fn every_kustomization_builds_and_its_objects_are_of_their_api() {
    let root = in_repository("deploy/kubernetes");
    let mut count = 0;
    for path in files(&root) {
        if !path.ends_with(KUSTOMIZATION) {
            continue;
        }
        let directory = path.parent().expect("it is in a directory");
        let directory = directory.strip_prefix(&root).expect("it is below").to_string_lossy();
        let Some(objects) = render(&directory) else { return };
        count += 1;
        for object in &objects {
            let labels = object.metadata().labels.clone().unwrap_or_default();
            assert_eq!(
                labels.get("app.kubernetes.io/name").map(String::as_str),
                Some("websample"),
                "{directory}: {}",
                object.name()
            );
            assert_eq!(object.metadata().namespace, None, "{directory}: whoever applies it says");
        }
    }
    assert!(count >= 9, "base, four modes, ingress, gateway, monitoring, original: {count}");
}

#[test]
fn every_file_is_of_its_api_and_the_plain_ones_are_in_a_kustomization() {
    for path in files(&in_repository("deploy/kubernetes")) {
        assert_eq!(path.extension().and_then(|e| e.to_str()), Some("yaml"), "{}", path.display());
        if path.ends_with(KUSTOMIZATION) {
            continue;
        }
        parse(&path, &read(&path));
        let kustomization = path.with_file_name(KUSTOMIZATION);
        if kustomization.is_file() {
            let name = path.file_name().expect("it has a name").to_string_lossy();
            let listed = format!("  - {name}\n");
            assert!(read(&kustomization).contains(&listed), "nothing uses {}", path.display());
        }
    }
}

/// `base` holds plain objects: whoever uses the files without kustomize gets the same.
#[test]
fn base_is_what_its_files_say() {
    let Some(rendered) = render("base") else { return };
    let mut names: Vec<_> = rendered.iter().map(|object| format!("{object:?}")).collect();
    let mut plain: Vec<_> =
        ["deployment", "networkpolicy", "poddisruptionbudget", "service", "serviceaccount"]
            .iter()
            .flat_map(|name| file(&format!("base/{name}.yaml")))
            .map(|object| format!("{object:?}"))
            .collect();
    names.sort();
    plain.sort();
    assert_eq!(names, plain);
}

#[test]
fn a_mode_is_base_with_another_mode_and_name() {
    let Some(base) = render("base") else { return };
    for (mode, directory) in modes() {
        let objects = render(&directory).expect("kubectl is there");
        let shown = |objects: &[Object]| {
            let mut all: Vec<_> = objects.iter().map(|object| format!("{object:?}")).collect();
            all.sort();
            all
        };
        // The name in its quotes, and the mode's label and variable; `drain` is what base says.
        let expected: Vec<_> = shown(&base)
            .into_iter()
            .map(|text| {
                text.replace("\"drain\"", &format!("{mode:?}"))
                    .replace(
                        "name: Some(\"websample\")",
                        &format!("name: Some(\"websample-{mode}\")"),
                    )
                    .replace(
                        "service_account_name: Some(\"websample\")",
                        &format!("service_account_name: Some(\"websample-{mode}\")"),
                    )
            })
            .collect();
        assert_eq!(shown(&objects), expected, "{mode}");
    }
}
