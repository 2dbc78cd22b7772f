//! What the check of manifests has to know of the sample server: how it ends with the settings that
//! a container gives it.

use std::time::Duration;

use websample_actix::{OnDrain, PRESTOP, TOKEN_HEADER};
use websample_lifecycle::Mode;
use websample_manifest::{Given, Knows, OnTermination, OwnHook, Termination};

use crate::config::{KEYS, Settings, Sources};

/// The sample server, known by its image or by its environment.
#[derive(Debug, Clone, Copy)]
pub struct SampleServer;

impl Knows for SampleServer {
    fn termination(&self, given: Given<'_>) -> Option<Result<Termination, String>> {
        // Not that somebody configures us, but that they configure what reads it.
        let configured = given
            .variables
            .iter()
            .any(|(name, _)| KEYS.iter().any(|key| key.environment_name() == *name));
        (given.image == "websample" || configured).then(|| {
            Settings::load(&sources(given))
                .map(|settings| termination(&settings))
                .map_err(|error| error.to_string())
        })
    }
}

fn termination(settings: &Settings) -> Termination {
    let policy = settings.policy();
    let (on_termination, shortest_delay, drain) = match settings.mode {
        Mode::Drain => (OnTermination::Drains, settings.delay.min, policy.drain_budget()),
        Mode::Graceful => (OnTermination::Finishes, Duration::ZERO, policy.drain_budget()),
        Mode::Immediate => (OnTermination::Exits, Duration::ZERO, Duration::ZERO),
        Mode::Ignore => (OnTermination::Ignores, settings.grace_period, Duration::ZERO),
    };
    Termination {
        on_termination,
        grace: settings.grace_period,
        shortest_delay,
        longest_delay: policy.longest_delay(),
        drain,
        fails_readiness: settings.mode == Mode::Drain
            && settings.readiness_on_drain != OnDrain::Keep,
        port: settings.listen.port(),
        admin_port: settings.admin_listen.map(|address| address.port()),
        hook: OwnHook {
            path: PRESTOP,
            on_app_port: settings.has_hook_on_app_listener(),
            token_header: settings.hook.token.as_ref().map(|_| TOKEN_HEADER),
        },
    }
}

/// What our own loader would be given in the container.
fn sources(given: Given<'_>) -> Sources {
    let elsewhere = |name: &str| {
        // A file of the image or of a volume: it cannot be looked for here.
        KEYS.iter().any(|key| key.is_file && (key.environment_name() == name || key.name == name))
    };
    let sources = given
        .variables
        .iter()
        .filter(|(name, _)| !elsewhere(name))
        .fold(Sources::none(), |sources, (name, value)| sources.variable(name, value));
    flags(given.words)
        .into_iter()
        .filter(|(key, _)| !elsewhere(key))
        .fold(sources, |sources, (key, value)| sources.flag(key, value))
}

/// The settings among a container's arguments: `--key value` and `--key=value`.
fn flags(words: &[String]) -> Vec<(String, String)> {
    let mut words = words.iter().peekable();
    let mut flags = Vec::new();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, words.peek().map(|value| (*value).clone())),
        };
        // Whether there is such a flag is the server's to say: `--config` is none of its settings.
        // A reference that is left is to what only the cluster knows.
        let value = value.filter(|value| !value.contains("$("));
        if let (true, Some(value)) = (KEYS.iter().any(|key| key.name == name), value) {
            flags.push((name.to_owned(), value));
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        image: &str,
        words: &[&str],
        variables: &[(&str, &str)],
    ) -> Option<Result<Termination, String>> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        SampleServer.termination(Given { image, variables: &variables, words: &words })
    }

    #[test]
    fn ours_is_known_by_its_image_or_its_environment() {
        assert_eq!(of("nginx", &[], &[]), None);
        assert!(matches!(of("websample", &[], &[]), Some(Ok(_))));
        assert!(matches!(of("a", &[], &[("WEBSAMPLE_DELAY__MIN", "2s")]), Some(Ok(_))));
        assert_eq!(of("a", &[], &[("WEBSAMPLE_URL", "2s")]), None);
    }

    #[test]
    fn its_settings_are_those_of_the_container() {
        let server = of(
            "websample",
            &["serve", "--delay.max", "9s", "--mode=graceful", "--config", "x.toml"],
            &[
                ("WEBSAMPLE_GRACE_PERIOD", "60s"),
                ("WEBSAMPLE_MODE", "ignore"),
                ("WEBSAMPLE_TLS__CERT", "/tls/c"),
            ],
        );
        let server = server.unwrap().unwrap();
        assert_eq!(server.grace, Duration::from_secs(60));
        assert_eq!(server.on_termination, OnTermination::Finishes);
    }

    #[test]
    fn what_only_the_cluster_knows_is_no_error() {
        let server = of("websample", &["--listen", "$(POD_IP):5000", "--admin.listen=off"], &[]);
        assert_eq!(server.unwrap().unwrap().admin_port, None);
    }

    #[test]
    fn what_it_refuses_is_told_in_its_own_words() {
        let why = of("websample", &[], &[("WEBSAMPLE_MODE", "drian")]).unwrap().unwrap_err();
        assert!(why.contains("did you mean `drain`?"), "{why}");
    }

    #[test]
    fn how_long_it_stays() {
        let seconds = |mode: &str| {
            let server = of("websample", &[], &[("WEBSAMPLE_MODE", mode)]).unwrap().unwrap();
            let Termination { shortest_delay, longest_delay, drain, fails_readiness, .. } = server;
            (
                [shortest_delay, longest_delay, drain].map(|duration| duration.as_secs()),
                fails_readiness,
            )
        };
        assert_eq!(seconds("drain"), ([5, 15, 13], true));
        assert_eq!(seconds("graceful"), ([0, 0, 28], false));
        assert_eq!(seconds("immediate"), ([0, 0, 0], false));
        assert_eq!(seconds("ignore"), ([30, 0, 0], false));
    }
}
