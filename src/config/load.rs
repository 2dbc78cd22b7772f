//! From the sources to settings that are known to work.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroUsize,
    thread,
};

use config::{Config, Map, Source, Value};
use websample_lifecycle::Delay;

use super::{
    advice::{self, Advice},
    check, environment,
    error::{ConfigError, Problem},
    file,
    key::Initial,
    keys::{self, KEYS},
    layer::{Layer, closest_key, leaves},
    settings::{Hook, Limits, Log, Settings, Tls},
    sources::Sources,
    value::{self, Refusal},
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
        (!name.is_empty()).then(|| value::label(name).ok()).flatten()
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
pub(super) struct Merged(BTreeMap<String, Value>);

impl Merged {
    fn new(layers: [Layer; 5]) -> Result<Self, ConfigError> {
        let mut builder = Config::builder();
        for layer in layers {
            builder = builder.add_source(layer);
        }
        let collected: Result<Map<String, Value>, _> =
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
        self.0.get(key).and_then(Value::origin).unwrap_or(DEFAULT).to_owned()
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
    fn read<T>(&self, key: &str, parse: Parse<T>) -> Result<T, Problem> {
        self.read_if_set(key, parse)?.ok_or_else(|| Problem {
            key: Some(key.to_owned()),
            value: None,
            source: DEFAULT.to_owned(),
            problem: "it is not set".to_owned(),
            remedy: "set it".to_owned(),
        })
    }

    fn read_if_set<T>(&self, key: &str, parse: Parse<T>) -> Result<Option<T>, Problem> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match parse(&value.to_string()) {
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
        use value::{
            address, address_or_off, auto_boolean, count, duration, file, label, log_format,
            log_level, mode, on_drain, path, positive_duration, size, switch, token,
        };
        let tls = self.read_if_set("tls.cert", file)?.zip(self.read_if_set("tls.key", file)?);
        Ok(Settings {
            version: self.read("version", label)?,
            instance: self.read("instance", label)?,
            listen: self.read("listen", address)?,
            admin_listen: self.read("admin.listen", address_or_off)?,
            workers: self.read("workers", count)?,
            mode: self.read("mode", mode)?,
            grace_period: self.read("grace_period", positive_duration)?,
            margin: self.read("margin", duration)?,
            delay: Delay {
                min: self.read("delay.min", duration)?,
                quiet: self.read("delay.quiet", duration)?,
                max: self.read("delay.max", duration)?,
            },
            close_spread: self.read("close.spread", duration)?,
            readiness_on_drain: self.read("readiness.on_drain", on_drain)?,
            hook: Hook {
                token: self.read_if_set("hook.token", token)?,
                on_app_listener: self.read("hook.on_app_listener", auto_boolean)?,
            },
            linger: self.read("linger", duration)?,
            termination_log: self.read("termination_log", path)?,
            keep_alive: self.read("keep_alive", duration)?,
            tls: tls.map(|(cert, key)| Tls { cert, key }),
            limits: Limits {
                sleep: self.read("limits.sleep", duration)?,
                body: self.read("limits.body", size)?,
                header_timeout: self.read("limits.header_timeout", positive_duration)?,
                body_timeout: self.read("limits.body_timeout", positive_duration)?,
                write_timeout: self.read("limits.write_timeout", positive_duration)?,
                connections: self.read("limits.connections", count)?,
                streams: self.read("limits.streams", count)?.get() as u32,
            },
            log: Log {
                format: self.read("log.format", log_format)?,
                level: self.read("log.level", log_level)?,
                connections: self.read("log.connections", switch)?,
            },
        })
    }
}

type Parse<T> = fn(&str) -> Result<T, Refusal>;
