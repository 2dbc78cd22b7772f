//! The arithmetic of a container's end (facts section 2; `killContainer` in the kubelet).

use std::time::Duration;

/// The kubelet never lets a pod's grace period be shorter (facts 2.1).
pub const SHORTEST_GRACE: Duration = Duration::from_secs(1);

/// What a process gets between SIGTERM and SIGKILL at the very least (facts 2.5).
pub const SHORTEST_REMAINING: Duration = Duration::from_secs(2);

/// The grace period in effect: raised to at least one second (facts 2.1).
pub fn effective_grace(requested: Duration) -> Duration {
    requested.max(SHORTEST_GRACE)
}

/// From SIGTERM to SIGKILL: the grace less the whole seconds that the hook took, truncated,
/// and never under two seconds, hook or no hook (facts 2.5).
pub fn remaining(grace: Duration, hook_took: Duration) -> Duration {
    let whole_seconds = Duration::from_secs(hook_took.as_secs());
    effective_grace(grace).saturating_sub(whole_seconds).max(SHORTEST_REMAINING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn rule_2_1_the_grace_is_at_least_a_second() {
        assert_eq!(effective_grace(Duration::ZERO), ms(1_000));
        assert_eq!(effective_grace(ms(1)), ms(1_000));
        assert_eq!(effective_grace(ms(30_000)), ms(30_000));
    }

    #[test]
    fn rule_2_5_remaining() {
        // (grace, the hook took, SIGKILL this long after SIGTERM)
        let table = [
            (30_000, 0, 30_000),
            (30_000, 999, 30_000),
            (30_000, 1_000, 29_000),
            (30_000, 5_012, 25_000),
            (30_000, 27_999, 3_000),
            (30_000, 28_500, 2_000),
            // Uses all of it: SIGTERM at 30, SIGKILL at 32.
            (30_000, 30_000, 2_000),
            (30_000, 31_000, 2_000),
            (1_000, 0, 2_000),
            (0, 0, 2_000),
            // Rule 8.6: sleep 50 in a grace of 100 may end at 100.
            (100_000, 50_003, 50_000),
        ];
        for (grace, took, expected) in table {
            assert_eq!(remaining(ms(grace), ms(took)), ms(expected), "grace {grace} hook {took}");
        }
    }
}
