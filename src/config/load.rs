//! From the sources to settings that are known to work.

use std::{collections::BTreeSet, fs, num::NonZeroUsize, thread};

use super::{
    advice::{self, Advice},
    check, environment,
    error::ConfigError,
    file,
    key::Initial,
    keys::{self, KEYS},
    layer::{Layer, closest_key},
    merged::{DEFAULT, Effective, Merged},
    settings::Settings,
    sources::Sources,
    value::{Label, Value},
};

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

impl Settings {
    /// Loads and checks everything. Opens no socket.
    ///
    /// # Errors
    /// All that is wrong, with key, value, source and remedy.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Loaded::load(sources).map(|loaded| loaded.settings)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::load(&Sources::none())
            .unwrap_or_else(|error| unreachable!("the defaults are valid: {error}"))
    }
}
