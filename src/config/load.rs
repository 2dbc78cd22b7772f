//! From the sources to settings that are known to work.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroUsize,
    thread,
};

use config::{Config, Map, Source};
use websample_lifecycle::Delay;

use super::{
    advice::{self, Advice},
    check, environment,
    error::{ConfigError, Problem},
    file,
    key::{Initial, Setting},
    keys::{self, KEYS},
    layer::{Layer, closest_key, leaves},
    settings::{Hook, Limits, Log, Settings, Tls},
    sources::Sources,
    value::{Label, Refusal, Value},
};

/// Origin of the values that nobody set.
const DEFAULT: &str = "default";

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

/// Settings, and how they came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every setting with its source, in the order of [`KEYS`].
    pub effective: Vec<Effective>,
    /// What works and is worth a second thought.
    pub advice: Vec<Advice>,
}

impl Loaded {
    /// Loads and checks everything. Opens no socket.
    ///
    /// # Errors
    /// All that is wrong, with key, value, source and remedy.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let layers = [
            defaults(sources),
            file::layer(&sources.file),
            environment::original_layer(&sources.environment),
            environment::layer(&sources.environment),
            flags(&sources.flags),
        ];
        let mut problems: Vec<_> =
            layers.iter().flat_map(|layer| layer.problems.iter().cloned()).collect();
        // What builds on a refused value is not judged: its error would be a riddle.
        let refused: BTreeSet<_> = problems
            .iter()
            .filter_map(|problem| keys::find(problem.key.as_deref()?))
            .map(|key| key.name)
            .collect();

        let merged = Merged::new(layers)?;
        let settings = merged.settings()?;
        problems.extend(check::check(&settings, &merged, &refused));
        ConfigError::unless_empty(problems)?;

        let advice = advice::advise(&settings);
        Ok(Self { settings, effective: merged.effective(), advice })
    }
}

/// The layer of the defaults.
fn defaults(sources: &Sources) -> Layer {
    let mut layer = Layer::default();
    for key in KEYS {
        let (value, source) = match key.initial {
            Initial::Unset => continue,
            Initial::Fixed(value) => (value.to_owned(), DEFAULT.to_owned()),
            Initial::Cpus => {
                let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
                (cpus.to_string(), format!("{DEFAULT}: {}", key.initial.shown()))
            }
            Initial::Hostname => (hostname(sources), format!("{DEFAULT}: {}", key.initial.shown())),
        };
        layer.take(key, value, source);
    }
    layer
}

/// The name of the host; in Kubernetes that of the pod.
fn hostname(sources: &Sources) -> String {
    let variable = environment::get(&sources.environment, "HOSTNAME");
    let kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    // Nobody chose these, so one that does not fit is passed over, not refused.
    let usable = |name: String| {
        let name = name.trim();
        (!name.is_empty()).then(|| Label::parse(name).ok()).flatten()
    };
    variable
        .and_then(usable)
        .or_else(|| kernel().and_then(usable))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The layer of the command line.
fn flags(flags: &[(String, String)]) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in flags {
        let source = format!("flag --{name}");
        if let Some(key) = keys::find(name) {
            layer.take(key, value.clone(), source);
        } else {
            let meant = closest_key(name).map(|key| (key, format!("--{}", key.name)));
            layer.unknown(name, value, source, meant);
        }
    }
    layer
}

/// The layers, one over the other.
pub(super) struct Merged(BTreeMap<String, config::Value>);

impl Merged {
    fn new(layers: [Layer; 5]) -> Result<Self, ConfigError> {
        let mut builder = Config::builder();
        for layer in layers {
            builder = builder.add_source(layer);
        }
        let collected: Result<Map<String, config::Value>, _> =
            builder.build().and_then(|merged| merged.collect());
        let table = collected.map_err(|error| Problem {
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

    fn effective(&self) -> Vec<Effective> {
        KEYS.iter()
            .map(|key| Effective {
                key: key.name,
                value: self.shown(key.name),
                source: self.source(key.name),
            })
            .collect()
    }

    /// A value that is set.
    fn read<V: Value>(&self, setting: &Setting<V>) -> Result<V::Is, Problem> {
        self.read_if_set(setting)?.ok_or_else(|| Problem {
            key: Some(setting.key().name.to_owned()),
            value: None,
            source: DEFAULT.to_owned(),
            problem: "it is not set".to_owned(),
            remedy: "set it".to_owned(),
        })
    }

    fn read_if_set<V: Value>(&self, setting: &Setting<V>) -> Result<Option<V::Is>, Problem> {
        let key = setting.key().name;
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match V::parse(&value.to_string()) {
            Ok(value) => Ok(Some(value)),
            Err(Refusal { problem, remedy }) => Err(Problem {
                key: Some(key.to_owned()),
                value: self.shown(key),
                source: self.source(key),
                problem,
                remedy,
            }),
        }
    }

    fn settings(&self) -> Result<Settings, Problem> {
        let tls = self.read_if_set(&keys::TLS_CERT)?.zip(self.read_if_set(&keys::TLS_KEY)?);
        Ok(Settings {
            version: self.read(&keys::VERSION)?,
            instance: self.read(&keys::INSTANCE)?,
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
