//! Where settings come from.

use std::{env, ffi::OsString, path::PathBuf};

/// The file that is read where none is named, if it is there.
pub const DEFAULT_FILE: &str = "websample.toml";

/// Which file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// None.
    No,
    /// This one, if it exists.
    Optional(PathBuf),
    /// This one, which has to exist.
    Required(PathBuf),
}

/// Everything that settings are read from; plain data, so that tests depend on nothing else.
#[derive(Debug, Clone)]
pub struct Sources {
    pub(super) file: ConfigFile,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) flags: Vec<(String, String)>,
}

impl Sources {
    /// Nothing but the defaults.
    pub const fn none() -> Self {
        Self { file: ConfigFile::No, environment: Vec::new(), flags: Vec::new() }
    }

    /// The process's environment, and the default file of the working directory.
    pub fn process() -> Self {
        Self {
            file: ConfigFile::Optional(PathBuf::from(DEFAULT_FILE)),
            environment: env::vars_os().collect(),
            flags: Vec::new(),
        }
    }

    /// Reads this file instead.
    #[must_use]
    pub fn file(mut self, file: ConfigFile) -> Self {
        self.file = file;
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds a flag: the key's name, without dashes.
    #[must_use]
    pub fn flag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.flags.push((key.into(), value.into()));
        self
    }
}
