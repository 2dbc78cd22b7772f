//! The core: how a server goes away, apart from HTTP.
//!
//! [`Lifecycle`] is the handle that everybody holds: it tells the phase, hands out tokens and
//! counts what is in flight. [`Drain`] is its counterpart, held by one: it receives hooks and
//! signals, decides what comes next and ends with a [`DrainReport`].
//!
//! ```
//! # use websample_lifecycle::{Lifecycle, Phase, Policy, Signal};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let (lifecycle, drain) = Lifecycle::new(Policy::default()).unwrap();
//! let drained = tokio::spawn(drain.run());
//!
//! lifecycle.serving().await;
//! assert_eq!(lifecycle.phase(), Phase::Serving);
//!
//! lifecycle.signal(Signal::Sigterm);
//! let report = drained.await.unwrap();
//! assert_eq!(report.exit_code, 0);
//! # }
//! ```

mod drain;
mod in_flight;
mod phase;
mod policy;
mod report;
mod scrapes;
mod sequence;
mod signal;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    drain::Drain,
    in_flight::{Arrivals, Census, Count, Guard, InFlight, Unfinished, Work},
    phase::Phase,
    policy::{BudgetError, Delay, Mode, Policy, UnknownMode},
    report::{DrainReport, ExitReason, PhaseReport, RequestsByPhase},
    scrapes::{Scrape, Scrapes},
    sequence::BegunBy,
    signal::{Signal, Signals},
};

/// Why a life cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The policy does not add up.
    #[error(transparent)]
    Policy(#[from] BudgetError),
    /// The system refuses the handlers of SIGTERM and SIGINT.
    #[error("SIGTERM and SIGINT cannot be caught: {0}")]
    Signals(#[from] std::io::Error),
}

/// A phase and when it began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entered {
    /// Which phase.
    pub phase: Phase,
    /// When it began.
    pub at: Instant,
    /// The same, as wall-clock time.
    pub wall: SystemTime,
}

/// The tokens of one way out. An un-drain makes a fresh one for the lame duck.
#[derive(Debug, Clone, Default)]
struct Tokens {
    lame_duck: CancellationToken,
    draining: CancellationToken,
    deadline: CancellationToken,
}

/// What was cut at the deadline by those who alone could see it.
#[derive(Debug, Default)]
struct Noted {
    total: usize,
    named: Vec<Unfinished>,
}

/// At most this much of it is kept by name.
const NOTED: usize = 100;

/// What reaches the drain from outside.
#[derive(Debug)]
enum Trigger {
    Ready,
    Hook(oneshot::Sender<Phase>),
    Signal(Signal),
    /// Another process would take over; answered with whether it may.
    HandOver(oneshot::Sender<bool>),
    /// A scrape landed: the linger may be over.
    Scraped,
}

struct Shared {
    policy: Policy,
    phase: AtomicU8,
    entered: watch::Sender<Entered>,
    history: Mutex<Vec<Entered>>,
    tokens: Mutex<Tokens>,
    handed_over: CancellationToken,
    in_flight: InFlight,
    startup_holds: AtomicUsize,
    signals: [AtomicU64; Signal::ALL.len()],
    cut: AtomicU64,
    began: Mutex<Option<Instant>>,
    scrapes: Mutex<scrapes::Scrapes>,
    census: Mutex<Vec<Arc<dyn Census>>>,
    noted: Mutex<Noted>,
    triggers: mpsc::UnboundedSender<Trigger>,
}

/// Holds readiness back until it is dropped: listeners to bind, caches to warm.
#[must_use = "readiness is held back until this is dropped"]
pub struct StartupHold(Lifecycle);

impl Drop for StartupHold {
    fn drop(&mut self) {
        if self.0.shared.startup_holds.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ready();
        }
    }
}

impl std::fmt::Debug for StartupHold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StartupHold")
    }
}

/// The handle to a server's life, cheap to clone.
#[derive(Clone)]
pub struct Lifecycle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lifecycle").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// A life in phase `starting`, and the drain that will lead it.
    ///
    /// Nothing changes until [`Drain::run`] is polled. Signals are somebody else's: who wants this
    /// process' own, calls [`with_signals`](Self::with_signals).
    ///
    /// # Errors
    /// A policy that does not add up: see [`Policy::check`].
    pub fn new(policy: Policy) -> Result<(Self, Drain), BudgetError> {
        policy.check()?;
        let (triggers, received) = mpsc::unbounded_channel();
        let starting =
            Entered { phase: Phase::Starting, at: Instant::now(), wall: SystemTime::now() };
        let shared = Shared {
            policy,
            phase: AtomicU8::new(Phase::Starting as u8),
            entered: watch::Sender::new(starting),
            history: Mutex::new(vec![starting]),
            tokens: Mutex::default(),
            handed_over: CancellationToken::new(),
            in_flight: InFlight::new(),
            startup_holds: AtomicUsize::new(0),
            signals: Default::default(),
            cut: AtomicU64::new(0),
            began: Mutex::default(),
            scrapes: Mutex::default(),
            census: Mutex::default(),
            noted: Mutex::default(),
            triggers,
        };
        let lifecycle = Self { shared: Arc::new(shared) };
        Ok((lifecycle.clone(), Drain::new(lifecycle, received)))
    }

    /// The life of this process: like [`new`](Self::new), and SIGTERM and SIGINT are caught from now
    /// on. One that comes before [`Drain::run`] is acted on then.
    ///
    /// Call it first, before caches are warmed and databases connected: until a handler is there, the
    /// kernel discards the SIGTERM of a container's PID 1, and the kubelet sends only one.
    ///
    /// # Errors
    /// A policy that does not add up, or a system that refuses the handlers.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn with_signals(policy: Policy) -> Result<(Self, Drain), StartError> {
        let signals = Signals::catch()?;
        let (lifecycle, mut drain) = Self::new(policy)?;
        drain.obey(signals);
        Ok((lifecycle, drain))
    }

    /// What it decides by.
    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// The current phase.
    #[inline]
    pub fn phase(&self) -> Phase {
        Phase::from_index(self.shared.phase.load(Ordering::Acquire))
    }

    /// Every change of phase from now on, the current one first. A receiver that is slow sees
    /// the latest; [`history`](Self::history) has them all.
    pub fn subscribe(&self) -> watch::Receiver<Entered> {
        self.shared.entered.subscribe()
    }

    /// Every phase so far, in order.
    pub fn history(&self) -> Vec<Entered> {
        lock(&self.shared.history).clone()
    }

    /// Waits for this phase or a later one.
    pub async fn reached(&self, phase: Phase) {
        // An error would mean that the sender is gone, which `self` keeps alive.
        let _ = self.subscribe().wait_for(|entered| entered.phase >= phase).await;
    }

    /// Cancelled when the lame duck begins: time to tell clients to leave.
    ///
    /// After an un-drain there is a fresh token; one that was cancelled stays cancelled.
    pub fn lame_duck(&self) -> CancellationToken {
        lock(&self.shared.tokens).lame_duck.child_token()
    }

    /// Cancelled when draining begins: no new connection will come.
    pub fn draining(&self) -> CancellationToken {
        lock(&self.shared.tokens).draining.child_token()
    }

    /// Cancelled at the deadline, or when a second signal forces the exit: what is still running
    /// is cut.
    pub fn deadline(&self) -> CancellationToken {
        lock(&self.shared.tokens).deadline.child_token()
    }

    /// When what is still running will be cut; known once a termination has begun.
    pub fn deadline_at(&self) -> Option<Instant> {
        lock(&self.shared.began).map(|began| began + self.shared.policy.deadline())
    }

    /// What is under way.
    #[inline]
    pub fn in_flight(&self) -> &InFlight {
        &self.shared.in_flight
    }

    /// Counts a request that arrived in `phase`, until the guard is dropped.
    #[inline]
    pub fn request(&self, phase: Phase) -> Guard {
        let in_flight = &self.shared.in_flight;
        in_flight.arrivals.note(phase);
        in_flight.requests.enter()
    }

    /// Registers background work that the drain waits for, until the guard is dropped.
    ///
    /// ```
    /// # use websample_lifecycle::{Lifecycle, Policy};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (lifecycle, _drain) = Lifecycle::new(Policy::default()).unwrap();
    /// let work = lifecycle.work("flush the write-behind cache");
    /// tokio::spawn(async move {
    ///     // … the work …
    ///     drop(work);
    /// });
    /// # }
    /// ```
    pub fn work(&self, name: impl Into<String>) -> Work {
        self.shared.in_flight.register(name.into())
    }

    /// Registers somebody who can name what is unfinished at the deadline.
    pub fn register_census(&self, census: Arc<dyn Census>) {
        lock(&self.shared.census).push(census);
    }

    /// Something was cut at the deadline that no [`Census`] can see, such as a request whose head was
    /// still arriving: it is reported like all the rest.
    ///
    /// Has to be told before the guard is dropped that the drain waits for.
    pub fn note_cut(&self, cut: Unfinished) {
        let mut noted = lock(&self.shared.noted);
        noted.total += 1;
        if noted.named.len() < NOTED {
            noted.named.push(cut);
        }
    }

    /// Holds readiness back until the guard is dropped.
    pub fn hold_startup(&self) -> StartupHold {
        self.shared.startup_holds.fetch_add(1, Ordering::AcqRel);
        StartupHold(self.clone())
    }

    /// Start-up is done; dropping the last [`StartupHold`] says the same.
    pub fn ready(&self) {
        self.send(Trigger::Ready);
    }

    /// Says that start-up is done and waits until the server is serving.
    pub async fn serving(&self) {
        self.ready();
        self.reached(Phase::Serving).await;
    }

    /// A termination signal arrived.
    pub fn signal(&self, signal: Signal) {
        self.count(signal);
        self.send(Trigger::Signal(signal));
    }

    fn count(&self, signal: Signal) {
        self.shared.signals[signal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often this signal arrived.
    pub fn signals(&self, signal: Signal) -> u64 {
        self.shared.signals[signal as usize].load(Ordering::Relaxed)
    }

    /// The preStop hook was called: begins the lame duck, or joins it, and waits for the end of
    /// its delay. Returns the phase then.
    ///
    /// Returns at once, changing nothing, in every mode but [`Mode::Drain`], while starting, and
    /// when draining has begun. Dropping the future changes nothing either: what the hook began
    /// goes on.
    pub async fn hook(&self) -> Phase {
        let (answer, answered) = oneshot::channel();
        self.send(Trigger::Hook(answer));
        // No answer means that the drain is over or not running.
        answered.await.unwrap_or_else(|_| self.phase())
    }

    /// Another process is ready to serve this one's listening sockets: begins to leave, as by a
    /// signal, except that new connections are the other's from now on.
    ///
    /// Answers whether that is so. It is not where the end has begun already, nor while starting, nor
    /// in the modes [`Ignore`](Mode::Ignore) and [`Immediate`](Mode::Immediate): then nothing has
    /// changed, and the other process has to go.
    pub async fn hand_over(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.send(Trigger::HandOver(answer));
        // No answer means that the drain is over or not running.
        answered.await.unwrap_or(false)
    }

    /// Cancelled when another process has taken over: new connections are its own.
    pub fn handed_over(&self) -> CancellationToken {
        self.shared.handed_over.child_token()
    }

    /// Whether another process has taken over. Whoever asks for the address finds that one, so this
    /// one's readiness says nothing of it.
    pub fn is_handed_over(&self) -> bool {
        self.shared.handed_over.is_cancelled()
    }

    /// A scrape of the metrics begins: the values that it shows are read from now on. A server
    /// that is drained waits for the last scrape of whoever comes regularly.
    pub fn scrape(&self, from: Option<IpAddr>) -> Scrape {
        Scrape::begin(self.clone(), from)
    }

    fn note_scrape(&self, from: Option<IpAddr>, began: Instant) {
        lock(&self.shared.scrapes).landed(from, began);
        self.send(Trigger::Scraped);
    }

    /// How many scrapes were answered completely.
    pub fn scrapes(&self) -> u64 {
        lock(&self.shared.scrapes).total()
    }

    /// How many requests, connections and works were cut at the deadline.
    pub fn cut_total(&self) -> u64 {
        self.shared.cut.load(Ordering::Relaxed)
    }

    /// From the start of the termination to the last new request, if any came since.
    pub fn last_arrival(&self) -> Option<Duration> {
        let began = (*lock(&self.shared.began))?;
        let last = self.shared.in_flight.arrivals.last()?;
        Some(last.saturating_duration_since(began))
    }

    fn send(&self, trigger: Trigger) {
        // An error means that the drain has ended: nothing is left to decide.
        let _ = self.shared.triggers.send(trigger);
    }
}

/// Every critical section here leaves the data whole, so a panic elsewhere poisons nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
