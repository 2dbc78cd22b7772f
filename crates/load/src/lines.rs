//! A run as lines of JSON, for whoever follows it from another machine: what `--format lab` prints.
//!
//! ```text
//! {"n":1,"began":{"unix":1767225600.0,"websample":"0.1.0","mix":"100/s new GET /"}}
//! {"n":2,"attempt":{"seq":0,"stream":0,"intended":0.0,"sent":0.0,"finished":0.002,"outcome":"ok",…}}
//! {"n":3,"tick":{"at":1.0}}
//! {"n":4,"stopping":{"at":41.2}}
//! {"n":5,"ended":{"at":46.2,"requests":9000}}
//! ```
//!
//! Every time is in seconds from the start of the run. Lines are numbered, so that a reader whose
//! connection broke can read them again from the start, and knows whether one is missing. Ticks come
//! once a second, whatever else does: with the time of a line's arrival they bound the difference of
//! two clocks from one side, and `stopping` does so from the other.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    attempt::{Attempt, seconds},
    mix::Mix,
};

/// How often there is a line even when nothing ends.
const TICK: Duration = Duration::from_secs(1);

/// Lines that may wait for whoever reads; beyond that sending is held up, which the send delay
/// shows, rather than memory filled.
const QUEUED: usize = 16_384;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, from 1.
    pub n: u64,
    /// What it says.
    #[serde(flatten)]
    pub entry: Said,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The first line.
    Began {
        /// Unix time at the start of the run, in seconds, by the clock of the generator's machine.
        unix: f64,
        /// The generator's version.
        websample: String,
        /// What is sent.
        mix: String,
    },
    /// A request ended.
    Attempt(Attempt),
    /// Nothing but the time.
    Tick {
        /// The time.
        #[serde(with = "seconds")]
        at: Duration,
    },
    /// The generator was told to stop: it sends nothing more and waits for what is outstanding.
    Stopping {
        /// The time.
        #[serde(with = "seconds")]
        at: Duration,
    },
    /// The last line.
    Ended {
        /// The time.
        #[serde(with = "seconds")]
        at: Duration,
        /// How many requests were due.
        requests: u64,
    },
}

/// Tells a [`Lines`] what to write.
#[derive(Debug, Clone)]
pub struct Teller(SyncSender<Told>);

enum Told {
    Attempt(Attempt),
    Stopping(Duration),
    Ended(Duration, u64),
}

impl Teller {
    /// What became of a request.
    pub fn attempt(&self, attempt: Attempt) {
        self.tell(Told::Attempt(attempt));
    }

    /// Nothing more is sent, from then on.
    pub fn stopping(&self, at: Duration) {
        self.tell(Told::Stopping(at));
    }

    /// The run is over, after so many requests.
    pub fn ended(&self, at: Duration, requests: u64) {
        self.tell(Told::Ended(at, requests));
    }

    fn tell(&self, told: Told) {
        // A writer that is gone has failed: its error is reported at the end.
        let _ = self.0.send(told);
    }
}

/// Writes the lines on a thread of its own, since whoever reads may be slow.
#[derive(Debug)]
pub struct Lines(thread::JoinHandle<io::Result<()>>);

impl Lines {
    /// Starts with the first line; `origin` and `wall` are the start of the run.
    pub fn start(
        out: impl Write + Send + 'static,
        origin: Instant,
        wall: SystemTime,
        mix: &Mix,
    ) -> io::Result<(Teller, Self)> {
        let (sender, told) = sync_channel(QUEUED);
        let began = Said::Began {
            unix: wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            websample: env!("CARGO_PKG_VERSION").to_owned(),
            mix: mix.to_string(),
        };
        let mut writer = Writer { out: io::BufWriter::new(out), n: 0 };
        let thread = thread::Builder::new().name("load-lines".to_owned()).spawn(move || {
            writer.write(began)?;
            writer.out.flush()?;
            writer.follow(&told, origin)
        })?;
        Ok((Teller(sender), Self(thread)))
    }

    /// Waits until everything is written.
    pub async fn finish(self) -> io::Result<()> {
        let ended = || io::Error::other("the writer of lines ended early");
        let joined = tokio::task::spawn_blocking(move || self.0.join()).await;
        joined.map_err(|_| ended())?.map_err(|_| ended())?
    }
}

struct Writer<W: Write> {
    out: io::BufWriter<W>,
    n: u64,
}

impl<W: Write> Writer<W> {
    fn write(&mut self, entry: Said) -> io::Result<()> {
        self.n += 1;
        serde_json::to_writer(&mut self.out, &Line { n: self.n, entry })?;
        self.out.write_all(b"\n")
    }

    /// Writes what is told until nobody tells any more, and the time in between.
    fn follow(&mut self, told: &Receiver<Told>, origin: Instant) -> io::Result<()> {
        let mut next = Instant::now() + TICK;
        loop {
            let entry = match told.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Told::Attempt(attempt)) => Said::Attempt(attempt),
                Ok(Told::Stopping(at)) => Said::Stopping { at },
                Ok(Told::Ended(at, requests)) => Said::Ended { at, requests },
                Err(RecvTimeoutError::Timeout) => {
                    next += TICK;
                    Said::Tick { at: origin.elapsed() }
                }
                Err(RecvTimeoutError::Disconnected) => return self.out.flush(),
            };
            // What marks a time is read at once; results may wait for the next of those.
            let timed = !matches!(entry, Said::Attempt(_));
            self.write(entry)?;
            if timed {
                self.out.flush()?;
            }
        }
    }
}

/// Reads numbered lines, each once, however often it comes.
#[derive(Debug, Default)]
pub struct Reader {
    read: u64,
}

/// Why lines cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not such a line.
    #[error("the load generator printed what is no line of its report: {0}")]
    Foreign(Arc<str>),
    /// A line before this one never came.
    #[error(
        "lines {first} to {last} of the load generator's report are missing: its log was rotated; use a lower rate"
    )]
    Missing {
        /// The first missing one.
        first: u64,
        /// The last missing one.
        last: u64,
    },
}

impl Reader {
    /// What a line says; `None` where it was read before.
    ///
    /// # Errors
    /// What is no such line, and a line that others should have come before.
    pub fn read(&mut self, text: &str) -> Result<Option<Said>, LineError> {
        let line: Line = serde_json::from_str(text).map_err(|_| {
            // As much as tells what it is.
            LineError::Foreign(text.chars().take(300).collect::<String>().into())
        })?;
        if line.n <= self.read {
            return Ok(None);
        }
        if line.n > self.read + 1 {
            return Err(LineError::Missing { first: self.read + 1, last: line.n - 1 });
        }
        self.read = line.n;
        Ok(Some(line.entry))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Outcome, Version};

    /// A place to write that can be looked at afterwards.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn attempt(outcome: Outcome, version: Option<Version>) -> Attempt {
        Attempt {
            seq: 7,
            stream: 1,
            intended: Duration::from_millis(1_250),
            sent: Duration::from_micros(1_250_100),
            finished: Duration::from_millis(1_300),
            outcome,
            status: version.is_some().then_some(201),
            peer: Some("10.96.0.7:80".parse().expect("an address")),
            reused: outcome == Outcome::ResetReused,
            retryable: false,
            version,
            instance: Some("websample-drain-7c9f4-x2k8p".into()),
            proxied: None,
            bytes_in: 3,
            bytes_out: 0,
            error: (outcome != Outcome::Ok).then(|| "connection reset".into()),
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read_back_as_the_same() {
        let attempts = [
            attempt(Outcome::Ok, Some(Version::Named("v1".into()))),
            attempt(Outcome::Ok, Some(Version::Status(202))),
            attempt(Outcome::ResetReused, None),
        ];
        let (out, mix) = (Shared::default(), Mix::default_at(200.0));
        let (teller, lines) =
            Lines::start(out.clone(), Instant::now(), UNIX_EPOCH, &mix).expect("a thread");
        for attempt in &attempts {
            teller.attempt(attempt.clone());
        }
        teller.stopping(Duration::from_secs(2));
        teller.ended(Duration::from_secs(3), 3);
        drop(teller);
        lines.finish().await.expect("written");

        let text = String::from_utf8(out.0.lock().expect("not poisoned").clone()).expect("text");
        let mut reader = Reader::default();
        let read: Vec<_> = text.lines().map(|l| reader.read(l).expect(l).expect("new")).collect();
        assert!(matches!(&read[0], Said::Began { mix: m, .. } if *m == mix.to_string()));
        let expected = attempts.map(Said::Attempt);
        assert_eq!(read[1..4], expected);
        assert_eq!(read[4], Said::Stopping { at: Duration::from_secs(2) });
        assert_eq!(read[5], Said::Ended { at: Duration::from_secs(3), requests: 3 });
        assert_eq!(read.len(), 6);

        // Read again from the start, as after a broken connection, nothing is new.
        assert!(text.lines().all(|line| reader.read(line) == Ok(None)));
    }

    #[test]
    fn a_missing_line_and_a_foreign_one_are_errors() {
        let mut reader = Reader::default();
        let tick = |n| format!(r#"{{"n":{n},"tick":{{"at":1.0}}}}"#);
        assert!(reader.read(&tick(1)).is_ok());
        assert_eq!(reader.read(&tick(4)), Err(LineError::Missing { first: 2, last: 3 }));
        let error = reader.read("error: no such option").expect_err("foreign").to_string();
        assert!(error.contains("no such option"), "{error}");
    }
}
