//! How many connections the limit of open files allows.

use rustix::process::{Resource, getrlimit};

/// What the limit of open files leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Connections of the traffic listeners.
    pub traffic: usize,
    /// Connections of the admin listeners.
    pub admin: usize,
}

impl Places {
    /// For this process, which has what it needs but connections.
    pub fn of_this_process() -> Self {
        // Without a limit, the settings' own are the only ones.
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self::within(limit, open_files())
    }

    /// Idle clients must not take the descriptors that a probe needs: a pod that is full would be
    /// killed for it. Some are kept for what the application opens while it serves.
    fn within(limit: usize, used: usize) -> Self {
        let admin = (limit / 16).clamp(8, 256);
        let application = (limit / 32).clamp(8, 256);
        let traffic = limit.saturating_sub(used + admin + application).max(1);
        Self { traffic, admin }
    }
}

/// Descriptors that are open now.
fn open_files() -> usize {
    // Elsewhere than on Linux nobody tells; a server has few before its first connection.
    std::fs::read_dir("/proc/self/fd").map_or(32, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_for_probes_and_for_the_application() {
        for (limit, used, traffic, admin) in [
            (64, 14, 34, 8),
            (1_024, 14, 914, 64),
            (20_000, 20, 19_468, 256),
            (usize::MAX, 20, usize::MAX - 532, 256),
            // Too few for anything: one at a time is better than none.
            (16, 14, 1, 8),
        ] {
            assert_eq!(Places::within(limit, used), Places { traffic, admin }, "{limit}");
        }
    }
}
