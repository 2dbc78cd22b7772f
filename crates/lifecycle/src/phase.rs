//! The phases of a server's life, and which may follow which.

use std::fmt;

/// Where a server stands between its start and its exit.
///
/// `Starting → Serving → LameDuck → Draining → Drained → (exit)`. It moves forward only; the
/// one way back is [`LameDuck`](Phase::LameDuck) to [`Serving`](Phase::Serving), when a hook was
/// called and no signal followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Phase {
    /// Listeners are not yet all bound or start-up work is not done; not ready.
    Starting,
    /// Ready, and serving.
    Serving,
    /// Not ready any more, but still accepting and serving everything, while traffic moves away.
    LameDuck,
    /// No new connections; what is in flight runs to its end.
    Draining,
    /// The traffic side is closed; only the admin listener is left.
    Drained,
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 5] =
        [Self::Starting, Self::Serving, Self::LameDuck, Self::Draining, Self::Drained];

    /// The name used in logs, metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::LameDuck => "lame_duck",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }

    /// The table of legal transitions; every change of phase is checked against it.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Starting, Self::Serving | Self::Draining)
                | (Self::Serving, Self::LameDuck | Self::Draining)
                // To Serving: the un-drain, possible until draining begins.
                | (Self::LameDuck, Self::Draining | Self::Serving)
                | (Self::Draining, Self::Drained)
        )
    }

    /// Whether the readiness probe succeeds.
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Serving)
    }

    pub(super) const fn from_index(index: u8) -> Self {
        Self::ALL[index as usize]
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::{self, Drained, Draining, LameDuck, Serving, Starting};

    #[test]
    fn exactly_these_transitions_are_legal() {
        let legal = [
            (Starting, Serving),
            (Starting, Draining),
            (Serving, LameDuck),
            (Serving, Draining),
            (LameDuck, Serving),
            (LameDuck, Draining),
            (Draining, Drained),
        ];
        for from in Phase::ALL {
            for to in Phase::ALL {
                assert_eq!(from.may_become(to), legal.contains(&(from, to)), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn only_serving_is_ready() {
        assert_eq!(Phase::ALL.map(Phase::is_ready), [false, true, false, false, false]);
    }
}
