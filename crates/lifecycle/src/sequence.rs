//! What comes next: the drain's decisions, as one pure function.
//!
//! The effects (publishing a phase, answering hooks, waiting) are in [`drain`](super::drain).

use std::time::Duration;

use tokio::time::Instant;

use super::{
    phase::Phase,
    policy::{Delay, Mode, Policy},
    signal::Signal,
};

/// How long what was cut at the deadline may take to go, at most; never more than half the
/// margin, since the report still has to be written.
const CUT_SETTLES: Duration = Duration::from_secs(1);

/// A process that was stopped, or got no processor, until after its deadline first gives what is
/// due its turn: what is ready to be answered then is answered, not cut.
const CATCH_UP: Duration = Duration::from_millis(100);

/// A signal within this long after the hook's answer belongs to that hook, and shares its clock. The
/// kubelet's own follows the answer by 10 to 19 ms (measured); a starved node may take longer. One
/// that comes later finds a hook that was stray: its grace period has only just begun.
pub(super) const HANDOVER: Duration = Duration::from_secs(3);

/// After a hook that no signal followed, further ones are answered at once and begin nothing, for
/// this many grace periods, then for twice as many, and so on: whoever calls again and again cannot
/// keep a server out of rotation. The kubelet's own call loses nothing by it, since SIGTERM follows.
const BACK_OFF: u32 = 10;

/// The longest such time.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(24 * 60 * 60);

/// What set the lame duck off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(rename_all = "snake_case"))]
pub enum BegunBy {
    /// The preStop hook.
    Hook,
    /// A signal.
    Signal,
    /// The listening sockets were handed to another process, which serves new connections.
    Handoff,
}

/// The one clock that hook and signal share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Termination {
    pub(super) began: Instant,
    pub(super) cause: BegunBy,
    /// When somebody joined the lame duck whose word may be the first that the endpoints hear of: a
    /// signal, or a further hook.
    pub(super) joined: Option<Instant>,
    /// When the lame duck's delay was over; once it is, later arrivals do not reopen it.
    pub(super) delay_over: Option<Instant>,
}

/// Everything the next step depends on, besides the policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) termination: Option<Termination>,
    /// The first termination signal.
    pub(super) signal: Option<Signal>,
    /// A signal that came when the way out had begun and that ends it now.
    pub(super) forced: Option<Signal>,
    /// When the deadline cut what was left.
    pub(super) cut_at: Option<Instant>,
    /// When the traffic side was closed.
    pub(super) drained_at: Option<Instant>,
    /// How many hooks no signal has followed.
    pub(super) stray_hooks: u32,
    /// Until when further hooks begin nothing.
    pub(super) hooks_rest_until: Option<Instant>,
    /// When a late look at the deadline gave what is due its turn.
    pub(super) caught_up: Option<Instant>,
}

impl Termination {
    /// Whether another process has taken over: no signal has to follow.
    pub(super) fn is_handoff(&self) -> bool {
        self.cause == BegunBy::Handoff
    }

    /// The one clock starts.
    pub(super) const fn new(began: Instant, cause: BegunBy) -> Self {
        Self { began, cause, joined: None, delay_over: None }
    }

    /// Whether a signal that comes now belongs to the hook that began this.
    pub(super) fn is_shared_by(&self, now: Instant) -> bool {
        self.is_handoff()
            || self.delay_over.is_none_or(|over| now.saturating_duration_since(over) <= HANDOVER)
    }
}

/// For how long hooks begin nothing, after this many that no signal followed.
pub(super) fn back_off(policy: &Policy, stray_hooks: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(stray_hooks.saturating_sub(1));
    policy.grace_period.saturating_mul(BACK_OFF.saturating_mul(doubled)).min(LONGEST_BACK_OFF)
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Starting,
            termination: None,
            signal: None,
            forced: None,
            cut_at: None,
            drained_at: None,
            stray_hooks: 0,
            hooks_rest_until: None,
            caught_up: None,
        }
    }

    /// Whether a hook that is called in the lame duck waits for its end: while the delay runs, and,
    /// where no signal has come, until the lame duck would be undone. After that its end is near, or
    /// it would never come.
    pub(super) fn hook_may_join(&self, policy: &Policy, now: Instant) -> bool {
        self.termination.is_some_and(|termination| {
            termination.delay_over.is_none()
                || (self.signal.is_none() && now < termination.began + policy.grace_period)
        })
    }

    fn is_handed_over(&self) -> bool {
        self.termination.as_ref().is_some_and(Termination::is_handoff)
    }

    /// What a signal means now.
    pub(super) fn receive(&self, policy: &Policy, signal: Signal) -> Reaction {
        match (policy.mode, self.phase) {
            (Mode::Ignore, _) => Reaction::Ignore,
            (Mode::Immediate, _) => Reaction::ExitAtOnce,
            (_, Phase::Drained) => Reaction::EndLinger,
            // Of a whole service that ends while this process leaves it: the first, not the second.
            (_, Phase::Draining) if self.signal.is_none() && self.is_handed_over() => {
                Reaction::Terminate
            }
            (_, Phase::Draining) => Reaction::Force,
            (_, Phase::LameDuck) if self.signal.is_some() => match signal {
                // The kubelet repeats SIGTERM after its own restart; traffic still moves away.
                Signal::Sigterm => Reaction::AlreadyUnderWay,
                // Somebody at a terminal does not want to wait.
                Signal::Sigint => Reaction::EndDelay,
            },
            _ => Reaction::Terminate,
        }
    }
}

/// What a signal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Logged, nothing else.
    Ignore,
    /// The process ends now.
    ExitAtOnce,
    /// The termination begins, or joins the one that the hook began.
    Terminate,
    /// The same was asked before.
    AlreadyUnderWay,
    /// The lame duck ends now.
    EndDelay,
    /// What is in flight is given up.
    Force,
    /// The wait for the last scrape ends now.
    EndLinger,
}

/// What the world looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) now: Instant,
    /// Nothing is in flight and no listener is open.
    pub(super) idle: bool,
    /// The last new request since the lame duck began.
    pub(super) last_arrival: Option<Instant>,
    /// How long the last scrape is worth waiting for; `None` when it has landed, or nobody
    /// scrapes.
    pub(super) linger: Option<Duration>,
}

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until something happens or this instant has come.
    Wait(Option<Instant>),
    /// Go to this phase.
    Enter(Phase),
    /// The delay is over: answer the hooks.
    EndDelay,
    /// The deadline was seen late: what is due gets its turn first.
    CatchUp,
    /// Give up what is still running.
    Cut,
    /// Exit.
    Finish,
}

/// When the delay of a lame duck that began at `began` is over, as far as is known.
pub(super) fn delay_end(delay: &Delay, began: Instant, last_arrival: Option<Instant>) -> Instant {
    let earliest = began + delay.min;
    let quiet = last_arrival.map_or(earliest, |last| last + delay.quiet);
    earliest.max(quiet).min(began + delay.max)
}

/// When the lame duck's delay is over: never after the deadline, whatever the delay says.
fn lame_duck_end(
    policy: &Policy,
    termination: &Termination,
    last_arrival: Option<Instant>,
) -> Instant {
    let end = delay_end(&policy.delay, termination.began, last_arrival);
    // The signal is the first sign of a deletion where the hook was not the kubelet's.
    let least = termination.joined.map(|at| at + policy.delay.min);
    least.map_or(end, |least| end.max(least)).min(deadline(policy, termination))
}

/// When what is still running is cut.
pub(super) fn deadline(policy: &Policy, termination: &Termination) -> Instant {
    termination.began + policy.deadline()
}

/// Decides the next step.
pub(super) fn next(policy: &Policy, state: &State, seen: &Seen) -> Step {
    let Seen { now, .. } = *seen;
    match state.phase {
        Phase::Starting if state.signal.is_some() => Step::Enter(Phase::Draining),
        Phase::Serving if state.signal.is_some() && policy.mode == Mode::Drain => {
            Step::Enter(Phase::LameDuck)
        }
        Phase::Serving if state.signal.is_some() => Step::Enter(Phase::Draining),
        Phase::Serving if state.is_handed_over() && policy.mode != Mode::Drain => {
            Step::Enter(Phase::Draining)
        }
        Phase::Serving if state.termination.is_some() => Step::Enter(Phase::LameDuck),
        Phase::Starting | Phase::Serving => Step::Wait(None),
        Phase::LameDuck => lame_duck(policy, state, seen),
        Phase::Draining => draining(policy, state, seen),
        Phase::Drained => {
            let Some(linger) = seen.linger else { return Step::Finish };
            let since = state.drained_at.unwrap_or(now);
            // Scrape or not, the exit comes before SIGKILL does.
            let deadline = state.termination.as_ref().map(|t| deadline(policy, t));
            let until = deadline.map_or(since + linger, |at| at.min(since + linger));
            if state.forced.is_some() || now >= until {
                Step::Finish
            } else {
                Step::Wait(Some(until))
            }
        }
    }
}

fn lame_duck(policy: &Policy, state: &State, seen: &Seen) -> Step {
    let Some(termination) = state.termination else { return Step::Enter(Phase::Serving) };
    if termination.delay_over.is_none() {
        let end = lame_duck_end(policy, &termination, seen.last_arrival);
        return if seen.now >= end { Step::EndDelay } else { Step::Wait(Some(end)) };
    }
    if state.signal.is_some() || termination.is_handoff() {
        return Step::Enter(Phase::Draining);
    }
    // The hook has been answered and the signal is due. If it never comes, the call was stray.
    let answered = termination.delay_over.unwrap_or(termination.began);
    let undrain = (termination.began + policy.grace_period).max(answered + HANDOVER);
    if seen.now >= undrain { Step::Enter(Phase::Serving) } else { Step::Wait(Some(undrain)) }
}

fn draining(policy: &Policy, state: &State, seen: &Seen) -> Step {
    if seen.idle {
        return Step::Enter(Phase::Drained);
    }
    if let Some(cut_at) = state.cut_at {
        let settled = cut_at + CUT_SETTLES.min(policy.margin / 2);
        return if seen.now >= settled {
            Step::Enter(Phase::Drained)
        } else {
            Step::Wait(Some(settled))
        };
    }
    let deadline = state.termination.as_ref().map_or(seen.now, |t| deadline(policy, t));
    if state.forced.is_some() {
        return Step::Cut;
    }
    if seen.now < deadline {
        return Step::Wait(Some(deadline));
    }
    match state.caught_up {
        None if seen.now >= deadline + CATCH_UP => Step::CatchUp,
        Some(since) if seen.now < since + CATCH_UP => Step::Wait(Some(since + CATCH_UP)),
        _ => Step::Cut,
    }
}

#[cfg(test)]
mod tests;
