//! Whether settings that are good by themselves work together.

use std::{collections::BTreeSet, net::SocketAddr};

use websample_lifecycle::Mode;

use super::{
    error::SettingProblem,
    merged::Merged,
    settings::{Settings, Tls},
};

/// Beyond this, threads cannot be had on common systems, and the server would die of it.
const MOST_WORKERS: usize = 1024;

/// What does not work together. Says nothing about keys whose own value was refused, nor about
/// what depends on them.
pub(super) fn check(
    settings: &Settings,
    merged: &Merged,
    refused: &BTreeSet<&'static str>,
) -> Vec<SettingProblem> {
    let problem = |key: &str, problem: String, remedy: String| SettingProblem {
        key: Some(key.to_owned()),
        value: merged.shown(key),
        source: merged.source(key),
        problem,
        remedy,
    };
    let trusted = |keys: &[&str]| !keys.iter().any(|key| refused.contains(key));
    let mut problems = Vec::new();

    if trusted(&["mode", "grace_period", "margin", "delay.min", "delay.max"]) {
        match settings.policy().check() {
            Err(error) => {
                let what = format!("{}{}", error.problem, origins(merged, error.key));
                problems.push(problem(error.key, what, error.remedy));
            }
            Ok(()) if trusted(&["close.spread"]) => {
                problems.extend(
                    spread(settings).map(|(what, remedy)| problem("close.spread", what, remedy)),
                );
            }
            Ok(()) => {}
        }
    }
    if let Some(admin) = settings.admin_listen
        && trusted(&["listen", "admin.listen"])
        && clash(settings.listen, admin)
    {
        problems.push(problem(
            "admin.listen",
            format!("it is the same as listen = `{}`", settings.listen),
            "give it another port, or set it to off".to_owned(),
        ));
    }
    if trusted(&["workers"]) && settings.workers.get() > MOST_WORKERS {
        problems.push(problem(
            "workers",
            "each is a thread with a runtime of its own".to_owned(),
            format!("use at most {MOST_WORKERS}; one for each CPU is best"),
        ));
    }
    if trusted(&["tls.cert", "tls.key"]) {
        let lonely = match (merged.shown("tls.cert"), merged.shown("tls.key")) {
            (Some(_), None) => Some(("tls.cert", "tls.key")),
            (None, Some(_)) => Some(("tls.key", "tls.cert")),
            _ => None,
        };
        if let Some(Tls { cert, key }) = &settings.tls
            && let Err(error) = websample_actix::check_certificate(cert, key)
        {
            problems.push(problem(
                "tls.cert",
                format!("it cannot be used with tls.key: {error}"),
                "name a PEM certificate chain and the key that belongs to it".to_owned(),
            ));
        }
        if let Some((set, missing)) = lonely {
            problems.push(problem(
                set,
                format!("it is set and {missing} is not"),
                format!("set {missing} too, or neither"),
            ));
        }
    }
    problems
}

/// Where the other parts of the budget came from, as far as somebody set them.
fn origins(merged: &Merged, key: &str) -> String {
    let others: Vec<_> = ["grace_period", "margin", "delay.min", "delay.max"]
        .into_iter()
        .filter(|other| *other != key && merged.is_set(other))
        .map(|other| format!("{other} is from {}", merged.source(other)))
        .collect();
    if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) }
}

/// Connections whose turn comes after the deadline would be cut instead of closed.
fn spread(settings: &Settings) -> Option<(String, String)> {
    let budget = match settings.mode {
        Mode::Drain | Mode::Graceful => settings.policy().drain_budget(),
        Mode::Ignore | Mode::Immediate => return None,
    };
    (settings.close_spread >= budget && !settings.close_spread.is_zero()).then(|| {
        let shown = humantime::format_duration;
        (
            format!("only {} are left for draining", shown(budget)),
            format!("use less than {}, or raise grace_period", shown(budget)),
        )
    })
}

/// Whether the second of two listeners could not be bound.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: SocketAddr, narrow: SocketAddr| {
        // Linux lets `[::]` take IPv4 as well, unless told otherwise.
        wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_clash_where_the_second_bind_would_fail() {
        let cases = [
            ("0.0.0.0:5000", "0.0.0.0:5000", true),
            ("0.0.0.0:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "127.0.0.2:5000", false),
            ("0.0.0.0:5000", "0.0.0.0:5001", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("[::1]:5000", "127.0.0.1:5000", false),
            ("[::]:5000", "127.0.0.1:5000", true),
            ("0.0.0.0:5000", "[::]:5000", true),
            ("0.0.0.0:5000", "[::1]:5000", false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(
                clash(one.parse().unwrap(), other.parse().unwrap()),
                expected,
                "{one} {other}"
            );
        }
    }
}
