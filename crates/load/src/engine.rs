//! The open loop: sends what is due, whatever became of what was sent before.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use hyper::{HeaderMap, http::uri::Authority};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{Attempt, Outcome},
    client::{Afterwards, Client},
    connect::Connect,
    exchange::{Dialer, Known, Versions},
    mix::Mix,
    pacer::Pacer,
    report::{LoadReport, Tally},
    schedule::{Due, Schedule},
    tls::Tls,
};

/// The bounds of a run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests outstanding at once. What is due beyond that is not sent, and is recorded
    /// as [`Outcome::Unsent`].
    pub in_flight: usize,
    /// Time for a connection to be established, with TLS where it is spoken.
    pub connect_timeout: Duration,
    /// Time for a complete answer, from the real send.
    pub timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            in_flight: 10_000,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        }
    }
}

type Sink = Box<dyn FnMut(Attempt) + Send>;

/// A run to be started: what is sent, where to, within which bounds.
///
/// The engine runs on two threads of its own, one that sends and one that keeps the time,
/// so that neither is delayed by what the caller's runtime does. Connections are made, and
/// attempts handed over, on the first one.
pub struct Engine {
    mix: Mix,
    connect: Arc<dyn Connect>,
    bounds: Bounds,
    authority: Authority,
    tls: Option<Tls>,
    headers: HeaderMap,
    origin: Option<Instant>,
    abandon: CancellationToken,
    due: Option<Box<dyn FnMut() + Send>>,
    sink: Option<Sink>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("mix", &self.mix)
            .field("bounds", &self.bounds)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// A run of this mix over these connections.
    pub fn new(mix: Mix, connect: Arc<dyn Connect>, bounds: Bounds) -> Self {
        Self {
            mix,
            connect,
            bounds,
            authority: Authority::from_static("localhost"),
            tls: None,
            headers: HeaderMap::new(),
            origin: None,
            abandon: CancellationToken::new(),
            due: None,
            sink: None,
        }
    }

    /// What requests name as their host; `localhost` otherwise.
    #[must_use]
    pub fn authority(mut self, authority: Authority) -> Self {
        self.authority = authority;
        self
    }

    /// Speaks TLS on every connection: https, and wss.
    #[must_use]
    pub fn tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Headers that every request carries.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Counts time from this instant, so that attempts share a clock with other events. The
    /// schedule begins when the run does, or at `origin` if that is still to come.
    #[must_use]
    pub fn clock(mut self, origin: Instant) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Ends the run at once when cancelled: what is outstanding then is
    /// [`Outcome::Abandoned`].
    #[must_use]
    pub fn abandon_on(mut self, token: CancellationToken) -> Self {
        self.abandon = token;
        self
    }

    /// Calls this for every request as it becomes due, on the engine's own thread: it must be
    /// quick and must not block.
    #[must_use]
    pub fn on_due(mut self, due: impl FnMut() + Send + 'static) -> Self {
        self.due = Some(Box::new(due));
        self
    }

    /// Calls this with every attempt as it ends, on the engine's own thread: it must be quick
    /// and must not block; sending into a channel is meant.
    #[must_use]
    pub fn on_attempt(mut self, sink: impl FnMut(Attempt) + Send + 'static) -> Self {
        self.sink = Some(Box::new(sink));
        self
    }

    /// Sends for `duration`, or without end, until `stop` is cancelled; then waits for what
    /// is outstanding, which the time limits bound, and reports.
    ///
    /// Dropping the returned future abandons the run.
    ///
    /// # Errors
    /// When the system gives no thread or event queue.
    pub async fn run(
        self,
        duration: Option<Duration>,
        stop: CancellationToken,
    ) -> io::Result<LoadReport> {
        let abandon = self.abandon.child_token();
        let _abandoned_when_dropped = abandon.clone().drop_guard();
        let (done, report) = oneshot::channel();
        thread::Builder::new().name("load".to_owned()).spawn(move || {
            let report =
                tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(
                    |runtime| runtime.block_on(Self { abandon, ..self }.drive(duration, stop)),
                );
            // Nobody waits any more: then nobody needs it.
            let _ = done.send(report);
        })?;
        report.await.map_err(|_| io::Error::other("the load generator's thread ended early"))?
    }

    async fn drive(
        mut self,
        duration: Option<Duration>,
        stop: CancellationToken,
    ) -> io::Result<LoadReport> {
        let began = Instant::now();
        let start = self.origin.map_or(began, |origin| origin.max(began));
        let offset = self.origin.map_or(Duration::ZERO, |origin| start.duration_since(origin));
        let versions = Arc::new(Versions::default());
        let dialer =
            Dialer { connect: self.connect, limit: self.bounds.connect_timeout, tls: None };
        let clients: Vec<_> = self
            .mix
            .streams()
            .iter()
            .map(|spec| {
                Arc::new(Client::new(
                    spec,
                    &self.authority,
                    &self.headers,
                    dialer.clone(),
                    self.tls.as_ref(),
                    Arc::clone(&versions),
                    self.bounds.timeout,
                ))
            })
            .collect();
        let tallies = clients.iter().map(|_| Tally::default()).collect();
        let run = Arc::new(Run {
            origin: self.origin.unwrap_or(start),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            settled: Notify::new(),
            abandon: self.abandon,
            record: Mutex::new(Record { tallies, sink: self.sink }),
        });

        let mut schedule = Schedule::new(self.mix.streams().iter().map(|spec| spec.rate), duration);
        let pacer = Pacer::start(schedule.clone(), start)?;
        let (now, wall) = (Instant::now(), SystemTime::now());
        // One of the two differences is zero: the start is behind or still to come.
        let started =
            wall + start.saturating_duration_since(now) - now.saturating_duration_since(start);
        let mut seq = 0;
        while schedule.next_at().is_some() {
            // Before a start that is still to come, nothing is due: not even the first ones.
            let since_start = Instant::now().checked_duration_since(start);
            while let Some(due) = since_start.and_then(|now| schedule.pop(now)) {
                if let Some(on_due) = &mut self.due {
                    on_due();
                }
                let client = &clients[due.stream];
                let due = Due { intended: due.intended + offset, ..due };
                run.send(client, seq, due, self.bounds.in_flight);
                seq += 1;
            }
            tokio::select! {
                biased;
                () = run.abandon.cancelled() => break,
                () = stop.cancelled() => break,
                () = pacer.tick() => {}
            }
        }
        drop(pacer);
        run.wait().await;

        let mut record = run.record.lock().unwrap_or_else(PoisonError::into_inner);
        // The consumer's channel closes before the report is there.
        record.sink = None;
        let tallies = std::mem::take(&mut record.tallies);
        Ok(LoadReport::new(self.mix, started, offset, tallies, run.peak.load(Ordering::Relaxed)))
    }
}

/// What the requests of a run share.
struct Run {
    origin: Instant,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    settled: Notify,
    abandon: CancellationToken,
    record: Mutex<Record>,
}

struct Record {
    tallies: Vec<Tally>,
    sink: Option<Sink>,
}

impl Run {
    /// Begins one request; never waits.
    fn send(self: &Arc<Self>, client: &Arc<Client>, seq: u64, due: Due, limit: usize) {
        if self.in_flight.load(Ordering::Relaxed) >= limit {
            let now = self.origin.elapsed();
            self.record(Attempt {
                outcome: Outcome::Unsent,
                error: Some(format!("not sent: {limit} requests in flight").into()),
                ..attempt(client, seq, due, now, now)
            });
            return;
        }
        let outstanding = Outstanding::begin(self);
        let client = Arc::clone(client);
        tokio::spawn(async move {
            let afterwards = outstanding.0.exchange(&client, seq, due).await;
            drop(outstanding);
            client.after(afterwards).await;
        });
    }

    async fn exchange(&self, client: &Client, seq: u64, due: Due) -> Afterwards {
        let sent = self.origin.elapsed();
        let mut known = Known::default();
        let result = tokio::select! {
            biased;
            result = client.exchange(&mut known) => Some(result),
            () = self.abandon.cancelled() => None,
        };
        let (outcome, retryable, error, afterwards) = match result {
            Some(Ok(afterwards)) => (Outcome::Ok, false, None, afterwards),
            Some(Err(failure)) => {
                let retryable = failure.retryable(known.seen, known.http2, client.replayable);
                let outcome = failure.outcome(known.seen);
                (outcome, retryable, Some(failure.text.into()), Afterwards::Nothing)
            }
            None => (Outcome::Abandoned, false, None, Afterwards::Nothing),
        };
        self.record(Attempt {
            outcome,
            status: known.status,
            peer: known.peer,
            reused: known.seen.reused,
            retryable,
            version: known.version,
            instance: known.instance,
            proxied: known.proxied,
            bytes_in: known.bytes_in,
            error,
            ..attempt(client, seq, due, sent, self.origin.elapsed())
        });
        afterwards
    }

    fn record(&self, attempt: Attempt) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.tallies[attempt.stream].add(&attempt);
        if let Some(sink) = &mut record.sink {
            sink(attempt);
        }
    }

    /// Returns once nothing is outstanding.
    async fn wait(&self) {
        while self.in_flight.load(Ordering::Relaxed) > 0 {
            self.settled.notified().await;
        }
    }
}

/// Counts a request as in flight until dropped, however its task ends.
struct Outstanding(Arc<Run>);

impl Outstanding {
    fn begin(run: &Arc<Run>) -> Self {
        let in_flight = run.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        run.peak.fetch_max(in_flight, Ordering::Relaxed);
        Self(Arc::clone(run))
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.settled.notify_one();
        }
    }
}

/// An attempt of which nothing is known but its times.
fn attempt(client: &Client, seq: u64, due: Due, sent: Duration, finished: Duration) -> Attempt {
    Attempt {
        seq,
        stream: due.stream,
        intended: due.intended,
        sent,
        finished,
        outcome: Outcome::Abandoned,
        status: None,
        peer: None,
        reused: false,
        retryable: false,
        version: None,
        instance: None,
        proxied: None,
        bytes_in: 0,
        bytes_out: client.body_len,
        error: None,
    }
}
