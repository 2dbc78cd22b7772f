//! The table of settings: one declaration each. Its type brings the parser; what `--help`, `check`
//! and the errors say of a setting comes from here.

use super::{
    key::{
        Group::{Http, Logs, Server, Shutdown},
        Initial::{Cpus, Fixed, Hostname, Unset},
        Key, Setting,
    },
    value::{
        Address, AddressOrOff, AutoBool, Count, File, Format, FrameworkName, Label, Level,
        ModeName, OnDrainName, Path, PositiveTime, Secret, Size, SwitchName, Time,
    },
};

/// Declares settings, in the order in which they are shown.
macro_rules! settings {
    ($($group:ident { $($constant:ident: $kind:ident = $initial:expr, $name:literal, $doc:literal;)* })*) => {
        $($(
            pub(super) const $constant: Setting<$kind> =
                Setting::new($group, $name, $initial, $doc);
        )*)*

        /// Every setting there is.
        pub const KEYS: &[Key] = &[$($($constant.key()),*),*];
    };
}

settings! {
    Server {
        VERSION: Label = Fixed("v1"), "version",
            "Version to answer as: v1 answers 201, v2 202, any other 200";
        INSTANCE: Label = Hostname, "instance",
            "Name of this instance, in answers and logs";
        FRAMEWORK: FrameworkName = Fixed("actix"), "framework",
            "What the server is built on: actix-web or hyper; both drain alike";
        LISTEN: Address = Fixed("0.0.0.0:5000"), "listen",
            "Where the application listens";
        ADMIN_LISTEN: AddressOrOff = Fixed("0.0.0.0:9000"), "admin.listen",
            "Where metrics, status, probes and hook are served besides";
        WORKERS: Count = Cpus, "workers",
            "Worker threads";
    }
    Shutdown {
        MODE: ModeName = Fixed("drain"), "mode",
            "What a termination signal does";
        GRACE_PERIOD: PositiveTime = Fixed("30s"), "grace_period",
            "The pod's terminationGracePeriodSeconds: SIGKILL comes this long after termination began";
        MARGIN: Time = Fixed("2s"), "margin",
            "Kept free at the end of the grace period, for the report and the exit";
        DELAY_MIN: Time = Fixed("5s"), "delay.min",
            "Least time to go on accepting: over the 1.2s of a kube-proxy and the 4.3s of an ingress-nginx";
        DELAY_QUIET: Time = Fixed("1s"), "delay.quiet",
            "After delay.min: no new request for this long means that traffic has moved away";
        DELAY_MAX: Time = Fixed("15s"), "delay.max",
            "Most time to go on accepting, whatever still arrives";
        CLOSE_SPREAD: Time = Fixed("0s"), "close.spread",
            "Idle connections are closed spread over this long, so that clients do not reconnect all at once";
        READINESS_ON_DRAIN: OnDrainName = Fixed("auto"), "readiness.on_drain",
            "Readiness after a termination has begun: fail answers 503, keep 200, auto 503 to all but the kubelet, which gets 200 while there is time to fail it later";
        HOOK_TOKEN: Secret = Unset, "hook.token",
            "What a preStop call must carry in X-Prestop-Token; prefer the environment, flags show in ps";
        HOOK_ON_APP_LISTENER: AutoBool = Fixed("auto"), "hook.on_app_listener",
            "Whether /prestop is served on the application's listener too; auto is only where there is no admin.listen";
        HANDOFF_PROGRAM: Path = Unset, "handoff.program",
            "What SIGUSR2 starts to take over the listening sockets, with the same arguments; none is this program";
        HANDOFF_TIMEOUT: PositiveTime = Fixed("60s"), "handoff.timeout",
            "It has to be ready within this, or it is ended and this server serves on";
        LINGER: Time = Fixed("20s"), "linger",
            "Longest wait for the last scrape once everything is drained; never past the deadline";
        TERMINATION_LOG: Path = Fixed("/dev/termination-log"), "termination_log",
            "Where the report goes as termination message, if the file exists";
    }
    Http {
        KEEP_ALIVE: Time = Fixed("75s"), "keep_alive",
            "How long an idle connection is kept: above the load balancers' own 60s; 0s closes after every answer";
        TLS_CERT: File = Unset, "tls.cert",
            "Certificate chain in PEM; makes the application's listener speak TLS";
        TLS_KEY: File = Unset, "tls.key",
            "Private key of tls.cert in PEM";
        LIMITS_SLEEP: Time = Fixed("300s"), "limits.sleep",
            "Largest N of /sleep/N and /stream/N";
        LIMITS_BODY: Size = Fixed("1MiB"), "limits.body",
            "Largest request body";
        LIMITS_HEADER_TIMEOUT: PositiveTime = Fixed("5s"), "limits.header_timeout",
            "A request's head has to arrive within this";
        LIMITS_BODY_TIMEOUT: PositiveTime = Fixed("30s"), "limits.body_timeout",
            "A request whose body stops arriving for this long is given up";
        LIMITS_WRITE_TIMEOUT: PositiveTime = Fixed("60s"), "limits.write_timeout",
            "A client that takes nothing of its response for this long is given up";
        LIMITS_CONNECTIONS: Count = Fixed("25600"), "limits.connections",
            "Most connections at a time, for each worker; fewer where open files are limited";
        LIMITS_STREAMS: Count = Fixed("250"), "limits.streams",
            "Most HTTP/2 streams that a connection may have open at a time";
    }
    Logs {
        LOG_FORMAT: Format = Fixed("auto"), "log.format",
            "auto is human on a terminal, json elsewhere";
        LOG_LEVEL: Level = Fixed("info"), "log.level",
            "The least severe level that is logged";
        LOG_CONNECTIONS: SwitchName = Fixed("auto"), "log.connections",
            "The line with the requests in flight, once a second; auto is on in mode ignore";
    }
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
                assert_eq!(key.check(value), Ok(()), "{}", key.name);
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
