//! The drain: receives hooks and signals, asks [`sequence`] what comes next,
//! and does it.

mod leftovers;

use std::{
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Entered, Lifecycle, Trigger,
    in_flight::Unfinished,
    lock,
    phase::Phase,
    policy::Mode,
    report::{DrainReport, ExitReason, PhaseReport, RequestsByPhase},
    sequence::{self, BegunBy, Reaction, Seen, State, Step, Termination},
    signal::{Signal, Signals},
};

/// Exit code when something was cut at the deadline.
const EXIT_CUT: u8 = 3;

/// While draining, what is left is logged this often.
const PROGRESS: Duration = Duration::from_secs(2);

/// Leads a server from its start to its end.
#[derive(Debug)]
pub struct Drain {
    lifecycle: Lifecycle,
    triggers: mpsc::UnboundedReceiver<Trigger>,
    signals: Option<Signals>,
    state: State,
    hooks: Vec<oneshot::Sender<Phase>>,
    cut: Vec<Unfinished>,
    cut_total: usize,
    last_arrival: Option<Duration>,
}

impl Drain {
    pub(super) fn new(lifecycle: Lifecycle, triggers: mpsc::UnboundedReceiver<Trigger>) -> Self {
        Self {
            lifecycle,
            triggers,
            signals: None,
            state: State::new(),
            hooks: Vec::new(),
            cut: Vec::new(),
            cut_total: 0,
            last_arrival: None,
        }
    }

    /// Acts on these signals as they come, and on those that have come since they were caught.
    pub fn obey(&mut self, signals: Signals) {
        self.signals = Some(signals);
    }

    /// Whether it acts on the signals of this process by itself.
    pub const fn has_signals(&self) -> bool {
        self.signals.is_some()
    }

    /// Leaves the signals to the program, which then calls [`Lifecycle::signal`].
    pub fn take_signals(&mut self) -> Option<Signals> {
        self.signals.take()
    }

    /// The handle to the life that this drain leads.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Runs until the process should exit, and reports what happened.
    ///
    /// Has to be polled for anything to change; dropping it leaves the server in its phase.
    pub async fn run(mut self) -> DrainReport {
        let mut progress = Instant::now();
        loop {
            let step = sequence::next(self.lifecycle.policy(), &self.state, &self.see());
            match step {
                Step::Enter(phase) => {
                    self.enter(phase);
                    progress = Instant::now() + PROGRESS;
                }
                Step::EndDelay => self.end_delay(),
                Step::CatchUp => self.state.caught_up = Some(Instant::now()),
                Step::Cut => self.cut_off(),
                Step::Finish => {
                    self.take_noted();
                    return self.report(self.outcome());
                }
                Step::Wait(until) => {
                    let draining = self.state.phase == Phase::Draining;
                    let until = if draining { until.map(|at| at.min(progress)) } else { until };
                    if let Some(report) = self.wait(until).await {
                        return report;
                    }
                    if draining && Instant::now() >= progress {
                        self.log_progress();
                        progress = Instant::now() + PROGRESS;
                    }
                }
            }
        }
    }

    fn see(&self) -> Seen {
        let shared = &self.lifecycle.shared;
        let policy = &shared.policy;
        let drained_at = self.state.drained_at;
        // A scraper asks the other process now.
        let drained_at = drained_at.filter(|_| !shared.handed_over.is_cancelled());
        let linger = drained_at.and_then(|at| lock(&shared.scrapes).linger(at, policy.linger));
        Seen {
            now: Instant::now(),
            idle: shared.in_flight.is_idle(),
            last_arrival: shared.in_flight.arrivals.last(),
            linger,
        }
    }

    /// Waits for a trigger, for the last thing in flight to end, or for `until`.
    async fn wait(&mut self, until: Option<Instant>) -> Option<DrainReport> {
        let idle = &self.lifecycle.shared.in_flight.idle;
        let signal = async {
            match &mut self.signals {
                Some(signals) => signals.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = signal => {
                self.lifecycle.count(signal);
                self.receive_signal(signal)
            }
            // Never `None`: this drain's own lifecycle holds a sender.
            Some(trigger) = self.triggers.recv() => self.receive(trigger),
            () = idle.changed() => None,
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => None,
        }
    }

    fn receive(&mut self, trigger: Trigger) -> Option<DrainReport> {
        match trigger {
            Trigger::Ready => {
                let holds = self.lifecycle.shared.startup_holds.load(Ordering::Acquire);
                if self.state.phase == Phase::Starting && holds == 0 {
                    self.enter(Phase::Serving);
                }
                None
            }
            Trigger::Scraped => None,
            Trigger::HandOver(answer) => {
                self.hand_over(answer);
                None
            }
            Trigger::Hook(answer) => {
                self.receive_hook(answer);
                None
            }
            Trigger::Signal(signal) => self.receive_signal(signal),
        }
    }

    fn receive_hook(&mut self, answer: oneshot::Sender<Phase>) {
        let drains = self.lifecycle.policy().mode == Mode::Drain;
        match self.state.phase {
            Phase::Serving if drains && self.hooks_rest() => {
                tracing::warn!(
                    stray_hooks = self.state.stray_hooks,
                    "preStop hook called, and ignored: no signal has followed the last ones"
                );
                let _ = answer.send(Phase::Serving);
            }
            Phase::Serving if drains => {
                tracing::info!("preStop hook called; leaving");
                self.begin(BegunBy::Hook);
                self.hooks.push(answer);
            }
            Phase::LameDuck
                if self.state.hook_may_join(self.lifecycle.policy(), Instant::now()) =>
            {
                tracing::info!("preStop hook called; joining the termination under way");
                self.join_hook();
                self.hooks.push(answer);
            }
            phase => {
                tracing::info!(%phase, mode = %self.lifecycle.policy().mode, "preStop hook called; nothing to do");
                // An error means that the caller is gone.
                let _ = answer.send(phase);
            }
        }
    }

    /// Another process serves the listening sockets from now on, if nothing else has begun.
    fn hand_over(&mut self, answer: oneshot::Sender<bool>) {
        let leaves = matches!(self.lifecycle.policy().mode, Mode::Drain | Mode::Graceful);
        let begins = leaves && self.state.phase == Phase::Serving;
        if begins {
            tracing::info!("another process has taken over; leaving");
            self.begin(BegunBy::Handoff);
            // Before anything else changes, so that whoever is woken by that finds it.
            self.lifecycle.shared.handed_over.cancel();
        }
        // An error means that the caller is gone.
        let _ = answer.send(begins);
    }

    fn hooks_rest(&self) -> bool {
        self.state.hooks_rest_until.is_some_and(|until| Instant::now() < until)
    }

    /// The first hook may have been stray, and this one the kubelet's: its pod has only now been
    /// deleted, so it waits for the least delay again.
    fn join_hook(&mut self) {
        if let Some(termination) = &mut self.state.termination
            && self.state.signal.is_none()
            && !termination.is_handoff()
        {
            termination.joined = Some(Instant::now());
            termination.delay_over = None;
        }
    }

    fn receive_signal(&mut self, signal: Signal) -> Option<DrainReport> {
        let phase = self.state.phase;
        let reaction = self.state.receive(self.lifecycle.policy(), signal);
        match reaction {
            Reaction::Ignore => tracing::warn!(%signal, "signal received and ignored"),
            Reaction::ExitAtOnce => {
                tracing::warn!(%signal, "signal received; exiting at once");
                self.state.signal = Some(signal);
                return Some(self.report(ExitReason::Immediate));
            }
            Reaction::Terminate => {
                tracing::info!(%signal, %phase, "signal received; leaving");
                self.state.signal = Some(signal);
                self.join_or_begin();
            }
            Reaction::AlreadyUnderWay => {
                tracing::info!(%signal, %phase, "signal received again; already leaving");
            }
            Reaction::EndDelay => {
                tracing::warn!(%signal, "second signal; ending the delay now");
                self.end_delay();
            }
            Reaction::Force => {
                tracing::warn!(%signal, "signal while draining; giving up what is in flight");
                self.state.forced = Some(signal);
            }
            Reaction::EndLinger => {
                tracing::info!(%signal, "signal while waiting for the last scrape; exiting");
                self.state.forced = Some(signal);
            }
        }
        None
    }

    /// Starts the one clock.
    fn begin(&mut self, cause: BegunBy) {
        let began = Instant::now();
        self.state.termination = Some(Termination::new(began, cause));
        *lock(&self.lifecycle.shared.began) = Some(began);
    }

    /// A signal joins the clock of the hook that it belongs to; else it starts one.
    fn join_or_begin(&mut self) {
        let now = Instant::now();
        match &mut self.state.termination {
            Some(hook) if hook.is_shared_by(now) => {
                if hook.delay_over.is_none() && !hook.is_handoff() {
                    hook.joined = Some(now);
                }
            }
            Some(hook) => {
                tracing::warn!(
                    seconds = (now - hook.began).as_secs_f64(),
                    "the preStop hook was called long before this signal; the clock starts anew"
                );
                self.lifecycle.shared.in_flight.arrivals.forget_last();
                self.begin(BegunBy::Signal);
            }
            None => self.begin(BegunBy::Signal),
        }
    }

    fn end_delay(&mut self) {
        let Some(termination) = &mut self.state.termination else { return };
        if termination.delay_over.is_some() {
            return;
        }
        let now = Instant::now();
        termination.delay_over = Some(now);
        tracing::info!(
            delay_seconds = (now - termination.began).as_secs_f64(),
            "traffic has had its time to move away"
        );
        for answer in self.hooks.drain(..) {
            // An error means that the caller is gone.
            let _ = answer.send(self.state.phase);
        }
    }

    /// The only place where a phase changes.
    fn enter(&mut self, phase: Phase) {
        let from = self.state.phase;
        debug_assert!(from.may_become(phase), "{from} must not become {phase}");
        if !from.may_become(phase) {
            tracing::error!(%from, to = %phase, "refused an illegal change of phase");
            return;
        }
        let shared = &self.lifecycle.shared;
        let entered = Entered { phase, at: Instant::now(), wall: SystemTime::now() };
        if phase == Phase::Serving {
            shared.in_flight.arrivals.forget_last();
        }
        if from == Phase::LameDuck && phase == Phase::Serving {
            tracing::warn!(
                "no signal followed the preStop hook within the grace period; serving again"
            );
            self.state.termination = None;
            self.state.stray_hooks += 1;
            let rest = sequence::back_off(&shared.policy, self.state.stray_hooks);
            self.state.hooks_rest_until = Some(Instant::now() + rest);
            *lock(&shared.began) = None;
            // Only this one was cancelled. The others are held by those who wait for what is
            // still to come: acceptors for the draining, connections for the deadline.
            lock(&shared.tokens).lame_duck = CancellationToken::new();
        }
        if phase == Phase::Draining {
            shared.in_flight.idle.watch();
        }
        self.state.phase = phase;
        // The phase first, then the tokens: whoever is woken already finds readiness off.
        shared.phase.store(phase as u8, Ordering::Release);
        lock(&shared.history).push(entered);
        shared.entered.send_replace(entered);
        let tokens = lock(&shared.tokens).clone();
        if phase >= Phase::LameDuck {
            tokens.lame_duck.cancel();
        }
        if phase >= Phase::Draining {
            tokens.draining.cancel();
        }
        if phase == Phase::Drained {
            // From here on, every scrape that begins shows this phase.
            self.state.drained_at = Some(Instant::now());
            self.last_arrival = self.lifecycle.last_arrival();
        }
        tracing::info!(%from, to = %phase, "phase changed");
    }

    fn outcome(&self) -> ExitReason {
        match (self.state.cut_at, self.state.forced) {
            (None, _) => ExitReason::Clean,
            (Some(_), Some(_)) => ExitReason::Forced,
            (Some(_), None) if self.cut_total == 0 => ExitReason::Clean,
            (Some(_), None) => ExitReason::Cut,
        }
    }

    fn report(&self, outcome: ExitReason) -> DrainReport {
        let now = Instant::now();
        let lifecycle = &self.lifecycle;
        let history = lifecycle.history();
        let ends = history.iter().skip(1).map(|entered| entered.at).chain([now]);
        let phases = history.iter().zip(ends).map(|(entered, end)| PhaseReport {
            phase: entered.phase,
            entered: unix_seconds(entered.wall),
            seconds: (end - entered.at).as_secs_f64(),
        });
        let exit_code = match (outcome, self.state.forced.or(self.state.signal)) {
            (ExitReason::Clean, _) => 0,
            (ExitReason::Forced | ExitReason::Immediate, Some(signal)) => signal.exit_code(),
            _ => EXIT_CUT,
        };
        let termination = self.state.termination;
        let arrivals = &lifecycle.in_flight().arrivals;
        let last_arrival = self.last_arrival.or_else(|| lifecycle.last_arrival());
        DrainReport {
            mode: lifecycle.policy().mode,
            outcome,
            exit_code,
            cause: termination.map(|t| t.cause),
            signal: self.state.signal,
            termination_seconds: termination.map_or(0.0, |t| (now - t.began).as_secs_f64()),
            phases: phases.collect(),
            requests: RequestsByPhase {
                serving: arrivals.in_phase(Phase::Serving),
                lame_duck: arrivals.in_phase(Phase::LameDuck),
                draining: arrivals.in_phase(Phase::Draining),
            },
            last_arrival_seconds: last_arrival.map(|last| last.as_secs_f64()),
            delay_seconds: termination.and_then(|t| Some((t.delay_over? - t.began).as_secs_f64())),
            delay_needed_seconds: DrainReport::delay_for(last_arrival),
            cut_total: self.cut_total,
            cut: self.cut.clone(),
        }
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
