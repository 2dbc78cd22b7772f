//! What a termination looks like with given settings, second by second.

use std::time::Duration;

use websample_actix::OnDrain;
use websample_lifecycle::Mode;

use super::settings::Settings;

/// Something that happens in a termination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// From the start of the termination: SIGTERM or the call of the preStop hook, whichever is
    /// first.
    pub at: Duration,
    /// What happens then.
    pub what: String,
}

/// What a termination looks like, in order.
pub fn timeline(settings: &Settings) -> Vec<Moment> {
    let policy = settings.policy();
    let moment = |at, what: String| Moment { at, what };
    let zero = |what: &str| moment(Duration::ZERO, what.to_owned());
    let deadline = || {
        moment(policy.deadline(), "deadline: what still runs is cut, and the exit code is 3".into())
    };
    let sigkill = |what: &str| moment(policy.grace_period, format!("SIGKILL: {what}"));
    let too_late = || sigkill("too late to matter, everything has ended by then");
    match settings.mode {
        Mode::Ignore => vec![
            zero("SIGTERM is logged and ignored; ready, and serving as before"),
            sigkill("what is in flight is lost"),
        ],
        Mode::Immediate => {
            vec![zero("SIGTERM: the process exits at once; what is in flight is lost")]
        }
        Mode::Graceful => vec![
            zero("SIGTERM: closes the listeners at once, finishes what is in flight, exits"),
            deadline(),
            too_late(),
        ],
        Mode::Drain => {
            let mut moments = vec![drain_begins(settings.readiness_on_drain)];
            moments.extend(lame_duck_ends(settings));
            moments.extend([deadline(), too_late()]);
            moments
        }
    }
}

fn drain_begins(readiness: OnDrain) -> Moment {
    let readiness = match readiness {
        OnDrain::Fail => "readiness off (readiness.on_drain = fail)",
        OnDrain::Keep => "readiness stays on (readiness.on_drain = keep)",
        OnDrain::Auto => "readiness off, to the kubelet when it has to be",
    };
    Moment {
        at: Duration::ZERO,
        what: format!(
            "SIGTERM or preStop: {readiness}, still accepting, clients are told to leave"
        ),
    }
}

fn lame_duck_ends(settings: &Settings) -> Vec<Moment> {
    let shown = humantime::format_duration;
    let delay = &settings.delay;
    let left = |at| {
        let left = settings.policy().deadline().saturating_sub(at);
        format!("closes; what is in flight has {} to finish", shown(left))
    };
    if delay.min == delay.max {
        return vec![Moment {
            at: delay.min,
            what: format!("end of the lame duck: {}", left(delay.min)),
        }];
    }
    let earliest = format!(
        "earliest end of the lame duck, if no new request has come for {}: {}",
        shown(delay.quiet),
        left(delay.min)
    );
    let latest = format!("latest end of the lame duck: {}", left(delay.max));
    vec![Moment { at: delay.min, what: earliest }, Moment { at: delay.max, what: latest }]
}

#[cfg(test)]
mod tests {
    use super::{super::Sources, *};

    fn of(flags: &[(&str, &str)]) -> Vec<(u64, String)> {
        let sources =
            flags.iter().fold(Sources::none(), |sources, (key, value)| sources.flag(*key, *value));
        timeline(&Settings::load(&sources).unwrap())
            .into_iter()
            .map(|moment| (moment.at.as_secs(), moment.what))
            .collect()
    }

    #[test]
    fn every_mode_has_its_own_truth() {
        let cases: [(&str, &[(u64, &str)]); 4] = [
            ("ignore", &[(0, "ignored"), (30, "lost")]),
            ("immediate", &[(0, "exits at once")]),
            ("graceful", &[(0, "closes the listeners at once"), (28, "cut"), (30, "SIGKILL")]),
            (
                "drain",
                &[
                    (0, "readiness off, to the kubelet when it has to be, still accepting"),
                    (5, "no new request has come for 1s: closes; what is in flight has 23s"),
                    (15, "latest end of the lame duck: closes; what is in flight has 13s"),
                    (28, "deadline"),
                    (30, "SIGKILL"),
                ],
            ),
        ];
        for (mode, expected) in cases {
            let moments = of(&[("mode", mode)]);
            assert_eq!(moments.len(), expected.len(), "{moments:#?}");
            for ((at, what), (expected_at, expected_what)) in moments.iter().zip(expected) {
                assert_eq!(at, expected_at, "{moments:#?}");
                assert!(what.contains(expected_what), "{what} / {expected_what}");
            }
        }
    }

    #[test]
    fn a_fixed_delay_has_one_end() {
        let moments = of(&[("delay.min", "4s"), ("delay.max", "4s")]);
        assert_eq!(moments.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 4, 28, 30]);
    }

    #[test]
    fn readiness_that_stays_on_is_told() {
        assert!(of(&[("readiness.on_drain", "keep")])[0].1.contains("readiness stays on"));
    }
}
