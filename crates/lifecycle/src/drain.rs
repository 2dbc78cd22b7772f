//! The drain: receives hooks and signals, asks [`sequence`] what comes next,
//! and does it.

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
    report::{Outcome, PhaseReport, Report, RequestsByPhase},
    sequence::{self, Cause, Reaction, Seen, State, Step, Termination},
    signal::Signal,
};

/// Exit code when something was cut at the deadline.
const EXIT_CUT: u8 = 3;

/// While draining, what is left is logged this often.
const PROGRESS: Duration = Duration::from_secs(2);

/// At most this many kinds of leftovers are named in a log line.
const NAMED: usize = 5;

/// Leads a server from its start to its end.
#[derive(Debug)]
pub struct Drain {
    lifecycle: Lifecycle,
    triggers: mpsc::UnboundedReceiver<Trigger>,
    state: State,
    hooks: Vec<oneshot::Sender<Phase>>,
    cut: Vec<Unfinished>,
    last_arrival: Option<Duration>,
}

impl Drain {
    pub(super) fn new(lifecycle: Lifecycle, triggers: mpsc::UnboundedReceiver<Trigger>) -> Self {
        Self {
            lifecycle,
            triggers,
            state: State::new(),
            hooks: Vec::new(),
            cut: Vec::new(),
            last_arrival: None,
        }
    }

    /// The handle to the life that this drain leads.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Runs until the process should exit, and reports what happened.
    ///
    /// Has to be polled for anything to change; dropping it leaves the server in its phase.
    pub async fn run(mut self) -> Report {
        let mut progress = Instant::now();
        loop {
            let step = sequence::next(self.lifecycle.policy(), &self.state, &self.see());
            match step {
                Step::Enter(phase) => {
                    self.enter(phase);
                    progress = Instant::now() + PROGRESS;
                }
                Step::EndDelay => self.end_delay(),
                Step::Cut => self.cut_off(),
                Step::Finish => return self.report(self.outcome()),
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
        let linger = drained_at.and_then(|at| lock(&shared.scrapes).linger(at, policy.linger));
        Seen {
            now: Instant::now(),
            idle: shared.in_flight.is_idle(),
            last_arrival: shared.in_flight.arrivals.last(),
            linger,
        }
    }

    /// Waits for a trigger, for the last thing in flight to end, or for `until`.
    async fn wait(&mut self, until: Option<Instant>) -> Option<Report> {
        let idle = &self.lifecycle.shared.in_flight.idle;
        tokio::select! {
            biased;
            // Never `None`: this drain's own lifecycle holds a sender.
            Some(trigger) = self.triggers.recv() => self.receive(trigger),
            () = idle.changed() => None,
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => None,
        }
    }

    fn receive(&mut self, trigger: Trigger) -> Option<Report> {
        match trigger {
            Trigger::Ready => {
                let holds = self.lifecycle.shared.startup_holds.load(Ordering::Acquire);
                if self.state.phase == Phase::Starting && holds == 0 {
                    self.enter(Phase::Serving);
                }
                None
            }
            Trigger::Scraped => None,
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
            Phase::Serving if drains => {
                tracing::info!("preStop hook called; leaving");
                self.begin(Cause::Hook);
                self.hooks.push(answer);
            }
            Phase::LameDuck if self.delay_is_running() => {
                tracing::info!("preStop hook called; joining the termination under way");
                self.hooks.push(answer);
            }
            phase => {
                tracing::info!(%phase, mode = %self.lifecycle.policy().mode, "preStop hook called; nothing to do");
                // An error means that the caller is gone.
                let _ = answer.send(phase);
            }
        }
    }

    fn delay_is_running(&self) -> bool {
        self.state.termination.is_some_and(|t| t.delay_over.is_none())
    }

    fn receive_signal(&mut self, signal: Signal) -> Option<Report> {
        let phase = self.state.phase;
        let reaction = self.state.receive(self.lifecycle.policy(), signal);
        match reaction {
            Reaction::Ignore => tracing::warn!(%signal, "signal received and ignored"),
            Reaction::ExitAtOnce => {
                tracing::warn!(%signal, "signal received; exiting at once");
                self.state.signal = Some(signal);
                return Some(self.report(Outcome::Immediate));
            }
            Reaction::Terminate => {
                tracing::info!(%signal, %phase, "signal received; leaving");
                self.state.signal = Some(signal);
                self.begin(Cause::Signal);
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

    /// Starts the one clock, unless it is running.
    fn begin(&mut self, cause: Cause) {
        if self.state.termination.is_none() {
            let began = Instant::now();
            self.state.termination = Some(Termination { began, cause, delay_over: None });
            *lock(&self.lifecycle.shared.began) = Some(began);
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

    fn cut_off(&mut self) {
        let shared = &self.lifecycle.shared;
        let mut cut: Vec<_> =
            lock(&shared.census).iter().flat_map(|census| census.unfinished()).collect();
        cut.extend(shared.in_flight.unfinished_work());
        cut.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds));
        shared.cut.store(cut.len() as u64, Ordering::Relaxed);
        tracing::warn!(cut = cut.len(), what = %name(&cut), "deadline: cutting what is left");
        self.cut = cut;
        self.state.cut_at = Some(Instant::now());
        lock(&shared.tokens).deadline.cancel();
    }

    /// Who remains, and how long there is left.
    fn log_progress(&self) {
        let shared = &self.lifecycle.shared;
        let mut left: Vec<_> =
            lock(&shared.census).iter().flat_map(|census| census.unfinished()).collect();
        left.extend(shared.in_flight.unfinished_work());
        let remaining = self
            .lifecycle
            .deadline_at()
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        tracing::info!(
            requests = shared.in_flight.requests.get(),
            connections = shared.in_flight.connections.get(),
            work = shared.in_flight.work(),
            seconds_left = remaining.as_secs(),
            what = %name(&left),
            "still draining"
        );
    }

    fn outcome(&self) -> Outcome {
        match (self.state.cut_at, self.state.forced) {
            (None, _) => Outcome::Clean,
            (Some(_), Some(_)) => Outcome::Forced,
            (Some(_), None) if self.cut.is_empty() => Outcome::Clean,
            (Some(_), None) => Outcome::Cut,
        }
    }

    fn report(&self, outcome: Outcome) -> Report {
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
            (Outcome::Clean, _) => 0,
            (Outcome::Forced | Outcome::Immediate, Some(signal)) => signal.exit_code(),
            _ => EXIT_CUT,
        };
        let termination = self.state.termination;
        let arrivals = &lifecycle.in_flight().arrivals;
        let last_arrival = self.last_arrival.or_else(|| lifecycle.last_arrival());
        Report {
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
            delay_needed_seconds: Report::delay_for(last_arrival),
            cut_total: self.cut.len(),
            cut: self.cut.clone(),
        }
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// What is left, by name and number, the most frequent first.
fn name(left: &[Unfinished]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for item in left {
        match counts.iter_mut().find(|(what, _)| *what == item.what) {
            Some((_, n)) => *n += 1,
            None => counts.push((&item.what, 1)),
        }
    }
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let more = counts.len().saturating_sub(NAMED);
    let mut names: Vec<_> =
        counts.iter().take(NAMED).map(|(what, n)| format!("{n} x {what}")).collect();
    if more > 0 {
        names.push(format!("and {more} more kinds"));
    }
    names.join(", ")
}
