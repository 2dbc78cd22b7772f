//! Lines from the event to the output.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tracing::{Level, level_filters::LevelFilter};

use super::{
    queue::{CAPACITY, HEADER, Queue, Shared, dropped},
    subscriber::{self, Format, Lines},
    writer::{flush, start},
};

/// How long a flush may take that is to succeed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Those that count what is dropped: the count is the process'.
static DROPPING: Mutex<()> = Mutex::new(());

/// Takes nothing until it is opened, like a pipe whose reader sleeps.
#[derive(Clone, Default)]
struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    taken: Mutex<Taken>,
    opened: Condvar,
}

#[derive(Default)]
struct Taken {
    open: bool,
    asked: bool,
    /// Where it is full, as a disk is.
    room: Option<usize>,
    bytes: Vec<u8>,
}

impl Gate {
    fn open() -> Self {
        let gate = Self::default();
        gate.let_through();
        gate
    }

    fn let_through(&self) {
        self.0.taken.lock().unwrap().open = true;
        self.0.opened.notify_all();
    }

    fn is_asked(&self) -> bool {
        self.0.taken.lock().unwrap().asked
    }

    fn set_room(&self, room: Option<usize>) {
        self.0.taken.lock().unwrap().room = room;
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.taken.lock().unwrap().bytes.clone()).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.text().lines().map(ToOwned::to_owned).collect()
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut closed = self.0.taken.lock().unwrap();
        closed.asked = true;
        let mut taken = self.0.opened.wait_while(closed, |taken| !taken.open).unwrap();
        let count = taken.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(room) = &mut taken.room {
            *room -= count;
        }
        taken.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn push(queue: &mut Queue, text: &str, micros: u64) {
    let mut line = vec![0; HEADER];
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    queue.push(&mut line, micros);
}

fn flushed(shared: &Shared) {
    flush(shared, PATIENCE, PATIENCE);
}

#[test]
fn a_reader_that_sleeps_holds_nobody_up_and_what_is_dropped_is_counted() {
    let _alone = DROPPING.lock().unwrap();
    let gate = Gate::default();
    let shared = start(gate.clone()).unwrap();
    let mut queue = Queue::new(Arc::clone(&shared));
    let before = dropped();
    let lines = 4 * CAPACITY / (HEADER + 7);
    for micros in 0..lines {
        push(&mut queue, "a line", micros as u64);
    }
    let lost = (dropped() - before) as usize;
    assert!(lost >= lines / 2, "{lost}");
    flush(&shared, PATIENCE, Duration::from_millis(10));
    gate.let_through();
    flushed(&shared);
    assert_eq!(gate.lines().len() + lost, lines);
}

#[test]
fn lines_are_written_whole_and_in_order() {
    let gate = Gate::open();
    let shared = start(gate.clone()).unwrap();
    let mut queue = Queue::new(Arc::clone(&shared));
    // Many times around the queue, in lines of many lengths.
    let expected: Vec<String> =
        (0..40_000).map(|n: usize| format!("{n} {}", "x".repeat(n * 7 % 300))).collect();
    for (micros, line) in expected.iter().enumerate() {
        push(&mut queue, line, micros as u64);
        if micros % 1_000 == 0 {
            flushed(&shared);
        }
    }
    flushed(&shared);
    assert!(gate.lines() == expected);
}

#[test]
fn what_several_threads_have_logged_is_in_the_order_of_its_times() {
    let gate = Gate::default();
    let shared = start(gate.clone()).unwrap();
    push(&mut Queue::new(Arc::clone(&shared)), "0", 0);
    let began = Instant::now();
    while !gate.is_asked() {
        assert!(began.elapsed() < PATIENCE, "nothing is written");
        thread::yield_now();
    }
    // The thread is stuck; what comes now is taken together.
    thread::scope(|scope| {
        for first in 1..=4_u64 {
            let mut queue = Queue::new(Arc::clone(&shared));
            scope.spawn(move || {
                for n in 0..1_000 {
                    let micros = first + 4 * n;
                    push(&mut queue, &micros.to_string(), micros);
                }
            });
        }
    });
    // These threads are gone; what they have left is not.
    gate.let_through();
    flushed(&shared);
    let lines: Vec<u64> = gate.lines().iter().map(|line| line.parse().unwrap()).collect();
    assert!(lines == (0..=4_000).collect::<Vec<_>>(), "{:?}", &lines[..20]);
}

#[test]
fn no_line_is_left_behind_while_the_thread_goes_to_sleep_and_wakes() {
    let gate = Gate::open();
    let shared = start(gate.clone()).unwrap();
    let mut queue = Queue::new(Arc::clone(&shared));
    for n in 0..300_usize {
        push(&mut queue, "a line", n as u64);
        // Nothing else wakes the thread.
        let began = Instant::now();
        while gate.lines().len() <= n {
            assert!(began.elapsed() < PATIENCE, "line {n} is not written");
            thread::sleep(Duration::from_micros(n as u64 * 20));
        }
    }
}

#[test]
fn what_a_full_disk_did_not_take_is_counted_and_what_comes_later_begins_a_line() {
    let _alone = DROPPING.lock().unwrap();
    let gate = Gate::open();
    gate.set_room(Some(10));
    let shared = start(gate.clone()).unwrap();
    let mut queue = Queue::new(Arc::clone(&shared));
    let before = dropped();
    for line in ["one", "two", "three", "four"] {
        push(&mut queue, line, 0);
    }
    flushed(&shared);
    let lost = dropped() - before;
    gate.set_room(None);
    push(&mut queue, "five", 0);
    flushed(&shared);
    // "one\ntwo\nth" has room, however it was divided.
    assert_eq!(gate.text(), "one\ntwo\nth\nfive\n");
    assert_eq!(lost, 2);
}

#[test]
fn a_stuck_reader_is_waited_for_no_longer_than_is_said() {
    let shared = start(Gate::default()).unwrap();
    push(&mut Queue::new(Arc::clone(&shared)), "a line", 0);
    let began = Instant::now();
    flush(&shared, PATIENCE, Duration::from_millis(20));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_slow_reader_has_every_line_before_the_exit() {
    /// Takes a little, and then nothing for a while.
    struct Slow(Gate);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(20));
            self.0.write(&bytes[..bytes.len().min(4_096)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let gate = Gate::open();
    let shared = start(Slow(gate.clone())).unwrap();
    let mut queue = Queue::new(Arc::clone(&shared));
    for n in 0..1_000 {
        push(&mut queue, &"x".repeat(200), n);
    }
    // It takes a second, and is never still for so long.
    flush(&shared, PATIENCE, Duration::from_secs(1));
    assert_eq!(gate.lines().len(), 1_000);
}

/// What these lines are, of the events that `log` sends from a thread of its own.
fn written(format: Format, log: fn()) -> String {
    let gate = Gate::open();
    let shared = start(gate.clone()).unwrap();
    let lines = Lines { format, level: LevelFilter::DEBUG, shared: Arc::clone(&shared) };
    let thread = thread::spawn(move || tracing::subscriber::with_default(lines, log));
    thread.join().unwrap();
    flushed(&shared);
    gate.text()
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same from `tracing_subscriber`, whose lines these are to be like.
fn expected(format: Format, log: fn()) -> String {
    let kept = Kept::default();
    let out = kept.clone();
    let builder =
        tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_writer(move || out.clone());
    match format {
        Format::Json => {
            let lines = builder.json().flatten_event(true).finish();
            tracing::subscriber::with_default(lines, log);
        }
        Format::Text { colours } => {
            tracing::subscriber::with_default(builder.with_ansi(colours).finish(), log);
        }
    }
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn many_events() {
    let error = io::Error::other("broken \"pipe\"");
    let error: &dyn std::error::Error = &error;
    tracing::info!(
        target: "websample::request",
        method = %"GET",
        path = "/sleep/1?x=\"ä\\\"",
        status = 201_u16,
        seconds = 0.000_123_456,
        "request"
    );
    tracing::warn!(lines = 17_u64, less = -4, is = true, "{} were {}", 3, "dropped");
    tracing::error!(%error, listen = ?["127.0.0.1:5000"], none = None::<u8>, r#type = "a");
    tracing::debug!(target: "a target", whole = 1.0, large = 1e300, "with a span");
    tracing::trace!("not at this level");
    tracing::info!("a message");
    tracing::info!(error, wide = u128::MAX, "more types");
}

/// Without what differs from one run to the next.
fn without_times(text: &str, time: usize) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let (before, rest) = line.split_at(time);
        format!("{before}{}", &rest["2026-11-27T05:57:39.123456Z".len()..])
    });
    lines.collect()
}

#[test]
fn lines_are_those_of_tracing_subscriber() {
    let text = |colours| Format::Text { colours };
    for (format, time) in
        [(Format::Json, "{\"timestamp\":\"".len()), (text(false), 0), (text(true), "\x1b[2m".len())]
    {
        let ours = written(format, many_events);
        assert_eq!(
            without_times(&ours, time),
            without_times(&expected(format, many_events), time),
            "{format:?}"
        );
    }
}

#[test]
fn every_line_is_json_whatever_is_in_it() {
    let all = || {
        let text: String =
            (0..0x250).filter_map(char::from_u32).chain(['\u{2028}', '😀']).collect();
        tracing::info!(path = text, debug = ?text, display = %text, nan = f64::NAN, "{text}");
    };
    let written = written(Format::Json, all);
    assert_eq!(written.lines().count(), 1);
    let line: Value = serde_json::from_str(&written).unwrap();
    let text: String = (0..0x250).filter_map(char::from_u32).chain(['\u{2028}', '😀']).collect();
    for field in ["path", "display", "message"] {
        assert_eq!(line[field], text);
    }
    assert_eq!(line["nan"], Value::Null);
}

#[test]
fn text_says_nothing_that_a_terminal_obeys() {
    let all = || tracing::info!(display = %"a\x1b[31m\nb\u{9b}c", "d\x07\r");
    let written = written(Format::Text { colours: false }, all);
    assert!(written.ends_with("d\\u{7}\\r display=a\\u{1b}[31m\\nb\\u{9b}c\n"), "{written}");
}

#[test]
fn an_event_while_another_is_written_is_a_line_too() {
    let written = written(Format::Json, || {
        tracing::info!("before");
        subscriber::while_busy(|| tracing::info!("inside"));
    });
    let messages: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].take())
        .collect();
    assert_eq!(messages, ["before", "inside"]);
}
