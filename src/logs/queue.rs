//! The lines of one thread, on their way to the thread that writes.
//!
//! Each thread that logs has a queue of its own: to put a line in it takes no lock and waits for
//! nobody, neither for another worker nor for the thread that writes.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering, fence},
    mpsc::SyncSender,
};
use std::thread::Thread;

use rtrb::{Consumer, Producer, RingBuffer};

/// Bytes that may wait in a thread's queue: some thousand lines, which have the length of a client's path. A burst
/// of requests is logged whole; ten seconds of a stuck reader are not.
pub(super) const CAPACITY: usize = 1024 * 1024;

/// Before each line: its length, and when it was made.
pub(super) const HEADER: usize = 12;

/// Lines of this process that could not be written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many log lines of this process were dropped, since nobody took them in time.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

pub(super) fn drop_lines(lines: u64) {
    DROPPED.fetch_add(lines, Ordering::Relaxed);
}

/// What the threads that log and the one that writes have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The thread that writes has nothing to do, and has to be woken.
    pub(super) asleep: AtomicBool,
    pub(super) thread: OnceLock<Thread>,
    /// Bytes that have been written.
    pub(super) written: AtomicU64,
    told: Mutex<Told>,
}

/// What is seldom told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Queues of threads that had not logged before.
    pub(super) queues: Vec<Consumer<u8>>,
    /// Those who want to know when everything before this has been written, or tried.
    pub(super) flushes: Vec<SyncSender<()>>,
}

impl Shared {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread that writes, where it sleeps.
    fn wake(&self) {
        // It says that it sleeps and then looks into the queues; here it is the other way round. So one
        // of both sees what the other has done.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::Relaxed)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// A thread's own queue.
#[derive(Debug)]
pub(super) struct Queue {
    lines: Producer<u8>,
    shared: Arc<Shared>,
}

impl Queue {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (lines, consumer) = RingBuffer::new(CAPACITY);
        shared.told().queues.push(consumer);
        Self { lines, shared }
    }

    /// Takes a line, which begins with room for its header; where there is no room for it, it is dropped.
    pub(super) fn push(&mut self, line: &mut [u8], micros: u64) {
        let length = (line.len() - HEADER) as u32;
        line[..4].copy_from_slice(&length.to_le_bytes());
        line[4..HEADER].copy_from_slice(&micros.to_le_bytes());
        match self.lines.write_chunk(line.len()) {
            Ok(mut room) => {
                let (first, second) = room.as_mut_slices();
                let (before, after) = line.split_at(first.len());
                first.copy_from_slice(before);
                second.copy_from_slice(after);
                // All at once: the other side never sees a part of a line.
                room.commit_all();
            }
            Err(_) => drop_lines(1),
        }
        self.shared.wake();
    }
}

/// The other end of a thread's queue.
pub(super) struct Source {
    lines: Consumer<u8>,
    next: Option<Next>,
}

/// The header of a line that waits.
#[derive(Clone, Copy)]
struct Next {
    length: usize,
    micros: u64,
}

impl Source {
    pub(super) fn new(lines: Consumer<u8>) -> Self {
        Self { lines, next: None }
    }

    /// When the next line was made, if there is one.
    pub(super) fn next(&mut self) -> Option<u64> {
        if self.next.is_none()
            && let Ok(header) = self.lines.read_chunk(HEADER)
        {
            let mut bytes = [0; HEADER];
            let (first, second) = header.as_slices();
            bytes[..first.len()].copy_from_slice(first);
            bytes[first.len()..].copy_from_slice(second);
            header.commit_all();
            let [a, b, c, d, micros @ ..] = bytes;
            self.next = Some(Next {
                length: u32::from_le_bytes([a, b, c, d]) as usize,
                micros: u64::from_le_bytes(micros),
            });
        }
        self.next.map(|next| next.micros)
    }

    /// Moves the next line, if there is one.
    pub(super) fn take(&mut self, batch: &mut Vec<u8>) {
        if let Some(next) = self.next.take()
            && let Ok(line) = self.lines.read_chunk(next.length)
        {
            let (first, second) = line.as_slices();
            batch.extend_from_slice(first);
            batch.extend_from_slice(second);
            line.commit_all();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_none() && self.lines.is_empty()
    }

    /// Whether its thread is gone, and nothing is left.
    pub(super) fn is_over(&self) -> bool {
        // In this order: what comes last, comes before its thread goes.
        self.lines.is_abandoned() && self.is_empty()
    }
}
