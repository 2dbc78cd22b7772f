//! What there is to know about one setting.

use std::marker::PhantomData;

use super::value::{Refusal, Value};

/// Prefix of the environment's names.
pub(super) const PREFIX: &str = "WEBSAMPLE_";

/// What a setting is about; the headings of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Who this server is and where it listens.
    Server,
    /// How it goes away.
    Shutdown,
    /// Bounds and transport.
    Http,
    /// What it tells.
    Logs,
}

impl Group {
    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Shutdown => "Shutdown",
            Self::Http => "HTTP",
            Self::Logs => "Logs",
        }
    }
}

/// What holds where nobody sets a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// This value.
    Fixed(&'static str),
    /// Nothing.
    Unset,
    /// The number of CPUs that this process may use.
    Cpus,
    /// The name of the host: of the pod, in Kubernetes.
    Hostname,
}

impl Initial {
    /// For help.
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Fixed(value) => value,
            Self::Unset => "none",
            Self::Cpus => "number of CPUs",
            Self::Hostname => "name of the host",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As in the file (`.` between levels) and as the flag.
    pub name: &'static str,
    /// How a value looks, for help.
    pub placeholder: &'static str,
    /// What holds where nobody sets it.
    pub initial: Initial,
    /// What it is about.
    pub group: Group,
    /// One line, with the unit.
    pub doc: &'static str,
    /// Whether it names a file that has to be there.
    pub is_file: bool,
    /// A text that looks like a number is still a text, and has to be written as one.
    pub(super) is_text: bool,
    pub(super) is_secret: bool,
    check: fn(&str) -> Result<(), Refusal>,
}

impl Key {
    /// The name of the environment variable: `WEBSAMPLE_DELAY__MIN` for `delay.min`.
    pub fn environment_name(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('.', "__").to_uppercase())
    }

    /// Whether the text is a value of this setting.
    pub(super) fn check(&self, text: &str) -> Result<(), Refusal> {
        (self.check)(text)
    }

    /// The value as it may be shown.
    pub(super) fn shown(&self, value: &str) -> String {
        if self.is_secret { "(hidden)".to_owned() } else { value.to_owned() }
    }
}

/// A setting with the type of its value.
pub(super) struct Setting<V> {
    key: Key,
    of: PhantomData<V>,
}

impl<V: Value> Setting<V> {
    pub(super) const fn new(
        group: Group,
        name: &'static str,
        initial: Initial,
        doc: &'static str,
    ) -> Self {
        let key = Key {
            name,
            placeholder: V::PLACEHOLDER,
            initial,
            group,
            doc,
            is_file: V::IS_FILE,
            is_text: V::IS_TEXT,
            is_secret: V::IS_SECRET,
            check: |text| V::parse(text).map(drop),
        };
        Self { key, of: PhantomData }
    }

    pub(super) const fn key(&self) -> Key {
        self.key
    }
}
