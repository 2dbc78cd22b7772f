//! What the kubelet does to a container once it has begun to end it.
//!
//! Nothing in the API says when a hook is called or SIGTERM sent. But the kubelet writes an event named
//! `Killing` right before it calls the hook, or sends SIGTERM where there is none, and what it does from
//! there on is a rule (pkg/kubelet/kuberuntime/kuberuntime_container.go: `killContainer`).

use std::time::Duration;

use super::super::served::HookTime;
use crate::timeline::What;

/// What happens after a `Killing`, each with the time from there: a guess of everything that the pod's
/// end, or a failed hook, has not proved wrong by then.
pub(super) fn after_killing(hook: Option<HookTime>, grace: Duration) -> Vec<(Duration, What)> {
    let now = Duration::ZERO;
    let overrun = || {
        let limit = humantime::format_duration(grace);
        What::HookFailed(format!("not over within the grace period of {limit}"))
    };
    match hook {
        None => vec![(now, What::Sigterm)],
        // No time for a hook: it is left out.
        Some(_) if grace.is_zero() => vec![(now, What::Sigterm)],
        Some(HookTime::Sleeps(time)) if time <= grace => {
            vec![(now, What::HookCalled), (time, What::HookReturned), (time, What::Sigterm)]
        }
        // It is given up on at the end of the grace period; when it comes back, only it knows.
        Some(_) => vec![(now, What::HookCalled), (grace, overrun()), (grace, What::Sigterm)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_comes_first_and_sigterm_after_it() {
        let secs = Duration::from_secs;
        let told = |hook, grace| {
            let told = after_killing(hook, secs(grace)).into_iter();
            told.map(|(at, what)| (at.as_secs(), what.name())).collect::<Vec<_>>()
        };
        let sleeps = |time| Some(HookTime::Sleeps(secs(time)));
        let five = [(0, "hook_called"), (5, "hook_returned"), (5, "sigterm")];
        assert_eq!(told(None, 30), [(0, "sigterm")]);
        assert_eq!(told(sleeps(5), 30), five);
        assert_eq!(told(sleeps(5), 0), [(0, "sigterm")]);
        let given_up = [(0, "hook_called"), (30, "hook_failed"), (30, "sigterm")];
        assert_eq!(told(sleeps(50), 30), given_up);
        assert_eq!(told(Some(HookTime::Unknown), 30), given_up);
    }
}
