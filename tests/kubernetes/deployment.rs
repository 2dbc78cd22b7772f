//! `websample rollout --deployment`: somebody's own Deployment, which is changed and looked at.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    api::Server,
    looking::{Looked, Looking},
    pods::collection,
    role::permitted,
    watch::real,
};

const ROLE: &str = include_str!("../../deploy/kubernetes/deployment-role.yaml");

/// A rollout of the Deployment `web` with these arguments.
fn start(server: &Server, arguments: &[&str]) -> Looking {
    let command = ["rollout", "--target", "kubernetes", "--out", "websample-watch"];
    Looking::command(server, &command, &[&["--deployment", "web"], arguments].concat())
}

fn image(server: &Server) -> Value {
    let object = server.api.store.get(&collection("apps", "deployments"), "web");
    object.expect("it is there")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

fn changed(server: &Server) -> bool {
    server
        .api
        .requested()
        .iter()
        .any(|(_, resource, verb)| resource == "deployments" && verb == "patch")
}

/// What was made for it is gone again: what is left was there before.
fn left_nothing(server: &Server) {
    let titles = server.api.store.titles();
    assert!(!titles.iter().any(|title| title.starts_with("jobs/")), "{titles:?}");
    assert_eq!(server.api.load_processes(), [0; 0]);
}

fn said(looked: &Looked, words: &[&str]) {
    for word in words {
        assert!(looked.err.contains(word), "no `{word}` in {}", looked.err);
    }
}

#[test]
fn a_deployment_is_rolled_out_under_load_from_a_job() {
    let server = real("drain");
    let arguments = ["--image", "websample:v2", "--yes", "--rate", "40", "--fail-on-loss", "web"];
    let looked = start(&server, &arguments).end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert_eq!(image(&server), "websample:v2");
    left_nothing(&server);
    said(
        &looked,
        &[
            "container websample: image websample:v1 to websample:v2",
            "40 requests/s from a Job of image websample:v1 to the Service at 10.96.0.7:80",
            "is left with the change",
            "kubectl rollout undo deployment/web",
        ],
    );
    let run = &looked.report()["runs"][0];
    assert!(run["requests"].as_u64() > Some(100) && run["lost"] == 0, "{looked:?}");
    assert!(run["clock"]["load_uncertainty"].is_number(), "{run}");
    // The Role has what was asked for, and nothing more.
    let role = permitted(ROLE, "Role");
    assert_eq!(role, server.api.requested(), "{:?}", role.difference(&server.api.requested()));
}

#[test]
fn with_undo_it_is_set_back_in_the_end() {
    let server = real("drain");
    let url = format!("http://{}/", server.api.service_address());
    let arguments = ["--image", "websample:v2", "--yes", "--undo", "--url", &url];
    let looked = start(&server, &arguments).end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert_eq!(image(&server), "websample:v1");
    said(
        &looked,
        &[
            "--undo: in the end",
            "is set back to image websample:v1",
            "is as it was (image websample:v1)",
        ],
    );
    assert!(looked.out.contains("websample:v1 to websample:v2) was over"), "{looked:?}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = real("drain");
    let looked = start(&server, &["--image", "websample:v2", "--dry-run"]).end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    said(&looked, &["nothing was changed", r#"{"image":"websample:v2","name":"websample"}"#]);
    let looked = start(&server, &["--restart", "--dry-run"]).end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    said(&looked, &["kubectl.kubernetes.io/restartedAt"]);
    assert!(!changed(&server));
    left_nothing(&server);
}

#[test]
fn without_a_terminal_it_has_to_be_told_to() {
    let server = real("drain");
    let looked = start(&server, &["--image", "websample:v2"]).end();
    assert_eq!(looked.code, Some(64), "{looked:?}");
    said(&looked, &["--yes: there is nobody to ask"]);
    assert!(!changed(&server));
}

#[test]
fn ctrl_c_names_the_state_that_it_is_left_in() {
    for (undo, words, left) in [
        (&[][..], "is left with the change", "websample:v2"),
        (&["--undo"][..], "is set back to image websample:v1", "websample:v1"),
    ] {
        let server = real("drain");
        let arguments = [&["--image", "websample:v2", "--yes"], undo].concat();
        let mut looking = start(&server, &arguments);
        looking.saw(&["rollout_began"]);
        looking.send(Signal::SIGINT);
        let looked = looking.end();
        assert_eq!(looked.code, Some(130), "{looked:?}");
        said(&looked, &[words]);
        assert_eq!(image(&server), left);
        left_nothing(&server);
    }
}

#[test]
fn what_cannot_be_names_the_option() {
    let server = real("drain");
    for (arguments, words) in [
        (&["--image", "websample:v1"][..], "--image: websample:v1 is its image already"),
        (&["--image", "x:v2", "--container", "y"], "--container: there is no container y"),
        (&[][..], "--deployment: say what is to be changed"),
        (&["--restart", "--modes", "drain"], "--modes: this project's server's"),
        (&["--restart", "--fail-on-loss", "drain"], "--fail-on-loss: drain is not rolled out"),
    ] {
        let looked = start(&server, arguments).end();
        assert_eq!(looked.code, Some(64), "{looked:?}");
        said(&looked, &[words]);
    }
    server.api.forbid("patch", "deployments");
    let looked = start(&server, &["--restart", "--yes"]).end();
    assert_eq!(looked.code, Some(69), "{looked:?}");
    said(&looked, &["patch deployments.apps", "deploy/kubernetes/deployment-role.yaml"]);
    assert!(!changed(&server));
}
