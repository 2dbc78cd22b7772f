//! How a pod ends: whether it goes on accepting long enough, and whether its end fits into the
//! grace period.

use std::time::Duration;

use websample_kubernetes::termination::remaining;

use super::{super::rule::Rule, Findings, Subject, shown, whole_seconds};
use crate::{
    fix::Fix,
    hook::{Hook, base},
    subject::Unit,
};

/// Less than this is no time to finish requests in.
const SHORTEST_DRAIN: Duration = Duration::from_secs(5);

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    if subject.grace.is_zero() {
        let lost = if subject.serves() { "every request in flight" } else { "what it works on" };
        let message = format!(
            "terminationGracePeriodSeconds is 0: the pod is killed the moment it is deleted, without \
             hook or SIGTERM worth the name, and {lost} is lost"
        );
        let pod = subject.workload.pod_at;
        let path = format!("{pod}.terminationGracePeriodSeconds");
        let fix = Fix::within(pod, "terminationGracePeriodSeconds: 30");
        found.object(Rule::GraceZero, origin, &path, message, fix);
    }
    for unit in &subject.units {
        if unit.serving {
            stays(subject, unit, found);
        }
        if !subject.grace.is_zero() {
            fits(subject, unit, found);
            own(subject, unit, found);
        }
        if swallows_sigterm(&command(unit)) {
            let message = format!(
                "container {} starts a shell that runs several commands: as PID 1 it gets SIGTERM \
                 and does not pass it on, so the program runs until SIGKILL after {} and loses {}",
                unit.container.name,
                shown(subject.grace),
                if unit.serving { "the requests then in flight" } else { "what it then works on" }
            );
            let fix = "end the script with `exec PROGRAM …`, so that the program becomes PID 1";
            found.unit(Rule::ShellAsPid1, origin, unit, "command", message, fix);
        }
        proxy(subject, unit, found);
    }
}

/// What a server's stay after the pod's deletion is judged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    Enough,
    /// Nothing is known of any.
    Unknown,
    None,
    /// Less than what is in front takes to stop sending.
    TooShort(Duration),
}

/// Judges by what is known: `hook` and `delay` are `None` where they are not, and a hook of a
/// length that is not known is trusted, for somebody put it there. What is in front needs `needed`.
fn stay(has_hook: bool, hook: Option<Duration>, delay: Option<Duration>, needed: Duration) -> Stay {
    let (Some(hook), true) = (hook, has_hook || delay.is_some()) else {
        return if has_hook { Stay::Enough } else { Stay::Unknown };
    };
    let stay = hook + delay.unwrap_or_default();
    if stay.is_zero() {
        Stay::None
    } else if stay < needed {
        Stay::TooShort(stay)
    } else {
        Stay::Enough
    }
}

fn stays(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let name = &unit.container.name;
    let has_hook = !matches!(unit.hook, Hook::None | Hook::Tcp);
    let delay = unit.server.shortest_delay();
    let (who, needed) = subject.sending();
    let race = format!(
        "Kubernetes stops the pod and tells everybody else at the same moment, and nothing orders the \
         two: {who} goes on sending here for up to {}, and new connections",
        shown(needed)
    );
    match stay(has_hook, unit.hook_takes(), delay, needed) {
        Stay::Enough => {}
        Stay::Unknown => {
            let message = format!(
                "container {name} has no preStop hook, and nothing shows that its server goes on \
                 accepting after SIGTERM: {race} are refused"
            );
            let fix = sleep(subject, unit).or(&format!(
                "say how long the server itself waits: --delay {}s",
                subject.right_sleep().as_secs()
            ));
            found.unit(Rule::EndpointRace, origin, unit, "lifecycle", message, fix);
        }
        Stay::None => {
            let message = format!(
                "container {name} stops accepting as soon as it is told to go: {race} are refused"
            );
            let fix = match unit.server.termination() {
                Some(_) => super::ours::drain(subject, unit).or("a preStop hook that sleeps"),
                // The hook that is there does something, if at once.
                None => match &unit.hook {
                    Hook::Exec { command, .. } => Fix::advice(format!(
                        "lifecycle:\n  preStop:\n    exec:\n      command: [sh, -c, \"sleep {}; {}\"]",
                        subject.right_sleep().as_secs(),
                        command.last().map_or("…", String::as_str)
                    )),
                    _ => sleep(subject, unit),
                },
            };
            found.unit(Rule::EndpointRace, origin, unit, "lifecycle", message, fix);
        }
        Stay::TooShort(stay) => {
            let message = format!(
                "container {name} goes on accepting for {} after it is told to go, and {who} takes \
                 up to {} to stop sending: what comes between the two is refused",
                shown(stay),
                shown(needed)
            );
            let fix = if unit.hook.sleeps().is_some() {
                sleep(subject, unit)
            } else {
                Fix::advice(format!("let it wait {}", shown(subject.right_sleep())))
            };
            found.unit(Rule::DelayTooShort, origin, unit, "lifecycle", message, fix);
        }
    }
}

/// A hook that sleeps, in a grace period that has room for it and for what comes then.
fn sleep(subject: &Subject<'_>, unit: &Unit<'_>) -> Fix {
    let sleep = subject.right_sleep();
    let seconds = sleep.as_secs();
    let hook = format!("lifecycle:\n  preStop:\n    sleep:\n      seconds: {seconds}");
    let fix = Fix::within(&unit.path, hook);
    let delay = unit.server.longest_delay().unwrap_or_default();
    let drain = unit.server.drain().unwrap_or_default().max(SHORTEST_DRAIN);
    let needed = sleep + delay + drain;
    let fix = if subject.grace < needed && unit.server.termination().is_none() {
        let grace = format!("terminationGracePeriodSeconds: {}", whole_seconds(needed).max(30));
        fix.and(
            "in the pod's spec, since the grace period has no room for it",
            subject.workload.pod_at,
            &grace,
        )
    } else {
        fix
    };
    // What a probe restarts has the probe's period instead, and the same hook.
    super::probes::with_grace(fix, unit, sleep + delay)
}

/// What a grace period is judged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grace {
    Enough,
    /// The hook alone takes this long.
    Hook(Duration),
    /// All together takes this long.
    All(Duration),
    /// All but the drain, of which nothing is known, leaves this.
    Leaves(Duration),
}

/// Judges by what is known; what is not counts as nothing.
fn grace(
    grace: Duration,
    hook: Option<Duration>,
    delay: Option<Duration>,
    drain: Option<Duration>,
) -> Grace {
    let hook = hook.unwrap_or_default();
    let before = hook + delay.unwrap_or_default();
    let all = before + drain.unwrap_or_default();
    let left = grace.saturating_sub(before);
    if hook >= grace {
        Grace::Hook(hook)
    } else if all > grace {
        Grace::All(all)
    } else if drain.is_none() && !before.is_zero() && left < SHORTEST_DRAIN {
        Grace::Leaves(left)
    } else {
        Grace::Enough
    }
}

fn fits(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let name = &unit.container.name;
    // Our server divides its grace period itself; `ours` compares that with the pod's.
    let ours = unit.server.termination().is_some();
    let (delay, drain) = if ours {
        (None, Some(Duration::ZERO))
    } else {
        (unit.server.longest_delay(), unit.server.drain())
    };
    let hook = unit.hook_takes();
    let pod = subject.workload.pod_at;
    let path = &*format!("{pod}.terminationGracePeriodSeconds");
    let wanted =
        |seconds: u64| Fix::within(pod, format!("terminationGracePeriodSeconds: {seconds}"));
    match grace(subject.grace, hook, delay, drain) {
        Grace::Enough => {}
        Grace::Hook(hook) => {
            let left = shown(remaining(subject.grace, subject.grace));
            let message = format!(
                "the preStop hook of container {name} sleeps {} in a grace period of {}: the \
                 kubelet gives up on it, sends SIGTERM, and SIGKILL {left} later, whatever is in \
                 flight{}",
                shown(hook),
                shown(subject.grace),
                if matches!(unit.hook, Hook::Sleep(_)) && hook > subject.grace {
                    "; the API refuses a sleep that is longer than the grace period"
                } else {
                    ""
                }
            );
            let fix = wanted(whole_seconds(hook) + 25);
            found.unit(Rule::HookOutlastsGrace, origin, unit, "lifecycle.preStop", message, fix);
        }
        Grace::All(needed) => {
            let parts = parts(hook, delay, drain);
            let message = format!(
                "container {name} needs {} to end in peace ({parts}) and is killed after {}: what \
                 runs then is cut",
                shown(needed),
                shown(subject.grace)
            );
            found.object(
                Rule::GraceTooShort,
                origin,
                path,
                message,
                wanted(whole_seconds(needed) + 2),
            );
        }
        Grace::Leaves(left) => {
            let parts = parts(hook, delay, None);
            let message = format!(
                "of the grace period of {} container {name} has {} left for the requests in flight \
                 ({parts}): longer ones are cut",
                shown(subject.grace),
                shown(left)
            );
            let fix = wanted(whole_seconds(subject.grace.saturating_sub(left)) + 25);
            found.object(Rule::NoTimeToDrain, origin, path, message, fix);
        }
    }
}

fn parts(hook: Option<Duration>, delay: Option<Duration>, drain: Option<Duration>) -> String {
    let parts = [("hook", hook), ("delay", delay), ("drain", drain)];
    let known = parts.into_iter().filter_map(|(name, duration)| {
        let duration = duration.filter(|duration| !duration.is_zero())?;
        Some(format!("{name} {}", shown(duration)))
    });
    known.collect::<Vec<_>>().join(", ")
}

/// What the program itself was given to finish, against what is left for it.
fn own(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let Some(own) = unit.server.own_drain() else { return };
    let before =
        unit.hook_takes().unwrap_or_default() + unit.server.longest_delay().unwrap_or_default();
    let needed = before + own.drain;
    // What is told of it counts, and an end that the hook outlasts is told already.
    if unit.server.drain().is_some() || before >= subject.grace || needed <= subject.grace {
        return;
    }
    let message = format!(
        "container {} may take {} to finish ({}), and of the grace period of {} it has {}: what runs \
         longer is cut by SIGKILL, and not ended by the program",
        unit.container.name,
        shown(own.drain),
        own.setting,
        shown(subject.grace),
        shown(subject.grace.saturating_sub(before))
    );
    let seconds = whole_seconds(needed) + 2;
    let fix =
        Fix::within(subject.workload.pod_at, format!("terminationGracePeriodSeconds: {seconds}"))
            .or("give the program less");
    let origin = &subject.workload.origin;
    found.unit(Rule::DrainOutlastsGrace, origin, unit, "args", message, fix);
}

/// What is run, if the manifest and not the image says so.
fn command<'a>(unit: &Unit<'a>) -> Vec<&'a str> {
    let container = unit.container;
    let command = container.command.as_deref().unwrap_or_default();
    if command.is_empty() {
        return Vec::new();
    }
    command.iter().chain(container.args.iter().flatten()).map(String::as_str).collect()
}

/// Whether a command is a shell that stays: a single command it replaces itself with, `exec` does
/// the same, and `trap` shows that somebody thought of it.
fn swallows_sigterm(command: &[&str]) -> bool {
    let Some((shell, rest)) = command.split_first() else { return false };
    if !["sh", "bash", "ash", "dash"].contains(&base(shell)) {
        return false;
    }
    let mut rest = rest.iter().skip_while(|word| !(word.starts_with('-') && word.contains('c')));
    let (Some(_), Some(script)) = (rest.next(), rest.next()) else { return false };
    let script = script.trim().replace("\\\n", " ");
    let several = script.contains(['\n', ';', '|', '&']);
    let minded = script
        .split(|c: char| c.is_whitespace() || ";|&(){}".contains(c))
        .any(|word| word == "exec" || word == "trap");
    several && !minded
}

fn proxy(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    if !unit.is_proxy() || unit.native_sidecar || unit.hook != Hook::None || !subject.serves() {
        return;
    }
    let name = &unit.container.name;
    let message = format!(
        "container {name} carries the traffic of the others and gets its SIGTERM at the same \
         moment as they do, or before them where they have a hook: their requests fail from then on"
    );
    let fix = format!(
        "initContainers:\n  - name: {name}\n    restartPolicy: Always  # a native sidecar ends after \
         the others"
    );
    found.unit(Rule::ProxyLeavesFirst, &subject.workload.origin, unit, "name", message, fix);
}

#[cfg(test)]
mod tests {
    use websample_kubernetes::propagation::PROXY;

    use super::*;

    fn s(seconds: impl Into<Option<f64>>) -> Option<Duration> {
        seconds.into().map(Duration::from_secs_f64)
    }

    #[test]
    fn how_long_is_long_enough() {
        let (proxy, ingress) = (PROXY, Duration::from_millis(4_300));
        let short = |seconds| Stay::TooShort(Duration::from_secs_f64(seconds));
        // (there is a hook, how long it takes, the server's delay, what is needed, judged as)
        let table = [
            (false, s(0.0), None, proxy, Stay::Unknown),
            (false, s(0.0), s(0.0), proxy, Stay::None),
            (false, s(0.0), s(1.0), proxy, short(1.0)),
            (false, s(0.0), s(1.2), proxy, Stay::Enough),
            (false, s(0.0), s(4.0), ingress, short(4.0)),
            (false, s(0.0), s(4.3), ingress, Stay::Enough),
            (true, s(1.0), None, proxy, short(1.0)),
            (true, s(1.0), s(0.5), proxy, Stay::Enough),
            (true, s(3.0), None, ingress, short(3.0)),
            (true, s(5.0), None, ingress, Stay::Enough),
            (true, s(0.0), s(0.0), proxy, Stay::None),
            // Somebody's hook of whatever length.
            (true, None, None, ingress, Stay::Enough),
            (true, None, s(0.0), ingress, Stay::Enough),
        ];
        for (has_hook, hook, delay, needed, expected) in table {
            let judged = stay(has_hook, hook, delay, needed);
            assert_eq!(judged, expected, "{has_hook} {hook:?} {delay:?} {needed:?}");
        }
    }

    #[test]
    fn what_fits_into_the_grace_period() {
        let seconds = Duration::from_secs;
        // (grace, hook, delay, drain, judged as)
        let table = [
            (30, s(0.0), None, None, Grace::Enough),
            (30, s(5.0), None, None, Grace::Enough),
            (30, s(25.0), None, None, Grace::Enough),
            (30, s(26.0), None, None, Grace::Leaves(seconds(4))),
            (30, s(26.0), None, s(4.0), Grace::Enough),
            (30, s(26.0), None, s(5.0), Grace::All(seconds(31))),
            (30, s(30.0), None, None, Grace::Hook(seconds(30))),
            (30, s(45.0), s(1.0), s(1.0), Grace::Hook(seconds(45))),
            (30, s(10.0), s(15.0), s(10.0), Grace::All(seconds(35))),
            (30, None, s(31.0), None, Grace::All(seconds(31))),
            // Short, and with nothing that would use it up before the requests.
            (2, s(0.0), None, None, Grace::Enough),
        ];
        for (period, hook, delay, drain, expected) in table {
            let judged = grace(seconds(period), hook, delay, drain);
            assert_eq!(judged, expected, "{period} {hook:?} {delay:?} {drain:?}");
        }
    }

    #[test]
    fn shells_that_stay() {
        let table: [(&[&str], bool); 11] = [
            (&["sh", "-c", "migrate && server"], true),
            (&["/bin/bash", "-ec", "export A=1\nserver"], true),
            (&["sh", "-c", "server | tee log"], true),
            (&["sh", "-c", "migrate && exec server"], false),
            (&["sh", "-c", "trap stop TERM; server & wait"], false),
            (&["sh", "-c", "server --port 80"], false),
            (&["sh", "-c", "server \\\n  --port 80\n"], false),
            (&["sh", "/start.sh"], false),
            (&["tini", "--", "sh", "-c", "a; b"], false),
            (&["/server"], false),
            (&[], false),
        ];
        for (command, expected) in table {
            assert_eq!(swallows_sigterm(command), expected, "{command:?}");
        }
    }
}
