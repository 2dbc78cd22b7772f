//! How far a rolling update may go above and below the wanted number of replicas.

use std::{fmt, str::FromStr};

/// A count or a share, as in `maxSurge: 1` and `maxSurge: 25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntOrPercent {
    /// So many pods.
    Int(u32),
    /// So many percent of the replicas.
    Percent(u32),
}

/// Why a text is neither a count nor a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither a number of pods such as 1 nor a percentage such as 25%")]
pub struct ParseIntOrPercentError(String);

impl FromStr for IntOrPercent {
    type Err = ParseIntOrPercentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseIntOrPercentError(text.to_owned());
        // u32 would also take "+1".
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().ok_or_else(error)
        };
        match text.strip_suffix('%') {
            Some(digits) => number(digits).map(Self::Percent),
            None => number(text).map(Self::Int),
        }
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl IntOrPercent {
    /// The number of pods that this is of so many; where it comes out uneven, the next one up or
    /// down.
    pub fn of(self, replicas: u32, round_up: bool) -> u32 {
        match self {
            Self::Int(count) => count,
            Self::Percent(percent) => {
                let product = u64::from(percent) * u64::from(replicas);
                let share = if round_up { product.div_ceil(100) } else { product / 100 };
                u32::try_from(share).unwrap_or(u32::MAX)
            }
        }
    }
}

/// The bounds of a rolling update, in pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenceposts {
    /// The replicas that are wanted.
    pub replicas: u32,
    /// How many more may exist, not counting terminating ones.
    pub max_surge: u32,
    /// How many may be unavailable.
    pub max_unavailable: u32,
}

impl Fenceposts {
    /// Surge rounds up, unavailable rounds down; where both come to 0, unavailable becomes 1
    /// (facts 3.1, `ResolveFenceposts`).
    pub fn resolve(replicas: u32, surge: IntOrPercent, unavailable: IntOrPercent) -> Self {
        let max_surge = surge.of(replicas, true);
        let max_unavailable = match (max_surge, unavailable.of(replicas, false)) {
            (0, 0) => 1,
            (_, unavailable) => unavailable,
        };
        // More than all of them cannot be unavailable (deploymentutil.MaxUnavailable).
        Self { replicas, max_surge, max_unavailable: max_unavailable.min(replicas) }
    }

    /// The most pods that may exist, not counting terminating ones.
    pub fn max_total(self) -> u32 {
        self.replicas.saturating_add(self.max_surge)
    }

    /// The fewest pods that must be available.
    pub fn min_available(self) -> u32 {
        self.replicas - self.max_unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::{
        IntOrPercent::{Int, Percent},
        *,
    };

    #[test]
    fn rule_3_1_fenceposts() {
        // (replicas, surge, unavailable, resolved surge, resolved unavailable)
        let table = [
            (4, Percent(25), Percent(25), 1, 1),
            (1, Percent(25), Percent(25), 1, 0), // rule 3.6
            (3, Percent(25), Percent(25), 1, 0),
            (10, Percent(25), Percent(25), 3, 2),
            (4, Int(0), Int(0), 0, 1),
            (4, Int(0), Percent(10), 0, 1),
            (4, Percent(0), Percent(0), 0, 1),
            (4, Int(2), Int(0), 2, 0),
            (4, Percent(100), Percent(100), 4, 4),
            (2, Int(0), Int(9), 0, 2),
            (0, Percent(25), Percent(25), 0, 0),
        ];
        for (replicas, surge, unavailable, max_surge, max_unavailable) in table {
            assert_eq!(
                Fenceposts::resolve(replicas, surge, unavailable),
                Fenceposts { replicas, max_surge, max_unavailable },
                "{replicas} {surge} {unavailable}"
            );
        }
    }

    #[test]
    fn parsing() {
        for (text, value) in [("0", Int(0)), ("12", Int(12)), ("25%", Percent(25))] {
            assert_eq!(text.parse(), Ok(value));
            assert_eq!(value.to_string(), text);
        }
        for text in ["", "%", "-1", "+1", "2.5%", "25 %", "all", "99999999999", "1%%"] {
            let error = text.parse::<IntOrPercent>().unwrap_err();
            assert!(error.to_string().contains(&format!("'{text}'")), "{error}");
        }
    }
}
