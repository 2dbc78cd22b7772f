//! What is known of a container's server: how long it goes on accepting after SIGTERM, and how
//! long it then drains.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar};

use super::{
    LONGEST, image,
    known::{Given, Knows, Termination},
    objects::Object,
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
    /// One that the program knows, with what the manifest sets.
    Ours(Box<Termination>),
    /// The same, which refuses what the manifest sets, and why.
    Refusing(String),
    /// Somebody's.
    Theirs(Told),
}

impl Server {
    pub(super) fn of(
        container: &Container,
        maps: &[&Object<ConfigMap>],
        told: Told,
        known: &dyn Knows,
    ) -> Self {
        let bounded = |told: Option<Duration>| told.map(|duration| duration.min(LONGEST));
        let told = Told { delay: bounded(told.delay), drain: bounded(told.drain) };
        let words: Vec<_> = container
            .command
            .iter()
            .flatten()
            .chain(container.args.iter().flatten())
            .cloned()
            .collect();
        let given = Given {
            image: image::name(container.image.as_deref().unwrap_or_default()),
            variables: &variables(container, maps),
            words: &words,
        };
        match known.termination(given) {
            None => Self::Theirs(told),
            Some(Ok(termination)) => Self::Ours(Box::new(termination)),
            Some(Err(why)) => Self::Refusing(why),
        }
    }

    /// How long it goes on accepting after SIGTERM, at least; `None` is unknown.
    pub(super) fn shortest_delay(&self) -> Option<Duration> {
        match self {
            Self::Ours(termination) => Some(termination.shortest_delay),
            Self::Refusing(_) => None,
            Self::Theirs(told) => told.delay,
        }
    }

    /// The same, at most.
    pub(super) fn longest_delay(&self) -> Option<Duration> {
        match self {
            Self::Ours(termination) => Some(termination.longest_delay),
            _ => self.shortest_delay(),
        }
    }

    /// How long it may take to finish what is in flight after that; `None` is unknown.
    pub(super) fn drain(&self) -> Option<Duration> {
        match self {
            Self::Ours(termination) => Some(termination.drain),
            Self::Refusing(_) => None,
            Self::Theirs(told) => told.drain,
        }
    }

    /// Whether its readiness fails from the start of that delay on, which is its only sign to who
    /// does not watch the endpoints.
    pub(super) fn fails_readiness(&self) -> bool {
        match self {
            Self::Ours(termination) => termination.fails_readiness,
            Self::Refusing(_) => false,
            Self::Theirs(told) => told.delay.is_some_and(|delay| !delay.is_zero()),
        }
    }

    /// What is known of its own termination, where it is one that the program knows.
    pub(super) fn termination(&self) -> Option<&Termination> {
        match self {
            Self::Ours(termination) => Some(termination),
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

    fn map(name: &str, value: &str) -> Object<ConfigMap> {
        Object {
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
        }
    }

    /// Refuses whatever it is given, and says what that was.
    struct Echo;

    impl Knows for Echo {
        fn termination(&self, given: Given<'_>) -> Option<Result<Termination, String>> {
            Some(Err(format!("{given:?}")))
        }
    }

    #[test]
    fn whoever_knows_servers_is_given_the_container() {
        let text = "{ name: a, image: 'r.io/x/websample:v2', command: [run], args: [--a, b], env: \
                    [{ name: SECRET, valueFrom: { secretKeyRef: { name: s, key: k } } }, { name: \
                    ONE, value: two }] }";
        let server = Server::of(&container(text), &[], Told::default(), &Echo);
        let Server::Refusing(given) = server else { panic!("{server:?}") };
        let variables = vec![("ONE".to_owned(), "two".to_owned())];
        let words = ["run", "--a", "b"].map(str::to_owned);
        let expected = Given { image: "websample", variables: &variables, words: &words };
        assert_eq!(given, format!("{expected:?}"));
        assert!(matches!(
            Server::of(&container(text), &[], Told::default(), &()),
            Server::Theirs(_)
        ));
    }

    #[test]
    fn config_maps_count_and_the_containers_own_variables_win() {
        let (one, other) = (map("one", "graceful"), map("other", "immediate"));
        let mode = |env: &str| {
            let text = format!(
                "{{ name: a, envFrom: [{{ prefix: WEBSAMPLE_, configMapRef: {{ name: one }} }}], \
                 env: [{env}] }}"
            );
            variables(&container(&text), &[&other, &one])
        };
        let only = |value: &str| vec![("WEBSAMPLE_MODE".to_owned(), value.to_owned())];
        assert_eq!(mode(""), only("graceful"));
        assert_eq!(mode("{ name: WEBSAMPLE_MODE, value: ignore }"), only("ignore"));
    }

    #[test]
    fn of_somebody_elses_server_only_that_is_known_which_is_told() {
        let none = Server::Theirs(Told::default());
        assert_eq!((none.shortest_delay(), none.longest_delay(), none.drain()), (None, None, None));
        let three = Some(Duration::from_secs(3));
        let told = Server::Theirs(Told { delay: three, drain: None });
        assert_eq!(
            (told.shortest_delay(), told.longest_delay(), told.drain()),
            (three, three, None)
        );
        assert!(told.fails_readiness() && !none.fails_readiness());
    }
}
