//! The layers, one over the other, and the settings that they come to.

use std::collections::BTreeMap;

use config::{Config, Map, Source as _};
use websample_lifecycle::Delay;

use super::{
    error::{ConfigError, SettingProblem},
    key::Setting,
    keys::{self, KEYS},
    layer::{Layer, leaves},
    settings::{Handoff, Hook, Limits, Log, Settings, Tls},
    value::{Refusal, Value},
};

/// Origin of the values that nobody set.
pub(super) const DEFAULT: &str = "default";

/// A setting as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Effective {
    /// The key.
    pub key: &'static str,
    /// The value as it was written; secrets are hidden, `None` is unset.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: String,
}

/// The layers, one over the other.
pub(super) struct Merged(BTreeMap<String, config::Value>);

impl Merged {
    pub(super) fn new(layers: [Layer; 5]) -> Result<Self, ConfigError> {
        let mut builder = Config::builder();
        for layer in layers {
            builder = builder.add_source(layer);
        }
        let collected: Result<Map<String, config::Value>, _> =
            builder.build().and_then(|merged| merged.collect());
        let table = collected.map_err(|error| SettingProblem {
            key: None,
            value: None,
            source: "configuration".to_owned(),
            problem: format!("its layers cannot be merged: {error}"),
            remedy: "please report this".to_owned(),
        })?;
        Ok(Self(leaves(table).into_iter().collect()))
    }

    /// Where a value came from.
    pub(super) fn source(&self, key: &str) -> String {
        self.0.get(key).and_then(config::Value::origin).unwrap_or(DEFAULT).to_owned()
    }

    /// Whether somebody chose this value.
    pub(super) fn is_set(&self, key: &str) -> bool {
        let source = self.source(key);
        source != DEFAULT && !source.starts_with(&format!("{DEFAULT}: "))
    }

    /// The value as it may be shown, if it is set.
    pub(super) fn shown(&self, key: &str) -> Option<String> {
        let text = self.0.get(key)?.to_string();
        Some(keys::find(key).map_or(text.clone(), |key| key.shown(&text)))
    }

    pub(super) fn effective(&self) -> Vec<Effective> {
        KEYS.iter()
            .map(|key| Effective {
                key: key.name,
                value: self.shown(key.name),
                source: self.source(key.name),
            })
            .collect()
    }

    /// A value that is set.
    fn read<V: Value>(&self, setting: &Setting<V>) -> Result<V::Is, SettingProblem> {
        self.read_if_set(setting)?.ok_or_else(|| SettingProblem {
            key: Some(setting.key().name.to_owned()),
            value: None,
            source: DEFAULT.to_owned(),
            problem: "it is not set".to_owned(),
            remedy: "set it".to_owned(),
        })
    }

    fn read_if_set<V: Value>(&self, setting: &Setting<V>) -> Result<Option<V::Is>, SettingProblem> {
        let key = setting.key().name;
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match V::parse(&value.to_string()) {
            Ok(value) => Ok(Some(value)),
            Err(Refusal { problem, remedy }) => Err(SettingProblem {
                key: Some(key.to_owned()),
                value: self.shown(key),
                source: self.source(key),
                problem,
                remedy,
            }),
        }
    }

    pub(super) fn settings(&self) -> Result<Settings, SettingProblem> {
        let tls = self.read_if_set(&keys::TLS_CERT)?.zip(self.read_if_set(&keys::TLS_KEY)?);
        Ok(Settings {
            version: self.read(&keys::VERSION)?,
            instance: self.read(&keys::INSTANCE)?,
            framework: self.read(&keys::FRAMEWORK)?,
            listen: self.read(&keys::LISTEN)?,
            admin_listen: self.read(&keys::ADMIN_LISTEN)?,
            workers: self.read(&keys::WORKERS)?,
            mode: self.read(&keys::MODE)?,
            grace_period: self.read(&keys::GRACE_PERIOD)?,
            margin: self.read(&keys::MARGIN)?,
            delay: Delay {
                min: self.read(&keys::DELAY_MIN)?,
                quiet: self.read(&keys::DELAY_QUIET)?,
                max: self.read(&keys::DELAY_MAX)?,
            },
            close_spread: self.read(&keys::CLOSE_SPREAD)?,
            readiness_on_drain: self.read(&keys::READINESS_ON_DRAIN)?,
            hook: Hook {
                token: self.read_if_set(&keys::HOOK_TOKEN)?,
                on_app_listener: self.read(&keys::HOOK_ON_APP_LISTENER)?,
            },
            handoff: Handoff {
                program: self.read_if_set(&keys::HANDOFF_PROGRAM)?,
                timeout: self.read(&keys::HANDOFF_TIMEOUT)?,
            },
            linger: self.read(&keys::LINGER)?,
            termination_log: self.read(&keys::TERMINATION_LOG)?,
            keep_alive: self.read(&keys::KEEP_ALIVE)?,
            tls: tls.map(|(cert, key)| Tls { cert, key }),
            limits: Limits {
                sleep: self.read(&keys::LIMITS_SLEEP)?,
                body: self.read(&keys::LIMITS_BODY)?,
                header_timeout: self.read(&keys::LIMITS_HEADER_TIMEOUT)?,
                body_timeout: self.read(&keys::LIMITS_BODY_TIMEOUT)?,
                write_timeout: self.read(&keys::LIMITS_WRITE_TIMEOUT)?,
                connections: self.read(&keys::LIMITS_CONNECTIONS)?,
                streams: self.read(&keys::LIMITS_STREAMS)?.get() as u32,
            },
            log: Log {
                format: self.read(&keys::LOG_FORMAT)?,
                level: self.read(&keys::LOG_LEVEL)?,
                connections: self.read(&keys::LOG_CONNECTIONS)?,
            },
        })
    }
}
