//! The thread that writes log lines.
//!
//! Whoever reads standard output may be slow, stuck or gone, and the disk behind it full. A server
//! that waited for it would answer nobody, neither probes nor SIGTERM. So this thread alone waits, and a
//! line that finds its queue full is dropped and counted. (`tracing-appender` does the same, with one
//! queue for all, a wake for each line, and an output of its own where its thread is stuck.)

use std::{
    io::{self, ErrorKind, Write},
    sync::{
        Arc,
        atomic::{Ordering, fence},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    queue::{Shared, Source, drop_lines, dropped},
    subscriber,
};

/// Lines are written together, up to about so many bytes at once.
const BATCH: usize = 64 * 1024;

/// After a write, lines are left to gather: to be woken for each would cost more than to write it.
const PAUSE: Duration = Duration::from_millis(5);

/// Starts the thread.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Arc<Shared>> {
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        out,
        shared: Arc::clone(&shared),
        sources: Vec::new(),
        batch: Vec::new(),
        ends: Vec::new(),
        told: 0,
    };
    let thread = thread::Builder::new().name("websample-log".to_owned()).spawn(|| writer.run())?;
    // Nobody logs before this returns.
    let _ = shared.thread.set(thread.thread().clone());
    Ok(shared)
}

/// Waits until what is queued so far is written, but for no longer than this, nor for longer than that
/// while nothing is taken.
pub(super) fn flush(shared: &Shared, most: Duration, stuck: Duration) {
    let until = Instant::now() + most;
    let (done, wait) = sync_channel(1);
    shared.told().flushes.push(done);
    if let Some(thread) = shared.thread.get() {
        thread.unpark();
    }
    let mut before = shared.written.load(Ordering::Relaxed);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match wait.recv_timeout(left.min(stuck)) {
            Err(RecvTimeoutError::Timeout) => {}
            // Also where the thread is gone.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = shared.written.load(Ordering::Relaxed);
        if now == before || left.is_zero() {
            return;
        }
        before = now;
    }
}

struct Writer<W> {
    out: W,
    shared: Arc<Shared>,
    sources: Vec<Source>,
    batch: Vec<u8>,
    /// Where each line of the batch ends.
    ends: Vec<usize>,
    /// Dropped lines that the log itself has told of.
    told: u64,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        subscriber::keep_own();
        loop {
            let told = std::mem::take(&mut *self.shared.told());
            self.sources.extend(told.queues.into_iter().map(Source::new));
            let wrote = self.write_what_waits();
            self.sources.retain(|source| !source.is_over());
            for done in told.flushes {
                // An error means that nobody waits any longer.
                let _ = done.try_send(());
            }
            if wrote {
                thread::park_timeout(PAUSE);
            } else {
                self.sleep();
            }
        }
    }

    /// Until there is something to do, or for no reason.
    fn sleep(&self) {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let is_told = {
            let told = self.shared.told();
            !told.queues.is_empty() || !told.flushes.is_empty()
        };
        if !is_told && self.sources.iter().all(Source::is_empty) {
            thread::park();
        }
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    /// Whether there was anything.
    fn write_what_waits(&mut self) -> bool {
        let mut wrote = false;
        loop {
            self.collect();
            if self.ends.is_empty() {
                return wrote;
            }
            wrote = true;
            let is_full = self.batch.len() >= BATCH;
            self.write();
            if !is_full {
                return wrote;
            }
        }
    }

    /// Takes lines in the order of their times, until there are none or the batch is full.
    fn collect(&mut self) {
        while self.batch.len() < BATCH {
            let waiting =
                self.sources.iter_mut().filter_map(|source| Some((source.next()?, source)));
            let Some((_, earliest)) = waiting.min_by_key(|(micros, _)| *micros) else { return };
            earliest.take(&mut self.batch);
            self.ends.push(self.batch.len());
        }
    }

    fn write(&mut self) {
        let (written, result) = self.write_out();
        let lost = self.ends.iter().filter(|end| **end > written).count();
        let is_torn = written > 0 && !self.batch[..written].ends_with(b"\n");
        self.ends.clear();
        self.batch.clear();
        match result {
            Ok(()) => self.tell_what_is_missing(),
            Err(_) => drop_lines(lost as u64),
        }
        if is_torn {
            // The next line is one of its own.
            self.batch.push(b'\n');
        }
    }

    /// How much of the batch was taken, and what came of the rest.
    fn write_out(&mut self) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < self.batch.len() {
            match self.out.write(&self.batch[written..]) {
                Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    self.shared.written.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A pipe that somebody else wants not to wait for.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(error) => return (written, Err(error)),
            }
        }
        (written, self.out.flush())
    }

    /// Once there is a reader again, it has to know that lines are missing.
    fn tell_what_is_missing(&mut self) {
        let dropped = dropped();
        let lines = dropped - self.told;
        if lines == 0 {
            return;
        }
        tracing::warn!(target: "websample::log", lines, "log lines were dropped");
        let line = subscriber::take_own();
        if self.out.write_all(&line).and_then(|()| self.out.flush()).is_ok() {
            self.told = dropped;
        }
    }
}
