//! What there is to know about one setting.

use super::value::{self, Refusal};

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

/// The kind of a value: how it is written and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A short name that fits into a header and a label.
    Label,
    /// A header's value that is not repeated anywhere.
    Secret,
    /// A [`Mode`](websample_lifecycle::Mode).
    Mode,
    /// An IP address and a port.
    Address,
    /// An IP address and a port, or `off`.
    AddressOrOff,
    /// `500ms`, `5s`, `2m`.
    Duration,
    /// The same, but not zero.
    PositiveDuration,
    /// `64KiB`, `1MiB`.
    Size,
    /// A whole number from 1.
    Count,
    /// `auto`, `true` or `false`: a [`Switch`](super::Switch).
    AutoBool,
    /// A path that need not exist.
    Path,
    /// The path of a file that can be read.
    File,
    /// An [`OnDrain`](super::OnDrain).
    OnDrain,
    /// A [`LogFormat`](super::LogFormat).
    LogFormat,
    /// A level of logging.
    LogLevel,
    /// A [`Switch`](super::Switch).
    Switch,
}

impl Kind {
    /// How a value looks, for help.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Label => "NAME",
            Self::Secret => "TOKEN",
            Self::Mode => "ignore|immediate|graceful|drain",
            Self::Address => "ADDRESS:PORT",
            Self::AddressOrOff => "ADDRESS:PORT|off",
            Self::Duration | Self::PositiveDuration => "DURATION",
            Self::Size => "SIZE",
            Self::Count => "N",
            Self::AutoBool => "auto|true|false",
            Self::Path | Self::File => "FILE",
            Self::OnDrain => "fail|keep",
            Self::LogFormat => "auto|human|json",
            Self::LogLevel => "off|error|warn|info|debug|trace",
            Self::Switch => "auto|on|off",
        }
    }

    /// Whether the text is a value of this kind.
    pub(super) fn check(self, text: &str) -> Result<(), Refusal> {
        match self {
            Self::Label => value::label(text).map(drop),
            Self::Secret => value::token(text).map(drop),
            Self::Mode => value::mode(text).map(drop),
            Self::Address => value::address(text).map(drop),
            Self::AddressOrOff => value::address_or_off(text).map(drop),
            Self::Duration => value::duration(text).map(drop),
            Self::PositiveDuration => value::positive_duration(text).map(drop),
            Self::Size => value::size(text).map(drop),
            Self::Count => value::count(text).map(drop),
            Self::AutoBool => value::auto_boolean(text).map(drop),
            Self::Path => value::path(text).map(drop),
            Self::File => value::file(text).map(drop),
            Self::OnDrain => value::on_drain(text).map(drop),
            Self::LogFormat => value::log_format(text).map(drop),
            Self::LogLevel => value::log_level(text).map(drop),
            Self::Switch => value::switch(text).map(drop),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As in the file (`.` between levels) and as the flag.
    pub name: &'static str,
    /// How it is written and checked.
    pub kind: Kind,
    /// What holds where nobody sets it.
    pub initial: Initial,
    /// What it is about.
    pub group: Group,
    /// One line, with the unit.
    pub doc: &'static str,
}

impl Key {
    /// The name of the environment variable: `WEBSAMPLE_DELAY__MIN` for `delay.min`.
    pub fn environment_name(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('.', "__").to_uppercase())
    }

    /// The value as it may be shown.
    pub(super) fn shown(&self, value: &str) -> String {
        if self.kind == Kind::Secret { "(hidden)".to_owned() } else { value.to_owned() }
    }
}
