//! What the sample server is told, against what the pod gives it.

use std::time::Duration;

use super::{super::rule::Rule, Findings, Subject, shown, whole_seconds};
use crate::{
    fix::Fix,
    known::{OnTermination, Termination},
    server::Server,
    subject::Unit,
};

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for unit in &subject.units {
        match &unit.server {
            Server::Theirs(..) => {}
            Server::Refusing(why) => {
                let message = format!(
                    "container {} exits with 64 as often as it is started, and the rollout never \
                     ends: {why}",
                    unit.container.name
                );
                let fix = "correct the variable or argument that it names";
                found.unit(
                    Rule::SettingsRefused,
                    &subject.workload.origin,
                    unit,
                    "env",
                    message,
                    fix,
                );
            }
            Server::Ours(server) => ours(subject, unit, server, found),
        }
    }
}

fn ours(subject: &Subject<'_>, unit: &Unit<'_>, server: &Termination, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let name = &unit.container.name;
    let drain = drain(subject, unit);
    match server.on_termination {
        OnTermination::Drains | OnTermination::Finishes => grace(subject, unit, server, found),
        OnTermination::Ignores => {
            let message = format!(
                "container {name} ignores SIGTERM (mode ignore): every pod takes the whole grace \
                 period of {} and ends by SIGKILL, with what is then in flight",
                shown(subject.grace)
            );
            found.unit(Rule::SigtermIgnored, origin, unit, "env", message, drain);
        }
        OnTermination::Exits => {
            let message = format!(
                "container {name} exits at SIGTERM (mode immediate): every request in flight is \
                 lost, and every one that still comes"
            );
            found.unit(Rule::ExitsAtOnce, origin, unit, "env", message, drain);
        }
    }
}

/// The mode that loses nothing; it needs to know how much of the grace period a sleeping hook leaves.
pub(super) fn drain(subject: &Subject<'_>, unit: &Unit<'_>) -> Fix {
    let hook = unit.hook.sleeps().unwrap_or_default();
    let left = subject.grace.saturating_sub(hook);
    let mut env = "env:\n  - name: WEBSAMPLE_MODE\n    value: drain".to_owned();
    if !hook.is_zero() {
        env.push_str(&told(left)["env:".len()..]);
    }
    Fix::within(&unit.path, env)
}

fn told(left: Duration) -> String {
    format!("env:\n  - name: WEBSAMPLE_GRACE_PERIOD\n    value: {}s", left.as_secs())
}

/// What a server's grace period is, against what is left of the pod's once SIGTERM comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    Equal,
    Longer,
    Shorter,
}

fn against(server: Duration, pod: Duration, hook: Duration) -> Against {
    let left = pod.saturating_sub(hook);
    if server > left {
        Against::Longer
    } else if left.saturating_sub(server) >= Duration::from_secs(1) {
        Against::Shorter
    } else {
        Against::Equal
    }
}

fn grace(subject: &Subject<'_>, unit: &Unit<'_>, server: &Termination, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let name = &unit.container.name;
    // A sleep is over before the server hears of anything; its own hook begins its clock.
    let hook = unit.hook.sleeps().unwrap_or_default();
    if subject.grace.is_zero() || hook >= subject.grace {
        return;
    }
    let server = server.grace;
    let left = subject.grace.saturating_sub(hook);
    let asleep = if hook.is_zero() {
        String::new()
    } else {
        format!(", less {} of its sleeping hook", shown(hook))
    };
    match against(server, subject.grace, hook) {
        Against::Equal => {}
        Against::Longer => {
            let message = format!(
                "container {name} believes to have {} (grace_period) and the pod gives it {}\
                 {asleep}: SIGKILL comes before its deadline, so what still runs is lost without a \
                 report",
                shown(server),
                shown(subject.grace)
            );
            let needed = whole_seconds(server + hook);
            let fix = Fix::within(
                subject.workload.pod_at,
                format!("terminationGracePeriodSeconds: {needed}"),
            )
            .or(&format!("\n{}", told(left)));
            found.unit(Rule::ServerGraceTooLong, origin, unit, "env", message, fix);
        }
        Against::Shorter => {
            let message = format!(
                "container {name} believes to have {} (grace_period) and the pod gives it {}\
                 {asleep}: requests are cut at its deadline that could have been finished",
                shown(server),
                shown(subject.grace)
            );
            found.unit(
                Rule::ServerGraceTooShort,
                origin,
                unit,
                "env",
                message,
                Fix::within(&unit.path, told(left)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_grace_period_against_the_pods() {
        // (the server's, the pod's, the hook's sleep, judged as)
        let table = [
            (30, 30, 0, Against::Equal),
            (30, 35, 5, Against::Equal),
            (30, 30, 5, Against::Longer),
            (60, 30, 0, Against::Longer),
            (30, 60, 0, Against::Shorter),
            (30, 60, 10, Against::Shorter),
            (30, 20, 40, Against::Longer),
        ];
        for (server, pod, hook, expected) in table {
            let [server, pod, hook] = [server, pod, hook].map(Duration::from_secs);
            assert_eq!(against(server, pod, hook), expected, "{server:?} {pod:?} {hook:?}");
        }
        let half = Duration::from_millis(29_500);
        assert_eq!(against(half, Duration::from_secs(30), Duration::ZERO), Against::Equal);
    }
}
