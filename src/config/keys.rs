//! The table of settings.

use super::key::{
    Group::{Http, Logs, Server, Shutdown},
    Initial::{self, Cpus, Fixed, Hostname, Unset},
    Key, Kind,
};

/// Every setting there is.
pub const KEYS: &[Key] = &[
    // Server
    key(
        Server,
        "version",
        Kind::Label,
        Fixed("v1"),
        "Version to answer as: v1 answers 201, v2 202, any other 200",
    ),
    key(Server, "instance", Kind::Label, Hostname, "Name of this instance, in answers and logs"),
    key(Server, "listen", Kind::Address, Fixed("0.0.0.0:5000"), "Where the application listens"),
    key(
        Server,
        "admin.listen",
        Kind::AddressOrOff,
        Fixed("0.0.0.0:9000"),
        "Where metrics, status, probes and hook are served besides",
    ),
    key(Server, "workers", Kind::Count, Cpus, "Worker threads"),
    // Shutdown
    key(Shutdown, "mode", Kind::Mode, Fixed("drain"), "What a termination signal does"),
    key(
        Shutdown,
        "grace_period",
        Kind::PositiveDuration,
        Fixed("30s"),
        "The pod's terminationGracePeriodSeconds: SIGKILL comes this long after termination began",
    ),
    key(
        Shutdown,
        "margin",
        Kind::Duration,
        Fixed("2s"),
        "Kept free at the end of the grace period, for the report and the exit",
    ),
    key(
        Shutdown,
        "delay.min",
        Kind::Duration,
        Fixed("5s"),
        "Least time to go on accepting: over the 1.2s of a kube-proxy and the 4.3s of an ingress-nginx",
    ),
    key(
        Shutdown,
        "delay.quiet",
        Kind::Duration,
        Fixed("1s"),
        "After delay.min: no new request for this long means that traffic has moved away",
    ),
    key(
        Shutdown,
        "delay.max",
        Kind::Duration,
        Fixed("15s"),
        "Most time to go on accepting, whatever still arrives",
    ),
    key(
        Shutdown,
        "close.spread",
        Kind::Duration,
        Fixed("0s"),
        "Idle connections are closed spread over this long, so that clients do not reconnect all at once",
    ),
    key(
        Shutdown,
        "readiness.on_drain",
        Kind::OnDrain,
        Fixed("fail"),
        "Readiness after a termination has begun: fail answers 503, keep goes on answering 200",
    ),
    key(
        Shutdown,
        "hook.token",
        Kind::Secret,
        Unset,
        "What a preStop call must carry in X-Prestop-Token; prefer the environment, flags show in ps",
    ),
    key(
        Shutdown,
        "hook.on_app_listener",
        Kind::AutoBool,
        Fixed("auto"),
        "Whether /prestop is served on the application's listener too; auto is only where there is no admin.listen",
    ),
    key(
        Shutdown,
        "linger",
        Kind::Duration,
        Fixed("20s"),
        "Longest wait for the last scrape once everything is drained; never past the deadline",
    ),
    key(
        Shutdown,
        "termination_log",
        Kind::Path,
        Fixed("/dev/termination-log"),
        "Where the report goes as termination message, if the file exists",
    ),
    // HTTP
    key(
        Http,
        "keep_alive",
        Kind::Duration,
        Fixed("75s"),
        "How long an idle connection is kept: above the load balancers' own 60s; 0s closes after every answer",
    ),
    key(
        Http,
        "tls.cert",
        Kind::File,
        Unset,
        "Certificate chain in PEM; makes the application's listener speak TLS",
    ),
    key(Http, "tls.key", Kind::File, Unset, "Private key of tls.cert in PEM"),
    key(Http, "limits.sleep", Kind::Duration, Fixed("300s"), "Largest N of /sleep/N and /stream/N"),
    key(Http, "limits.body", Kind::Size, Fixed("1MiB"), "Largest request body"),
    key(
        Http,
        "limits.header_timeout",
        Kind::PositiveDuration,
        Fixed("5s"),
        "A request's head has to arrive within this",
    ),
    key(
        Http,
        "limits.body_timeout",
        Kind::PositiveDuration,
        Fixed("30s"),
        "A request whose body stops arriving for this long is given up",
    ),
    key(
        Http,
        "limits.write_timeout",
        Kind::PositiveDuration,
        Fixed("60s"),
        "A client that takes nothing of its response for this long is given up",
    ),
    key(
        Http,
        "limits.connections",
        Kind::Count,
        Fixed("25600"),
        "Most connections at a time, for each worker; fewer where open files are limited",
    ),
    key(
        Http,
        "limits.streams",
        Kind::Count,
        Fixed("250"),
        "Most HTTP/2 streams that a connection may have open at a time",
    ),
    // Logs
    key(
        Logs,
        "log.format",
        Kind::LogFormat,
        Fixed("auto"),
        "auto is human on a terminal, json elsewhere",
    ),
    key(Logs, "log.level", Kind::LogLevel, Fixed("info"), "The least severe level that is logged"),
    key(
        Logs,
        "log.connections",
        Kind::Switch,
        Fixed("auto"),
        "The line with the requests in flight, once a second; auto is on in mode ignore",
    ),
];

const fn key(
    group: super::Group,
    name: &'static str,
    kind: Kind,
    initial: Initial,
    doc: &'static str,
) -> Key {
    Key { name, kind, initial, group, doc }
}

/// The setting of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_none_is_a_section_of_another() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), KEYS.len());
        let variables: BTreeSet<_> = KEYS.iter().map(Key::environment_name).collect();
        assert_eq!(variables.len(), KEYS.len());
        for name in &names {
            let section = format!("{name}.");
            assert!(!names.iter().any(|other| other.starts_with(&section)), "{name}");
        }
    }

    #[test]
    fn every_fixed_default_is_a_value_of_its_kind() {
        for key in KEYS {
            if let Fixed(value) = key.initial {
                assert_eq!(key.kind.check(value), Ok(()), "{}", key.name);
            }
        }
    }

    #[test]
    fn docs_are_one_line_that_ends_without_a_full_stop() {
        for key in KEYS {
            assert!(!key.doc.contains('\n') && !key.doc.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn levels_are_separated_by_two_underscores_in_the_environment() {
        let name = |key| find(key).map(Key::environment_name).unwrap();
        assert_eq!(name("delay.min"), "WEBSAMPLE_DELAY__MIN");
        assert_eq!(name("grace_period"), "WEBSAMPLE_GRACE_PERIOD");
        assert_eq!(name("limits.header_timeout"), "WEBSAMPLE_LIMITS__HEADER_TIMEOUT");
    }
}
