//! What is known of a container's server: how long it goes on accepting after SIGTERM, and how
//! long it then drains.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar};

use super::{
    LONGEST,
    drains::{self, OwnDrain},
    image,
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
    /// How long whatever is in front was seen to go on sending to a pod that was deleted; it counts
    /// where it is more than what is known of those in front.
    pub sending: Option<Duration>,
}

/// What runs in a container.
#[derive(Debug, Clone)]
pub(super) enum Server {
    /// One that the program knows, with what the manifest sets.
    Ours(Box<Termination>),
    /// The same, which refuses what the manifest sets, and why.
    Refusing(String),
    /// Somebody's, with what is said of it, and what its own settings say if they are known.
    Theirs(Told, Option<OwnDrain>),
}

impl Server {
    pub(super) fn of(
        container: &Container,
        maps: &[&Object<ConfigMap>],
        files: &[String],
        told: Told,
        known: &dyn Knows,
    ) -> Self {
        let bounded = |told: Option<Duration>| told.map(|duration| duration.min(LONGEST));
        let told = Told { delay: bounded(told.delay), drain: bounded(told.drain), ..told };
        let variables = variables(container, maps);
        let words: Vec<_> = container
            .command
            .iter()
            .flatten()
            .chain(container.args.iter().flatten())
            // What only the cluster knows is left as it is written.
            .map(|word| expanded(word, &variables).unwrap_or_else(|| word.clone()))
            .collect();
        let known_here: Vec<_> =
            variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let given = Given {
            image: image::name(container.image.as_deref().unwrap_or_default()),
            variables: &known_here,
            words: &words,
        };
        match known.termination(given) {
            None => {
                let files: Vec<_> = files.iter().map(String::as_str).collect();
                let Given { image, variables, words } = given;
                let seen = drains::Seen { image, words, variables, files: &files };
                Self::Theirs(told, drains::given(seen))
            }
            Some(Ok(termination)) => Self::Ours(Box::new(termination)),
            Some(Err(why)) => Self::Refusing(why),
        }
    }

    /// How long it goes on accepting after SIGTERM, at least; `None` is unknown.
    pub(super) fn shortest_delay(&self) -> Option<Duration> {
        match self {
            Self::Ours(termination) => Some(termination.shortest_delay),
            Self::Refusing(_) => None,
            Self::Theirs(told, _) => told.delay,
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
            Self::Theirs(told, _) => told.drain,
        }
    }

    /// What its own settings say of that, where it is one that many people run.
    pub(super) fn own_drain(&self) -> Option<&OwnDrain> {
        match self {
            Self::Theirs(_, own) => own.as_ref(),
            Self::Ours(_) | Self::Refusing(_) => None,
        }
    }

    /// Whether its readiness fails from the start of that delay on, which is its only sign to who
    /// does not watch the endpoints.
    pub(super) fn fails_readiness(&self) -> bool {
        match self {
            Self::Ours(termination) => termination.fails_readiness,
            Self::Refusing(_) => false,
            Self::Theirs(told, _) => told.delay.is_some_and(|delay| !delay.is_zero()),
        }
    }

    /// What is known of its own termination, where it is one that the program knows.
    pub(super) fn termination(&self) -> Option<&Termination> {
        match self {
            Self::Ours(termination) => Some(termination),
            Self::Refusing(_) | Self::Theirs(..) => None,
        }
    }
}

/// A variable, and its value where the manifests show it.
type Variable = (String, Option<String>);

/// The environment, later ones winning: ConfigMaps that were read too, then the container's own.
fn variables(container: &Container, maps: &[&Object<ConfigMap>]) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    for source in container.env_from.iter().flatten() {
        let Some(reference) = &source.config_map_ref else { continue };
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let map = maps.iter().find(|map| map.origin.name == reference.name);
        for (name, value) in map.iter().filter_map(|map| map.object.data.as_ref()).flatten() {
            found.push((format!("{prefix}{name}"), Some(value.clone())));
        }
    }
    for EnvVar { name, value, value_from } in container.env.iter().flatten() {
        // What comes from elsewhere is known only to the cluster, and so left at its default.
        let value = match value_from {
            Some(_) => None,
            None => expanded(value.as_deref().unwrap_or_default(), &found),
        };
        found.retain(|(earlier, _)| earlier != name);
        found.push((name.clone(), value));
    }
    found
}

/// A value with its references to earlier variables replaced; `None` where one of them is known only
/// to the cluster. A reference to nothing stays as it is, and `$$` is one dollar sign
/// (kubernetes: third_party/forked/golang/expansion).
fn expanded(text: &str, variables: &[Variable]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) =
            rest.strip_prefix('(').and_then(|reference| reference.split_once(')'))
        {
            if let Some((_, value)) = variables.iter().rev().find(|(known, _)| known == name) {
                out.push_str(value.as_deref()?);
            } else {
                out.push_str("$(");
                out.push_str(name);
                out.push(')');
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::{node::Node, objects::Origin},
        *,
    };

    fn container(text: &str) -> Container {
        serde_json::from_value(Node::parse(text).unwrap().to_value()).unwrap()
    }

    fn map(name: &str, value: &str) -> Object<ConfigMap> {
        Object {
            origin: Origin::bare("ConfigMap", None, name),
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
        let server = Server::of(&container(text), &[], &[], Told::default(), &Echo);
        let Server::Refusing(given) = server else { panic!("{server:?}") };
        let variables = vec![("ONE".to_owned(), "two".to_owned())];
        let words = ["run", "--a", "b"].map(str::to_owned);
        let expected = Given { image: "websample", variables: &variables, words: &words };
        assert_eq!(given, format!("{expected:?}"));
        assert!(matches!(
            Server::of(&container(text), &[], &[], Told::default(), &()),
            Server::Theirs(..)
        ));
    }

    #[test]
    fn references_to_variables_are_followed_as_far_as_they_are_known() {
        let text = "{ name: a, image: x, args: [--listen, '$(IP):5000', '$(PORT)'], env: [{ name: IP, \
                    valueFrom: { fieldRef: { fieldPath: status.podIP } } }, { name: PORT, value: \
                    '5000' }, { name: A, value: '$(IP):5000' }, { name: B, value: '[::]:$(PORT)' }, \
                    { name: C, value: '$$(PORT) $(NONE) $PORT $(' }] }";
        let container = container(text);
        let known: Vec<_> =
            variables(&container, &[]).into_iter().filter_map(|(n, v)| Some((n, v?))).collect();
        let expected = [("PORT", "5000"), ("B", "[::]:5000"), ("C", "$(PORT) $(NONE) $PORT $(")];
        assert_eq!(known, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let Server::Refusing(given) = Server::of(&container, &[], &[], Told::default(), &Echo)
        else {
            panic!("it knows")
        };
        assert!(given.contains(r#"words: ["--listen", "$(IP):5000", "5000"]"#), "{given}");
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
        let only = |value: &str| vec![("WEBSAMPLE_MODE".to_owned(), Some(value.to_owned()))];
        assert_eq!(mode(""), only("graceful"));
        assert_eq!(mode("{ name: WEBSAMPLE_MODE, value: ignore }"), only("ignore"));
    }

    #[test]
    fn of_somebody_elses_server_only_that_is_known_which_is_told() {
        let none = Server::Theirs(Told::default(), None);
        assert_eq!((none.shortest_delay(), none.longest_delay(), none.drain()), (None, None, None));
        let three = Some(Duration::from_secs(3));
        let told = Server::Theirs(Told { delay: three, ..Told::default() }, None);
        assert_eq!(
            (told.shortest_delay(), told.longest_delay(), told.drain()),
            (three, three, None)
        );
        assert!(told.fails_readiness() && !none.fails_readiness());
    }
}
