//! Settings that are one of a few words.

/// What the sample server is built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// actix-web.
    Actix,
    /// hyper.
    #[cfg(feature = "hyper")]
    Hyper,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// For eyes.
    Human,
    /// For collectors.
    Json,
}

impl LogFormat {
    /// Whether to write JSON, given whether somebody watches on a terminal.
    pub const fn is_json(self, terminal: bool) -> bool {
        match self {
            Self::Auto => !terminal,
            Self::Human => false,
            Self::Json => true,
        }
    }
}

/// On, off, or as fits the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// As fits the mode.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}
