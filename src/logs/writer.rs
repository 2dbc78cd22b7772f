//! A thread that writes log lines, and a bounded queue in front of it.
//!
//! Whoever reads standard output may be slow, stuck or gone, and the disk behind it full. A server
//! that waited for it would answer nobody, neither probes nor SIGTERM. So a line that finds the queue
//! full is dropped and counted. (`tracing-appender` does the same, but prints to standard output
//! where its own thread is stuck, and so would wait for it after all.)

use std::{
    cell::RefCell,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait. A burst of requests is logged whole; ten seconds of a stuck reader are not.
const LINES: usize = 8_192;

/// Bytes that may wait: lines have the length of a client's path.
const BYTES: usize = 8 * 1024 * 1024;

/// Lines are written together, up to so many bytes at once.
const BATCH: usize = 64 * 1024;

/// Lines of this process that could not be written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many log lines of this process were dropped, since nobody took them in time.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

fn drop_lines(lines: u64) {
    DROPPED.fetch_add(lines, Ordering::Relaxed);
}

enum Told {
    Line(Vec<u8>),
    /// Everything before this has been written, or tried.
    Flush(SyncSender<()>),
}

/// Takes lines, and never waits.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: SyncSender<Told>,
    waiting: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts the thread, which ends with the last of these.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = sync_channel(LINES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let thread = Thread { out, lines, waiting: Arc::clone(&waiting), told: 0 };
        thread::Builder::new().name("websample-log".to_owned()).spawn(move || thread.run())?;
        Ok(Self { queue, waiting })
    }

    /// Waits until what was taken so far is written, but not for longer than this.
    pub(super) fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let (done, wait) = sync_channel(1);
        let mut flush = Told::Flush(done);
        // A full queue may have room in a moment; a channel cannot be waited for with a limit.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(flush) {
            flush = back;
            if Instant::now() >= until {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        // An error means that time is over, or that the thread is gone.
        let _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

thread_local! {
    /// On the thread that writes, its own lines: they must not wait behind those that it tells of.
    static OWN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// A line at a time, as `tracing_subscriber` writes them.
impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_own = OWN.with_borrow_mut(|own| {
            if let Some(own) = own {
                own.extend_from_slice(line);
            }
            own.is_some()
        });
        if is_own {
            return Ok(line.len());
        }
        let waiting = self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        let told = Told::Line(line.to_vec());
        if waiting + line.len() > BYTES || self.queue.try_send(told).is_err() {
            self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            drop_lines(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

struct Thread<W> {
    out: W,
    lines: Receiver<Told>,
    waiting: Arc<AtomicUsize>,
    /// Dropped lines that the log itself has told of.
    told: u64,
}

impl<W: Write> Thread<W> {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(first) = self.lines.recv() {
            let mut next = Some(first);
            let (mut count, mut flushes) = (0, Vec::new());
            while let Some(told) = next {
                match told {
                    Told::Line(line) => {
                        self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                        batch.extend_from_slice(&line);
                        count += 1;
                    }
                    Told::Flush(done) => flushes.push(done),
                }
                next = if batch.len() < BATCH { self.lines.try_recv().ok() } else { None };
            }
            if self.out.write_all(&batch).and_then(|()| self.out.flush()).is_err() {
                // Some of them may have come through; that is not known.
                drop_lines(count);
            } else {
                self.tell_what_is_missing();
            }
            batch.clear();
            for done in flushes {
                // An error means that nobody waits any longer.
                let _ = done.try_send(());
            }
        }
    }

    /// Once there is a reader again, it has to know that lines are missing.
    fn tell_what_is_missing(&mut self) {
        let dropped = dropped();
        let lines = dropped - self.told;
        if lines == 0 {
            return;
        }
        OWN.set(Some(Vec::new()));
        tracing::warn!(target: "websample::log", lines, "log lines were dropped");
        let line = OWN.take().unwrap_or_default();
        if self.out.write_all(&line).and_then(|()| self.out.flush()).is_ok() {
            self.told = dropped;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// Takes nothing until it is opened, like a pipe whose reader sleeps.
    #[derive(Clone, Default)]
    struct Gate(Arc<Inner>);

    #[derive(Default)]
    struct Inner {
        taken: Mutex<(bool, Vec<u8>)>,
        opened: Condvar,
    }

    impl Gate {
        fn open(&self) {
            self.0.taken.lock().unwrap().0 = true;
            self.0.opened.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.taken.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let closed = self.0.taken.lock().unwrap();
            let mut open = self.0.opened.wait_while(closed, |(open, _)| !*open).unwrap();
            open.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_sleeps_holds_nobody_up_and_what_is_dropped_is_counted() {
        let gate = Gate::default();
        let mut writer = Writer::start(gate.clone()).unwrap();
        let before = dropped();
        let lines = 4 * LINES;
        for _ in 0..lines {
            writer.write_all(b"a line\n").unwrap();
        }
        let lost = (dropped() - before) as usize;
        assert!(lost >= LINES, "{lost}");
        writer.flush(Duration::from_millis(10));
        gate.open();
        writer.flush(Duration::from_secs(60));
        assert_eq!(gate.text().lines().count() + lost, lines);
    }

    #[test]
    fn lines_are_written_whole_and_in_order() {
        let gate = Gate::default();
        gate.open();
        let mut writer = Writer::start(gate.clone()).unwrap();
        for n in 0..1_000 {
            writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        writer.flush(Duration::from_secs(60));
        let lines: Vec<u32> = gate.text().lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(lines, (0..1_000).collect::<Vec<_>>());
    }
}
