//! Where there is no Kubernetes: files that agree with the settings, and that the programs they are for
//! accept.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use serde_json::Value;
use websample::config::{Handoff, KEYS, Settings};

use crate::{in_repository, program, read};

/// A unit's keys; each is there once.
fn unit(name: &str) -> BTreeMap<String, String> {
    let text = read(&in_repository("deploy/systemd").join(name));
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
    let mut keys = BTreeMap::new();
    for line in lines {
        let (key, value) = line.split_once('=').expect("a key and its value");
        assert!(keys.insert(key.to_owned(), value.to_owned()).is_none(), "{key} is there twice");
    }
    keys
}

fn seconds(text: &str) -> Duration {
    let number = text.trim_matches('"').trim_end_matches('s').parse();
    Duration::from_secs(number.unwrap_or_else(|_| panic!("whole seconds: {text}")))
}

#[test]
fn the_unit_leaves_time_for_a_drain_and_for_a_successor() {
    let service = unit("websample.service");
    let Settings { grace_period, handoff: Handoff { timeout, .. }, .. } = Settings::default();
    assert!(seconds(&service["TimeoutStopSec"]) > grace_period);
    assert!(service["ExecStart"].contains(&format!("--handoff.timeout {}s", timeout.as_secs())));
    assert!(seconds(&service["TimeoutStartSec"]) > timeout);
    assert_eq!(service["Type"], "notify");
    assert_eq!(service["NotifyAccess"], "main");
    assert!(service["ExecReload"].contains("-USR2 $MAINPID"));
    // Others would leave the processes that still finish something, or kill them at once.
    assert_eq!(service["KillMode"], "control-group");
}

#[test]
fn the_socket_is_the_one_that_the_server_would_bind() {
    let socket = unit("websample.socket");
    assert_eq!(socket["ListenStream"], Settings::default().listen.to_string());
    assert_ne!(socket["FileDescriptorName"], websample_connections::ports::ADMIN);
    assert_eq!(socket["Backlog"], websample_connections::BACKLOG.to_string());
}

#[test]
fn systemd_accepts_the_units() {
    let Some(analyze) = program::find("systemd-analyze") else { return };
    // It wants the program to be there.
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["websample.service", "websample.socket"] {
        let text = read(&in_repository("deploy/systemd").join(name));
        let text = text.replace("/usr/local/bin/websample", env!("CARGO_BIN_EXE_websample"));
        fs::write(directory.path().join(name), text).expect("written");
    }
    let files = ["websample.service", "websample.socket"].map(|name| directory.path().join(name));
    let output = Command::new(analyze).arg("verify").args(files).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let about_ours: Vec<_> = said.lines().filter(|line| line.contains("websample.")).collect();
    assert!(about_ours.is_empty(), "{about_ours:#?}");
}

/// Environment variables of a file that are the server's have to be settings of it.
#[track_caller]
fn assert_settings<'a>(names: impl Iterator<Item = &'a str>) {
    for name in names {
        let known = KEYS.iter().any(|key| key.environment_name() == name);
        assert!(known, "{name} is no setting");
    }
}

#[test]
fn nomad_waits_for_the_drain() {
    let text = read(&in_repository("deploy/nomad/websample.nomad.hcl"));
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.trim().split_once('='));
        let found = lines.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
        found.unwrap_or_else(|| panic!("{key} is missing"))
    };
    let grace = seconds(value("WEBSAMPLE_GRACE_PERIOD"));
    assert!(seconds(value("kill_timeout")) >= grace);
    // The client's own max_kill_timeout, where nobody has raised it.
    assert!(seconds(value("kill_timeout")) <= Duration::from_secs(30));
    assert_eq!(value("kill_signal"), "\"SIGTERM\"");
    assert_settings(text.lines().filter_map(|line| {
        let (name, _) = line.trim().split_once('=')?;
        name.starts_with("WEBSAMPLE_").then(|| name.trim())
    }));
    assert_eq!(text.matches('{').count(), text.matches('}').count());
}

#[test]
fn ecs_waits_for_the_drain() {
    let text = read(&in_repository("deploy/ecs/task-definition.json"));
    let task: Value = serde_json::from_str(&text).expect("JSON");
    let container = &task["containerDefinitions"][0];
    let environment: BTreeMap<_, _> = container["environment"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|pair| (pair["name"].as_str().expect("a name"), pair["value"].as_str().expect("text")))
        .collect();
    assert_settings(environment.keys().copied());
    let stop = Duration::from_secs(container["stopTimeout"].as_u64().expect("seconds"));
    assert!(stop >= seconds(environment["WEBSAMPLE_GRACE_PERIOD"]));
    assert!(stop <= Duration::from_secs(120), "Fargate's longest");
    let keep_alive = seconds(environment["WEBSAMPLE_KEEP_ALIVE"]);
    assert!(keep_alive > Duration::from_secs(60), "the load balancer's own idle timeout");
}

#[test]
fn compose_waits_for_the_drain_and_checks_readiness_more_often_than_it_lasts() {
    let text = read(&in_repository("deploy/compose-replicas.yaml"));
    let compose: Value = serde_saphyr::from_str(&text).expect("YAML");
    for name in ["web1", "web2"] {
        let web = &compose["services"][name];
        let settings = web["environment"].as_object().expect("settings");
        assert_settings(settings.keys().map(String::as_str));
        assert_eq!(settings["WEBSAMPLE_INSTANCE"], name);
        let value = |value: &Value| seconds(value.as_str().expect("text"));
        assert!(value(&web["stop_grace_period"]) > value(&settings["WEBSAMPLE_GRACE_PERIOD"]));
        assert!(value(&settings["WEBSAMPLE_DELAY__MIN"]) > Duration::from_secs(1), "inter 1s");
    }
    let mounted = compose["services"]["proxy"]["volumes"][0].as_str().expect("a file");
    let file = mounted.split(':').next().expect("a source");
    let configuration = in_repository("deploy").join(file);
    assert!(read(&configuration).contains("inter 1s fall 1"));
    haproxy_accepts(&configuration);
}

fn haproxy_accepts(configuration: &Path) {
    let Some(haproxy) = program::find("haproxy") else { return };
    let output = Command::new(haproxy).arg("-c").arg("-f").arg(configuration).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_page_names_every_file() {
    let page = read(&in_repository("docs/without-kubernetes.md"));
    for file in [
        "deploy/systemd/websample.service",
        "deploy/systemd/websample.socket",
        "deploy/nomad/websample.nomad.hcl",
        "deploy/ecs/task-definition.json",
        "deploy/compose-replicas.yaml",
        "deploy/haproxy.cfg",
    ] {
        assert!(page.contains(&format!("../{file}")), "{file}");
        assert!(in_repository(file).is_file());
    }
}
