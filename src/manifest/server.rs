//! What is known of a container's server: how long it goes on accepting after SIGTERM, and how
//! long it then drains.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar};

use super::{LONGEST, image, objects::Object};
use crate::{
    config::{KEYS, Kind, OnDrain, Settings, Sources},
    lifecycle::Mode,
};

/// What is said of servers that are not ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// How long they fail readiness and go on accepting after SIGTERM.
    pub delay: Option<Duration>,
    /// How long they then take to finish, at most.
    pub drain: Option<Duration>,
}

/// What runs in a container.
#[derive(Debug, Clone)]
pub(super) enum Server {
    /// The sample server, with what the manifest sets.
    Ours(Box<Settings>),
    /// The sample server, which refuses what the manifest sets, and why.
    Refusing(String),
    /// Somebody's.
    Theirs(Told),
}

impl Server {
    pub(super) fn of(container: &Container, maps: &[&Object<ConfigMap>], told: Told) -> Self {
        let bounded = |told: Option<Duration>| told.map(|duration| duration.min(LONGEST));
        let told = Told { delay: bounded(told.delay), drain: bounded(told.drain) };
        let variables = variables(container, maps);
        let image = container.image.as_deref().unwrap_or_default();
        // Not that somebody configures us, but that they configure what reads it.
        let ours = image::name(image) == "websample"
            || variables
                .iter()
                .any(|(name, _)| KEYS.iter().any(|key| key.environment_name() == *name));
        if !ours {
            return Self::Theirs(told);
        }
        match Settings::load(&sources(&variables, container)) {
            Ok(settings) => Self::Ours(Box::new(settings)),
            Err(error) => Self::Refusing(error.to_string()),
        }
    }

    /// How long it goes on accepting after SIGTERM, at least; `None` is unknown.
    pub(super) fn shortest_delay(&self) -> Option<Duration> {
        match self {
            Self::Ours(settings) => Some(match settings.mode {
                Mode::Drain => settings.delay.min,
                Mode::Graceful | Mode::Immediate => Duration::ZERO,
                Mode::Ignore => settings.grace_period,
            }),
            Self::Refusing(_) => None,
            Self::Theirs(told) => told.delay,
        }
    }

    /// The same, at most.
    pub(super) fn longest_delay(&self) -> Option<Duration> {
        match self {
            Self::Ours(settings) => Some(settings.policy().longest_delay()),
            _ => self.shortest_delay(),
        }
    }

    /// How long it may take to finish what is in flight after that; `None` is unknown.
    pub(super) fn drain(&self) -> Option<Duration> {
        match self {
            Self::Ours(settings) => match settings.mode {
                Mode::Drain | Mode::Graceful => Some(settings.policy().drain_budget()),
                Mode::Immediate | Mode::Ignore => Some(Duration::ZERO),
            },
            Self::Refusing(_) => None,
            Self::Theirs(told) => told.drain,
        }
    }

    /// Whether its readiness fails from the start of that delay on, which is its only sign to who
    /// does not watch the endpoints.
    pub(super) fn fails_readiness(&self) -> bool {
        match self {
            Self::Ours(settings) => {
                settings.mode == Mode::Drain && settings.readiness_on_drain == OnDrain::Fail
            }
            Self::Refusing(_) => false,
            Self::Theirs(told) => told.delay.is_some_and(|delay| !delay.is_zero()),
        }
    }

    pub(super) fn settings(&self) -> Option<&Settings> {
        match self {
            Self::Ours(settings) => Some(settings),
            Self::Refusing(_) | Self::Theirs(_) => None,
        }
    }
}

/// The environment as far as the manifests show it, later ones winning: ConfigMaps that were read
/// too, then the container's own.
fn variables(container: &Container, maps: &[&Object<ConfigMap>]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for source in container.env_from.iter().flatten() {
        let Some(reference) = &source.config_map_ref else { continue };
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let map = maps.iter().find(|map| map.origin.name == reference.name);
        for (name, value) in map.iter().filter_map(|map| map.object.data.as_ref()).flatten() {
            found.push((format!("{prefix}{name}"), value.clone()));
        }
    }
    for EnvVar { name, value, value_from } in container.env.iter().flatten() {
        found.retain(|(earlier, _)| earlier != name);
        // What comes from elsewhere is known only to the cluster, and so left at its default.
        if value_from.is_none() {
            found.push((name.clone(), value.clone().unwrap_or_default()));
        }
    }
    found
}

/// What our own loader would be given in the container.
fn sources(variables: &[(String, String)], container: &Container) -> Sources {
    let elsewhere = |name: &str| {
        // A file of the image or of a volume: it cannot be looked for here.
        KEYS.iter().any(|key| {
            key.kind == Kind::File && (key.environment_name() == name || key.name == name)
        })
    };
    let sources = variables
        .iter()
        .filter(|(name, _)| !elsewhere(name))
        .fold(Sources::none(), |sources, (name, value)| sources.variable(name, value));
    flags(container)
        .into_iter()
        .filter(|(key, _)| !elsewhere(key))
        .fold(sources, |sources, (key, value)| sources.flag(key, value))
}

/// The settings among a container's arguments: `--key value` and `--key=value`.
fn flags(container: &Container) -> Vec<(String, String)> {
    let words = container.command.iter().flatten().chain(container.args.iter().flatten());
    let mut words = words.peekable();
    let mut flags = Vec::new();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, words.peek().map(|value| (*value).clone())),
        };
        // Whether there is such a flag is the server's to say: `--config` is none of its settings.
        if let (true, Some(value)) = (KEYS.iter().any(|key| key.name == name), value) {
            flags.push((name.to_owned(), value));
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, rc::Rc};

    use super::{
        super::{node::Node, objects::Origin},
        *,
    };

    fn container(text: &str) -> Container {
        serde_json::from_value(Node::parse(text).unwrap().to_value()).unwrap()
    }

    fn of(text: &str) -> Server {
        Server::of(&container(text), &[], Told::default())
    }

    fn settings(text: &str) -> Settings {
        let server = of(text);
        server.settings().unwrap_or_else(|| panic!("{server:?}")).clone()
    }

    #[test]
    fn ours_is_known_by_its_image_or_its_environment() {
        assert!(matches!(of("{ name: a, image: nginx }"), Server::Theirs(_)));
        assert!(matches!(of("{ name: a, image: 'r.io/x/websample:v2' }"), Server::Ours(_)));
        let variable =
            |name: &str| of(&format!("{{ name: a, env: [{{ name: {name}, value: 2s }}] }}"));
        assert!(matches!(variable("WEBSAMPLE_DELAY__MIN"), Server::Ours(_)));
        assert!(matches!(variable("WEBSAMPLE_URL"), Server::Theirs(_)));
    }

    #[test]
    fn its_settings_are_those_of_the_container() {
        let settings = settings(
            "{ name: a, image: websample, args: [serve, --delay.max, 9s, --mode=graceful, \
             --config, x.toml], env: [{ name: WEBSAMPLE_GRACE_PERIOD, value: 60s }, { name: \
             WEBSAMPLE_MODE, value: ignore }, { name: WEBSAMPLE_HOOK__TOKEN, valueFrom: { \
             secretKeyRef: { name: s, key: k } } }, { name: WEBSAMPLE_TLS__CERT, value: /tls/c }] }",
        );
        assert_eq!(settings.grace_period, Duration::from_secs(60));
        assert_eq!(settings.delay.max, Duration::from_secs(9));
        assert_eq!(settings.mode, Mode::Graceful);
        assert_eq!(settings.tls, None);
    }

    #[test]
    fn what_it_refuses_is_told_in_its_own_words() {
        let server =
            of("{ name: a, image: websample, env: [{ name: WEBSAMPLE_MODE, value: drian }] }");
        let Server::Refusing(why) = server else { panic!("{server:?}") };
        assert!(why.contains("did you mean `drain`?"), "{why}");
    }

    #[test]
    fn config_maps_count_and_the_containers_own_variables_win() {
        let map = |name: &str, value: &str| Object {
            origin: Origin {
                file: Rc::from("x"),
                kind: "ConfigMap".to_owned(),
                namespace: None,
                name: name.to_owned(),
                unknown: Vec::new(),
                node: Rc::new(Node::parse("{}").unwrap()),
            },
            object: ConfigMap {
                data: Some(BTreeMap::from([("MODE".to_owned(), value.to_owned())])),
                ..ConfigMap::default()
            },
        };
        let (one, other) = (map("one", "graceful"), map("other", "immediate"));
        let mode = |env: &str| {
            let text = format!(
                "{{ name: a, image: websample, envFrom: [{{ prefix: WEBSAMPLE_, configMapRef: {{ \
                 name: one }} }}], env: [{env}] }}"
            );
            let server = Server::of(&container(&text), &[&other, &one], Told::default());
            server.settings().unwrap().mode
        };
        assert_eq!(mode(""), Mode::Graceful);
        assert_eq!(mode("{ name: WEBSAMPLE_MODE, value: ignore }"), Mode::Ignore);
    }

    #[test]
    fn how_long_it_stays() {
        let seconds = |server: &Server| {
            let of = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
            (of(server.shortest_delay()), of(server.longest_delay()), of(server.drain()))
        };
        let ours = |mode: &str| {
            of(&format!(
                "{{ name: a, image: websample, env: [{{ name: WEBSAMPLE_MODE, value: {mode} }}] }}"
            ))
        };
        assert_eq!(seconds(&ours("drain")), (Some(5), Some(15), Some(13)));
        assert_eq!(seconds(&ours("graceful")), (Some(0), Some(0), Some(28)));
        assert_eq!(seconds(&ours("immediate")), (Some(0), Some(0), Some(0)));
        assert_eq!(seconds(&of("{ name: a }")), (None, None, None));
        let told = Told { delay: Some(Duration::from_secs(3)), drain: None };
        assert_eq!(seconds(&Server::Theirs(told)), (Some(3), Some(3), None));
        assert!(Server::Theirs(told).fails_readiness() && ours("drain").fails_readiness());
        assert!(!ours("graceful").fails_readiness());
    }
}
