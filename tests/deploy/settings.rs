//! The pods are given what the server expects: everything is compared with the server's own
//! settings, read from the pod's own environment.

use std::time::Duration;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, HTTPGetAction},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use websample::config::{Settings, Sources};
use websample_actix::{LIVENESS, PRESTOP, READINESS};
use websample_lifecycle::Mode;

use crate::{
    objects::{Object, all, container, deployment, pods},
    rendered::{file, modes, render},
};

/// What the server in this container makes of its environment.
fn settings(container: &Container) -> Settings {
    let sources = container.env.iter().flatten().fold(Sources::none(), |sources, variable| {
        sources.variable(&variable.name, variable.value.as_deref().expect("a plain value"))
    });
    Settings::load(&sources).unwrap_or_else(|error| panic!("{error}"))
}

/// The number of a port that is one, or the name of one that the container exposes.
fn number(container: &Container, port: &IntOrString) -> u16 {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            container
                .ports
                .iter()
                .flatten()
                .find(|exposed| exposed.name.as_deref() == Some(name))
                .unwrap_or_else(|| panic!("the container exposes no port {name}"))
                .container_port
        }
    };
    assert!(
        container.ports.iter().flatten().any(|exposed| exposed.container_port == number),
        "the container does not expose {number}"
    );
    u16::try_from(number).expect("a port")
}

/// Where the kubelet asks, and for what.
fn asked<'a>(container: &Container, action: Option<&'a HTTPGetAction>) -> (u16, &'a str) {
    let action = action.expect("an httpGet");
    assert_eq!(action.scheme.as_deref().unwrap_or("HTTP"), "HTTP");
    (number(container, &action.port), action.path.as_deref().unwrap_or("/"))
}

fn probes_and_hook(deployment: &Deployment) -> [(u16, String); 3] {
    let container = container(deployment);
    let readiness = container.readiness_probe.as_ref().expect("a readiness probe");
    let liveness = container.liveness_probe.as_ref().expect("a liveness probe");
    let hook = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()).expect("a hook");
    [&readiness.http_get, &liveness.http_get, &hook.http_get].map(|action| {
        let (port, path) = asked(container, action.as_ref());
        (port, path.to_owned())
    })
}

fn seconds(value: Option<i32>, default: i32) -> Duration {
    Duration::from_secs(u64::try_from(value.unwrap_or(default)).expect("not negative"))
}

fn grace(deployment: &Deployment) -> Duration {
    let grace = pods(deployment).spec.as_ref().and_then(|s| s.termination_grace_period_seconds);
    Duration::from_secs(u64::try_from(grace.expect("it is written down")).expect("positive"))
}

fn variants() -> Option<Vec<(&'static str, Vec<Object>)>> {
    let rendered = modes()
        .map(|(mode, directory)| Some((mode, render(&directory)?)))
        .collect::<Option<Vec<_>>>()?;
    Some([("drain", render("base")?)].into_iter().chain(rendered).collect())
}

#[test]
fn grace_ports_probes_and_hook_are_the_servers() {
    let Some(variants) = variants() else { return };
    for (mode, objects) in variants {
        let deployment = deployment(&objects);
        let container = container(deployment);
        let settings = settings(container);
        assert_eq!(settings.mode.name(), mode);
        assert_eq!(
            pods(deployment).metadata.as_ref().unwrap().labels.as_ref().unwrap()["mode"],
            mode
        );

        assert_eq!(settings.grace_period, grace(deployment), "{mode}");
        settings.policy().check().unwrap_or_else(|error| panic!("{mode}: {error}"));

        let admin = settings.admin_listen.expect("an admin listener").port();
        let port = |name: &str| number(container, &IntOrString::String(name.to_owned()));
        assert_eq!(port("http"), settings.listen.port());
        assert_eq!(port("admin"), admin);
        assert_eq!(
            probes_and_hook(deployment),
            [READINESS, LIVENESS, PRESTOP].map(|path| (admin, path.to_owned()))
        );
        // Nobody calls it there, so nobody can.
        assert!(!settings.has_hook_on_app_listener());

        let message = container.termination_message_path.as_deref();
        assert_eq!(message, settings.termination_log.to_str());
    }
}

/// Where endpoints are removed because readiness fails, that has to happen in the lame duck.
#[test]
fn readiness_is_noticed_while_the_server_still_accepts() {
    let deployment = file("base/deployment.yaml");
    let container = container(self::deployment(&deployment));
    let probe = container.readiness_probe.as_ref().expect("a readiness probe");
    let period = seconds(probe.period_seconds, 10);
    let noticed = period * u32::try_from(probe.failure_threshold.unwrap_or(3)).unwrap()
        + seconds(probe.timeout_seconds, 1);
    assert!(noticed < settings(container).delay.min, "{noticed:?}");
    assert!(seconds(probe.timeout_seconds, 1) <= period);
}

#[test]
fn base_needs_nothing_but_its_mode_and_grace_to_be_said() {
    let deployment = file("base/deployment.yaml");
    let settings = settings(container(self::deployment(&deployment)));
    let expected = Settings {
        workers: settings.workers,
        hook: settings.hook.clone(),
        // The host's name, which is the pod's.
        instance: settings.instance.clone(),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
}

#[test]
fn the_version_is_the_images() {
    for objects in [file("base/deployment.yaml"), file("original/deployment.yaml")] {
        let container = container(deployment(&objects));
        assert_eq!(container.image.as_deref(), Some("websample:v1"));
        assert_eq!(container.image_pull_policy.as_deref(), Some("IfNotPresent"));
        let sets_it = |name: &str| matches!(name, "version" | "WEBSAMPLE_VERSION");
        assert!(!container.env.iter().flatten().any(|variable| sets_it(&variable.name)));
    }
}

#[test]
fn a_rollout_of_base_never_has_fewer_pods_than_it_should() {
    let deployment = file("base/deployment.yaml");
    let spec = &self::deployment(&deployment).spec;
    let rolling = spec.strategy.as_ref().and_then(|s| s.rolling_update.as_ref()).unwrap();
    assert_eq!(rolling.max_unavailable, Some(IntOrString::Int(0)));
    assert_eq!(rolling.max_surge, Some(IntOrString::String("25%".to_owned())));
    let budget = file("base/poddisruptionbudget.yaml");
    let budget = all!(budget, PodDisruptionBudget).next().unwrap().spec.as_ref().unwrap();
    let Some(IntOrString::Int(disrupted)) = budget.max_unavailable else { panic!("a number") };
    let replicas = spec.replicas.unwrap();
    assert!(0 < disrupted && disrupted < replicas, "{disrupted} of {replicas}");
}

#[test]
fn the_original_is_the_exercise_as_it_was() {
    let Some(objects) = render("original") else { return };
    let deployment = deployment(&objects);
    let settings = settings(container(deployment));
    assert_eq!(settings.mode, Mode::Ignore);
    assert!(settings.has_hook_on_app_listener(), "everything is on the one port");
    let unchanged = Settings {
        mode: Mode::Ignore,
        instance: settings.instance.clone(),
        hook: settings.hook.clone(),
        ..Settings::default()
    };
    assert_eq!(settings, unchanged);
    assert_eq!(grace(deployment), Duration::from_secs(30));
    let port = settings.listen.port();
    assert_eq!(port, 5000);
    assert_eq!(
        probes_and_hook(deployment),
        ["/readiness", "/liveness", "/prestop"].map(|path| (port, path.to_owned()))
    );
    let rolling = deployment.spec.strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
    let quarter = Some(IntOrString::String("25%".to_owned()));
    let rolling = rolling.expect("a rolling update");
    assert_eq!((&rolling.max_surge, &rolling.max_unavailable), (&quarter, &quarter));
}
