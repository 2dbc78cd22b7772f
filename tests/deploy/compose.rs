//! The compose file: what it names is there, and everything is in one network.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{in_repository, read};

/// As far as it is used here; the compose specification knows more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    name: String,
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    image: String,
    build: Option<Build>,
    #[serde(default)]
    command: Vec<String>,
    network_mode: Option<String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    depends_on: BTreeMap<String, BTreeMap<String, String>>,
    healthcheck: Option<Value>,
    read_only: Option<bool>,
    #[serde(default)]
    tmpfs: Vec<String>,
    #[serde(default)]
    cap_drop: Vec<String>,
    #[serde(default)]
    security_opt: Vec<String>,
    #[serde(rename = "stop_grace_period")]
    _stop_grace_period: Option<String>,
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    context: String,
    dockerfile: String,
    args: BTreeMap<String, String>,
}

fn compose() -> Compose {
    let text = read(&in_repository("deploy/compose.yaml"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn everything_is_in_prometheus_network_and_waits_for_it() {
    let compose = compose();
    assert_eq!(compose.name, "websample");
    let names: Vec<_> = compose.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["grafana", "prometheus", "websample"]);
    for (name, service) in &compose.services {
        if name == "prometheus" {
            assert!(service.network_mode.is_none() && service.healthcheck.is_some());
            continue;
        }
        assert_eq!(service.network_mode.as_deref(), Some("service:prometheus"), "{name}");
        assert!(service.ports.is_empty(), "{name}: a shared network has no ports of its own");
        assert_eq!(service.depends_on["prometheus"]["condition"], "service_healthy", "{name}");
    }
    // Nothing is for the network that this machine is in.
    let ports = &compose.services["prometheus"].ports;
    assert!(!ports.is_empty() && ports.iter().all(|port| port.starts_with("127.0.0.1:")));
}

#[test]
fn images_are_pinned() {
    for (name, service) in compose().services {
        let last = service.image.rsplit('/').next().unwrap_or_default();
        let (_, tag) = last.split_once(':').unwrap_or_else(|| panic!("{name} has no tag"));
        // ${NAME:-default}
        let tag = tag.split_once(":-").map_or(tag, |(_, default)| default.trim_end_matches('}'));
        if service.build.is_some() {
            assert_eq!(tag, "lab", "{name}");
        } else {
            let digits: Vec<_> = tag.trim_start_matches('v').split('.').collect();
            let pinned = digits.len() == 3 && digits.iter().all(|part| part.parse::<u32>().is_ok());
            assert!(pinned, "{name}: {tag}");
        }
    }
}

#[test]
fn what_is_mounted_and_built_is_there() {
    let compose = compose();
    let deploy = in_repository("deploy");
    for (name, service) in &compose.services {
        for volume in &service.volumes {
            let (source, rest) = volume.split_once(':').expect("source:target");
            if source.starts_with('.') {
                assert!(deploy.join(source).is_dir(), "{name}: {source}");
                assert!(rest.ends_with(":ro"), "{name}: {source} is the repository's");
            } else {
                assert!(compose.volumes.contains_key(source), "{name}: {source}");
            }
        }
    }
    let build = compose.services["websample"].build.as_ref().expect("the lab is built here");
    let context = deploy.join(&build.context);
    assert_eq!(context.canonicalize().unwrap(), in_repository("").canonicalize().unwrap());
    assert!(context.join(&build.dockerfile).is_file());
    assert_eq!(build.args["features"], "lab");
}

#[test]
fn the_lab_is_where_prometheus_looks_for_it() {
    let compose = compose();
    let command = &compose.services["websample"].command;
    assert_eq!(command[0], "rollout");
    let at = command.iter().position(|word| word == "--metrics").expect("--metrics");
    let configuration = read(&in_repository("deploy/prometheus/prometheus.yml"));
    assert!(configuration.contains(&command[at + 1]), "{}", command[at + 1]);
    let out = command.iter().position(|word| word == "--out").expect("--out");
    let volumes = &compose.services["websample"].volumes;
    assert!(volumes.iter().any(|volume| volume.ends_with(&format!(":{}", command[out + 1]))));
}

#[test]
fn the_lab_can_do_nothing_but_its_work() {
    let lab = &compose().services["websample"];
    assert_eq!(lab.read_only, Some(true));
    assert_eq!(lab.cap_drop, ["ALL"]);
    assert_eq!(lab.security_opt, ["no-new-privileges:true"]);
    assert_eq!(lab.tmpfs, ["/tmp"]);
    assert_eq!(lab.user.as_deref(), Some("0:0"), "who owns the volume");
}

#[test]
fn nobody_has_to_log_in_and_the_comparison_is_what_they_see() {
    let grafana = &compose().services["grafana"];
    assert_eq!(grafana.environment["GF_AUTH_ANONYMOUS_ENABLED"], "true");
    assert_eq!(grafana.environment["GF_AUTH_ANONYMOUS_ORG_ROLE"], "Viewer");
    let home = &grafana.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let mounted = grafana.volumes.iter().find_map(|volume| {
        let mut parts = volume.split(':');
        let (source, target) = (parts.next()?, parts.next()?);
        let below = home.strip_prefix(target)?;
        Some(in_repository("deploy").join(source).join(below.trim_start_matches('/')))
    });
    let file = mounted.expect("it is in something that is mounted");
    assert!(file.is_file(), "{}", file.display());
}
