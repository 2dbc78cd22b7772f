use super::*;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_delay_lasts_until_it_is_quiet_between_min_and_max() {
    let delay = Delay { min: secs(5), quiet: secs(1), max: secs(15) };
    let began = Instant::now();
    let cases = [
        (None, 5),
        (Some(1), 5),
        (Some(4), 5),
        (Some(5), 6),
        (Some(9), 10),
        (Some(14), 15),
        (Some(15), 15),
    ];
    for (last, expected) in cases {
        let last = last.map(|s| began + secs(s));
        assert_eq!(delay_end(&delay, began, last), began + secs(expected), "{last:?}");
    }
}

#[test]
fn every_phase_knows_its_next_step() {
    let began = Instant::now();
    let policy = Policy::default();
    let graceful = Policy { mode: Mode::Graceful, ..policy };
    let hook = Termination::new(began, BegunBy::Hook);
    let over = Termination { delay_over: Some(began + secs(5)), ..hook };
    let joined = Termination { joined: Some(began + secs(4)), ..hook };
    let short = Policy { grace_period: secs(10), ..policy };
    let state = State { termination: Some(hook), ..State::new() };
    let at = |phase| State { phase, ..state };
    let signalled = |phase| State { signal: Some(Signal::Sigterm), ..at(phase) };
    let seen =
        |after, idle| Seen { now: began + secs(after), idle, last_arrival: None, linger: None };
    let wait = |after| Step::Wait(Some(began + secs(after)));
    let none = State::new();

    let cases = [
        (&policy, none, seen(0, true), Step::Wait(None)),
        (&policy, signalled(Phase::Starting), seen(0, true), Step::Enter(Phase::Draining)),
        (&policy, State { phase: Phase::Serving, ..none }, seen(0, true), Step::Wait(None)),
        (&policy, at(Phase::Serving), seen(0, true), Step::Enter(Phase::LameDuck)),
        (&policy, signalled(Phase::Serving), seen(0, true), Step::Enter(Phase::LameDuck)),
        (&graceful, signalled(Phase::Serving), seen(0, true), Step::Enter(Phase::Draining)),
        (&policy, at(Phase::LameDuck), seen(4, true), wait(5)),
        (&policy, at(Phase::LameDuck), seen(5, true), Step::EndDelay),
        // After the hook: wait for the signal, up to the grace period, then undo.
        (
            &policy,
            State { termination: Some(over), ..at(Phase::LameDuck) },
            seen(6, true),
            wait(30),
        ),
        (
            &policy,
            State { termination: Some(over), ..at(Phase::LameDuck) },
            seen(30, false),
            Step::Enter(Phase::Serving),
        ),
        (
            &policy,
            State { termination: Some(over), ..signalled(Phase::LameDuck) },
            seen(6, false),
            Step::Enter(Phase::Draining),
        ),
        (&policy, signalled(Phase::Draining), seen(6, false), wait(28)),
        (&policy, signalled(Phase::Draining), seen(6, true), Step::Enter(Phase::Drained)),
        (&policy, signalled(Phase::Draining), seen(28, false), Step::Cut),
        // Seen late, as after SIGSTOP.
        (&policy, signalled(Phase::Draining), seen(31, false), Step::CatchUp),
        (
            &policy,
            State { caught_up: Some(began + secs(31)), ..signalled(Phase::Draining) },
            seen(31, false),
            Step::Wait(Some(began + secs(31) + CATCH_UP)),
        ),
        (
            &policy,
            State { caught_up: Some(began + secs(31)), ..signalled(Phase::Draining) },
            seen(32, false),
            Step::Cut,
        ),
        // A delay that does not end by itself ends with the deadline.
        (
            &short,
            at(Phase::LameDuck),
            Seen { last_arrival: Some(began + secs(7)), ..seen(7, false) },
            wait(8),
        ),
        // The signal joined the hook's lame duck at 4 s.
        (
            &policy,
            State { termination: Some(joined), ..signalled(Phase::LameDuck) },
            seen(5, true),
            wait(9),
        ),
        (
            &policy,
            State { forced: Some(Signal::Sigterm), ..signalled(Phase::Draining) },
            seen(7, false),
            Step::Cut,
        ),
        (
            &policy,
            State { cut_at: Some(began + secs(28)), ..signalled(Phase::Draining) },
            seen(28, false),
            wait(29),
        ),
        (
            &policy,
            State { cut_at: Some(began + secs(28)), ..signalled(Phase::Draining) },
            seen(29, false),
            Step::Enter(Phase::Drained),
        ),
        (&policy, signalled(Phase::Drained), seen(7, true), Step::Finish),
        (
            &policy,
            State { drained_at: Some(began + secs(7)), ..signalled(Phase::Drained) },
            Seen { linger: Some(secs(10)), ..seen(7, true) },
            wait(17),
        ),
        // The linger never outlasts the deadline.
        (
            &policy,
            State { drained_at: Some(began + secs(27)), ..signalled(Phase::Drained) },
            Seen { linger: Some(secs(10)), ..seen(27, true) },
            wait(28),
        ),
    ];
    for (policy, state, seen, expected) in cases {
        assert_eq!(next(policy, &state, &seen), expected, "{state:?} {seen:?}");
    }
}

#[test]
fn a_signal_shares_the_clock_of_the_hook_that_was_just_answered() {
    let began = Instant::now();
    let running = Termination::new(began, BegunBy::Hook);
    let over = Termination { delay_over: Some(began + secs(5)), ..running };
    let later = |ms| began + secs(5) + Duration::from_millis(ms);
    for (termination, now, shared) in [
        (running, began + secs(4), true),
        (over, later(0), true),
        (over, later(19), true),
        (over, later(3_000), true),
        (over, later(3_001), false),
        (over, began + secs(29), false),
    ] {
        assert_eq!(termination.is_shared_by(now), shared, "{termination:?} {now:?}");
    }
}

#[test]
fn hooks_that_no_signal_follows_rest_for_longer_and_longer() {
    let policy = Policy::default();
    let seconds: Vec<_> =
        [1, 2, 3, 12, 40].iter().map(|n| back_off(&policy, *n).as_secs()).collect();
    assert_eq!(seconds, [300, 600, 1_200, 86_400, 86_400]);
}

#[test]
fn signals_mean_something_in_every_phase_and_mode() {
    use Reaction::{AlreadyUnderWay, EndDelay, EndLinger, ExitAtOnce, Force, Ignore, Terminate};
    let drain = Policy::default();
    let with = |mode| Policy { mode, ..drain };
    let first = |phase| State { phase, ..State::new() };
    let second = |phase| State { signal: Some(Signal::Sigterm), ..first(phase) };
    for phase in Phase::ALL {
        for signal in Signal::ALL {
            assert_eq!(first(phase).receive(&with(Mode::Ignore), signal), Ignore);
            assert_eq!(first(phase).receive(&with(Mode::Immediate), signal), ExitAtOnce);
        }
    }
    let cases = [
        (first(Phase::Starting), Signal::Sigterm, Terminate),
        (first(Phase::Serving), Signal::Sigint, Terminate),
        // The hook's lame duck, joined by the first signal.
        (first(Phase::LameDuck), Signal::Sigterm, Terminate),
        (second(Phase::LameDuck), Signal::Sigterm, AlreadyUnderWay),
        (second(Phase::LameDuck), Signal::Sigint, EndDelay),
        (second(Phase::Draining), Signal::Sigterm, Force),
        (second(Phase::Draining), Signal::Sigint, Force),
        (second(Phase::Drained), Signal::Sigterm, EndLinger),
    ];
    for (state, signal, expected) in cases {
        for policy in [drain, with(Mode::Graceful)] {
            assert_eq!(state.receive(&policy, signal), expected, "{state:?} {signal}");
        }
    }
}
