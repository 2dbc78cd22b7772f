//! The layers of the environment: the original's one variable, and `WEBSAMPLE_…`.

use std::ffi::{OsStr, OsString};

use super::{
    error::SettingProblem,
    key::{Key, PREFIX},
    keys::{self, KEYS},
    layer::{Layer, closest_key},
};

/// The original exercise sets this one, in lower case and without a prefix.
const ORIGINAL: &str = "version";

/// The environment as the original program understood it.
pub(super) fn original_layer(environment: &[(OsString, OsString)]) -> Layer {
    let mut layer = Layer::default();
    let given = environment.iter().find(|(name, _)| name == ORIGINAL).map(|(_, value)| value);
    if let (Some(value), Some(key)) =
        (given.filter(|value| value.to_str().is_none()), keys::find(ORIGINAL))
    {
        layer.problems.push(not_text(key, value, describe(ORIGINAL)));
    }
    let value = get(environment, ORIGINAL);
    // An image built without `--build-arg version=…` sets it to nothing, which meant unset.
    if let (Some(value), Some(key)) =
        (value.filter(|value| !value.is_empty()), keys::find(ORIGINAL))
    {
        layer.take(key, value, describe(ORIGINAL));
    }
    layer
}

/// Everything under the prefix.
pub(super) fn layer(environment: &[(OsString, OsString)]) -> Layer {
    let mut layer = Layer::default();
    let mut variables: Vec<_> = environment
        .iter()
        .filter_map(|(name, value)| {
            let name = name.to_string_lossy();
            name.starts_with(PREFIX).then(|| (name.into_owned(), value))
        })
        .collect();
    variables.sort();
    for (name, value) in variables {
        let source = describe(&name);
        let known = KEYS.iter().find(|key| key.environment_name() == name);
        match (known, value.to_str()) {
            (Some(key), Some(value)) => layer.take(key, value.to_owned(), source),
            (Some(key), None) => layer.problems.push(not_text(key, value, source)),
            (None, value) => {
                let value = value.unwrap_or_default();
                if !is_service_link(&name, value) {
                    layer.unknown(&name, value, "environment".to_owned(), meant(&name));
                }
            }
        }
    }
    layer
}

fn not_text(key: &Key, value: &OsStr, source: String) -> SettingProblem {
    SettingProblem {
        key: Some(key.name.to_owned()),
        value: Some(key.shown(&value.to_string_lossy())),
        source,
        problem: "it is not UTF-8".to_owned(),
        remedy: format!("set {}", key.placeholder),
    }
}

/// The value of a variable, if it is text.
pub(super) fn get(environment: &[(OsString, OsString)], name: &str) -> Option<String> {
    let (_, value) = environment.iter().find(|(candidate, _)| candidate == name)?;
    value.to_str().map(str::to_owned)
}

/// A variable, as the source of a value.
pub(super) fn describe(name: &str) -> String {
    format!("environment variable {name}")
}

fn meant(name: &str) -> Option<(&'static Key, String)> {
    let rest = name.strip_prefix(PREFIX)?;
    let key = if rest == "PORT" { keys::find("listen") } else { closest_key(rest) };
    key.map(|key| (key, key.environment_name()))
}

/// Whether Kubernetes set this variable, and not the user.
///
/// Every container gets the Docker-style variables of every Service in its namespace, so a
/// Service named `websample`, or `websample-` and anything, puts names under our prefix
/// (kubernetes, pkg/kubelet/envvars/envvars.go: `FromServices`).
fn is_service_link(name: &str, value: &str) -> bool {
    // The rest is cut at an underscore: WEBSAMPLE_CANARY_SERVICE_HOST is the Service
    // `websample-canary`.
    let mut words: Vec<_> = name.split('_').skip(1).collect();
    while !words.is_empty() {
        let found = match words.as_slice() {
            ["SERVICE", "HOST" | "PORT"] => true,
            ["SERVICE", "PORT", name @ ..] => name.iter().all(|word| !word.is_empty()),
            ["PORT"] => is_link(value),
            ["PORT", number, protocol] => {
                is_port(number) && is_protocol(protocol) && is_link(value)
            }
            ["PORT", number, protocol, "ADDR" | "PORT" | "PROTO"] => {
                is_port(number) && is_protocol(protocol)
            }
            _ => false,
        };
        if found {
            return true;
        }
        words.remove(0);
    }
    false
}

fn is_port(word: &str) -> bool {
    word.parse::<u16>().is_ok()
}

fn is_protocol(word: &str) -> bool {
    matches!(word, "TCP" | "UDP" | "SCTP")
}

fn is_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_told_from_settings() {
        let links = [
            ("WEBSAMPLE_SERVICE_HOST", "10.96.0.7"),
            ("WEBSAMPLE_SERVICE_PORT", "80"),
            ("WEBSAMPLE_SERVICE_PORT_HTTP", "80"),
            ("WEBSAMPLE_SERVICE_PORT_HTTP_ADMIN", "9000"),
            ("WEBSAMPLE_PORT", "tcp://10.96.0.7:80"),
            ("WEBSAMPLE_PORT_5000_TCP", "tcp://10.96.0.7:5000"),
            ("WEBSAMPLE_PORT_5000_TCP_ADDR", "10.96.0.7"),
            ("WEBSAMPLE_PORT_5000_TCP_PORT", "5000"),
            ("WEBSAMPLE_PORT_5000_TCP_PROTO", "tcp"),
            ("WEBSAMPLE_PORT_53_UDP", "udp://10.96.0.7:53"),
            ("WEBSAMPLE_XYZ_SERVICE_HOST", "10.96.0.8"),
            ("WEBSAMPLE_XYZ_ADMIN_PORT_9000_TCP_ADDR", "10.96.0.8"),
            ("WEBSAMPLE_V2_PORT", "tcp://10.96.0.8:80"),
        ];
        for (name, value) in links {
            assert!(is_service_link(name, value), "{name}");
        }
        let others = [
            ("WEBSAMPLE_PORT", "5000"),
            ("WEBSAMPLE_PORT", ""),
            ("WEBSAMPLE_SERVICE", "x"),
            ("WEBSAMPLE_SERVICE_NAME", "x"),
            ("WEBSAMPLE_PORT_HTTP_TCP", "tcp://10.96.0.7:80"),
            ("WEBSAMPLE_PORT_5000_HTTP", "tcp://10.96.0.7:80"),
            ("WEBSAMPLE_PORT_5000", "tcp://10.96.0.7:80"),
            ("WEBSAMPLE_", ""),
        ];
        for (name, value) in others {
            assert!(!is_service_link(name, value), "{name}");
        }
    }

    #[test]
    fn no_setting_looks_like_a_service_link() {
        for key in KEYS {
            assert!(!is_service_link(&key.environment_name(), "tcp://10.0.0.1:80"), "{}", key.name);
        }
    }
}
