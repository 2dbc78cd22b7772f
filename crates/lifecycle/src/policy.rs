//! What a server is asked to do when it is told to go, and whether that can work.

use std::{fmt, str::FromStr, time::Duration};

/// What the server does on a termination signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(rename_all = "snake_case"))]
pub enum Mode {
    /// Logs the signal and goes on serving, ready, until SIGKILL: the original exercise.
    Ignore,
    /// Exits at once: what a program does that handles nothing.
    Immediate,
    /// Stops accepting at once, finishes what is in flight, exits: what most frameworks call
    /// graceful shutdown.
    Graceful,
    /// Readiness off, goes on accepting while traffic moves away, then closes and finishes.
    #[default]
    Drain,
}

impl Mode {
    /// Every mode, from the most naive to the one that loses nothing.
    pub const ALL: [Self; 4] = [Self::Ignore, Self::Immediate, Self::Graceful, Self::Drain];

    /// The name used in settings, logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Immediate => "immediate",
            Self::Graceful => "graceful",
            Self::Drain => "drain",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The word is not the name of a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a drain mode: use ignore, immediate, graceful or drain")]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

/// How long the lame duck lasts.
///
/// It ends after `min`, and after that once no new request has come for `quiet`, at the latest
/// at `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// The least time to go on accepting. It has to cover the propagation of the endpoint's
    /// removal: 1.2 s for kube-proxy, 4.3 s for ingress-nginx.
    pub min: Duration,
    /// No new request for this long means that traffic has moved away.
    pub quiet: Duration,
    /// The most time to go on accepting, whatever still arrives.
    pub max: Duration,
}

impl Default for Delay {
    fn default() -> Self {
        Self {
            min: Duration::from_secs(5),
            quiet: Duration::from_secs(1),
            max: Duration::from_secs(15),
        }
    }
}

/// Everything the lifecycle decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What a termination signal does.
    pub mode: Mode,
    /// The pod's `terminationGracePeriodSeconds`: SIGKILL comes this long after termination
    /// began.
    pub grace_period: Duration,
    /// Kept free at the end of the grace period, for the report and the exit.
    pub margin: Duration,
    /// How long the lame duck lasts.
    pub delay: Delay,
    /// Bound of the wait for the last scrape once everything is drained.
    pub linger: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            grace_period: Duration::from_secs(30),
            margin: Duration::from_secs(2),
            delay: Delay::default(),
            linger: Duration::from_secs(20),
        }
    }
}

/// A budget that does not add up: which setting, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct BudgetError {
    /// The key of the setting to change.
    pub key: &'static str,
    /// What does not fit.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl Policy {
    /// From the start of the termination to the instant at which what still runs is cut.
    pub fn deadline(&self) -> Duration {
        self.grace_period.saturating_sub(self.margin)
    }

    /// What is left for requests in flight when the lame duck lasts as long as it may.
    pub fn drain_budget(&self) -> Duration {
        self.deadline().saturating_sub(self.longest_delay())
    }

    /// The longest the lame duck can last in this mode.
    pub fn longest_delay(&self) -> Duration {
        if self.mode == Mode::Drain { self.delay.max } else { Duration::ZERO }
    }

    /// Checks that the parts fit into the grace period.
    ///
    /// # Errors
    /// Names the setting that cannot work and what would be right.
    pub fn check(&self) -> Result<(), BudgetError> {
        let shown = |duration: Duration| format!("{duration:?}");
        let fail = |key, problem, remedy| Err(BudgetError { key, problem, remedy });
        let Self { grace_period, margin, delay, .. } = *self;
        if grace_period.is_zero() {
            return fail(
                "grace_period",
                "a grace period of 0 leaves no time for anything".to_owned(),
                "set it to the pod's terminationGracePeriodSeconds (30s by default)".to_owned(),
            );
        }
        if margin >= grace_period {
            return fail(
                "margin",
                format!(
                    "the margin ({}) uses up the whole grace period ({})",
                    shown(margin),
                    shown(grace_period)
                ),
                "make it a small part of the grace period, such as 2s of 30s".to_owned(),
            );
        }
        if self.mode != Mode::Drain {
            return Ok(());
        }
        if delay.min > delay.max {
            return fail(
                "delay.min",
                format!(
                    "delay.min ({}) is longer than delay.max ({})",
                    shown(delay.min),
                    shown(delay.max)
                ),
                format!("lower delay.min or raise delay.max to at least {}", shown(delay.min)),
            );
        }
        if delay.max + margin >= grace_period {
            let grace = Duration::from_secs((delay.max + margin).as_secs() + 1);
            return fail(
                "delay.max",
                format!(
                    "delay.max ({}) and margin ({}) leave nothing of the grace period ({}) for \
                     requests in flight",
                    shown(delay.max),
                    shown(margin),
                    shown(grace_period)
                ),
                format!(
                    "lower delay.max, or raise grace_period and the pod's \
                     terminationGracePeriodSeconds to more than {}",
                    shown(grace)
                ),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn defaults_add_up_and_leave_time_to_drain() {
        let policy = Policy::default();
        assert_eq!(policy.check(), Ok(()));
        assert_eq!(policy.deadline(), secs(28));
        assert_eq!(policy.drain_budget(), secs(13));
    }

    #[test]
    fn budgets_that_do_not_add_up_name_the_key() {
        let good = Policy::default();
        let delay = |min, max| Delay { min: secs(min), max: secs(max), ..Delay::default() };
        let cases = [
            (Policy { grace_period: secs(0), ..good }, "grace_period"),
            (Policy { margin: secs(30), ..good }, "margin"),
            (Policy { delay: delay(6, 5), ..good }, "delay.min"),
            (Policy { delay: delay(5, 28), ..good }, "delay.max"),
            (Policy { grace_period: secs(17), ..good }, "delay.max"),
        ];
        for (policy, key) in cases {
            assert_eq!(policy.check().map_err(|e| e.key), Err(key), "{policy:?}");
        }
    }

    #[test]
    fn modes_without_a_delay_do_not_budget_for_one() {
        for mode in [Mode::Ignore, Mode::Immediate, Mode::Graceful] {
            let policy = Policy { mode, grace_period: secs(5), ..Policy::default() };
            assert_eq!(policy.check(), Ok(()));
            assert_eq!(policy.drain_budget(), secs(3));
        }
    }

    #[test]
    fn mode_names_round_trip() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        let error = "Drain".parse::<Mode>().unwrap_err().to_string();
        assert!(error.contains("ignore, immediate, graceful or drain"), "{error}");
    }
}
