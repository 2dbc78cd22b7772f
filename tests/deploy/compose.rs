//! The compose file: what it names is there, and everything is in one network.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{in_repository, read};

/// As far as it is used here; the compose specification knows more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
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
        let Some(build) = service.build else {
            assert!(is_pinned(&service.image), "{name}: {}", service.image);
            continue;
        };
        assert_eq!(service.image, "websample:lab");
        assert!(is_pinned(&build.args["BASE"]), "{name}: {}", build.args["BASE"]);
    }
}

/// Whether an image is pinned to the patch, where nobody says otherwise: `name:${VERSION:-1.2.3}`.
fn is_pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(":-").and_then(|(_, default)| default.strip_suffix('}'));
    let numbers: Vec<_> = tag.unwrap_or_default().trim_start_matches('v').split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
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

#[test]
fn what_the_provisioning_asks_for_is_set() {
    let compose = compose();
    let grafana = &compose.services["grafana"];
    let mut asked = Vec::new();
    for directory in ["dashboards", "datasources"] {
        let text =
            read(&in_repository(&format!("grafana/provisioning/{directory}/websample.yaml")));
        let values = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        asked.extend(values.filter_map(|line| Some(line.split_once(": $")?.1.to_owned())));
    }
    asked.sort();
    assert_eq!(asked, ["GRAFANA_DASHBOARDS", "PROMETHEUS_URL"]);
    // In the network that they share.
    let listens = compose.services["prometheus"]
        .command
        .iter()
        .find_map(|word| word.strip_prefix("--web.listen-address=0.0.0.0:").map(ToOwned::to_owned));
    let url = format!("http://127.0.0.1:{}", listens.expect("where Prometheus listens"));
    assert_eq!(grafana.environment["PROMETHEUS_URL"], url);
    let dashboards = &grafana.environment["GRAFANA_DASHBOARDS"];
    assert!(grafana.volumes.contains(&format!("../grafana/dashboards:{dashboards}:ro")));
}
