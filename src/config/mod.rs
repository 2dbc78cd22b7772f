//! Configuration: layers in, [`Settings`] out, or every reason why not.
//!
//! Defaults < `websample.toml` < environment < flags. Everything is described by one table,
//! [`KEYS`]: defaults, parsing, the refusal of unknown keys, `--help` and `websample check` are
//! all made from it. Nothing is guessed: a bad value is an error wherever it stands, even where
//! a higher layer would hide it.
//!
//! ```
//! use websample::config::{Settings, Sources};
//!
//! let sources = Sources::none().flag("delay.min", "2s");
//! let settings = Settings::load(&sources).unwrap();
//! assert_eq!(settings.delay.min.as_secs(), 2);
//!
//! let errors = Settings::load(&sources.flag("delay.max", "20")).unwrap_err();
//! assert!(errors.to_string().contains("add the unit"));
//! ```

mod advice;
mod check;
mod choices;
mod environment;
mod error;
mod file;
mod key;
mod keys;
mod layer;
mod load;
mod merged;
mod settings;
mod similar;
mod sources;
mod timeline;
mod value;

pub use self::{
    advice::Advice,
    choices::{Framework, LogFormat, Switch},
    error::{ConfigError, SettingProblem},
    key::{Group, Initial, Key},
    keys::KEYS,
    load::Loaded,
    merged::Effective,
    settings::{Handoff, Hook, Limits, Log, Settings, Tls},
    sources::{ConfigFile, DEFAULT_FILE, Sources},
    timeline::{Moment, timeline},
};
