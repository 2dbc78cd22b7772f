//! What receives the events of all threads.

use std::{cell::RefCell, sync::Arc};

use tracing::{
    Event, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

use super::{
    clock::Clock,
    json,
    queue::{HEADER, Queue, Shared},
    text,
};

/// How a line is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Json,
    Text { colours: bool },
}

/// Makes a line of each event. Spans are no part of it: nothing here has any.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) format: Format,
    pub(super) level: LevelFilter,
    pub(super) shared: Arc<Shared>,
}

/// A buffer that a long line has made larger than this is not kept.
const KEPT: usize = 16 * 1024;

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local::new()) };
}

/// What each thread keeps from one line to the next.
struct Local {
    line: Vec<u8>,
    clock: Option<Clock>,
    sink: Option<Sink>,
}

enum Sink {
    Queue(Queue),
    /// On the thread that writes, its own lines: they must not wait behind those that it tells of.
    Own(Vec<u8>),
}

impl Local {
    const fn new() -> Self {
        Self { line: Vec::new(), clock: None, sink: None }
    }
}

/// This thread writes, and is asked for its lines.
pub(super) fn keep_own() {
    LOCAL.with_borrow_mut(|local| local.sink = Some(Sink::Own(Vec::new())));
}

/// The lines of this thread, which writes.
pub(super) fn take_own() -> Vec<u8> {
    LOCAL.with_borrow_mut(|local| match &mut local.sink {
        Some(Sink::Own(lines)) => std::mem::take(lines),
        _ => Vec::new(),
    })
}

/// As when an event comes while another is being written.
#[cfg(test)]
pub(super) fn while_busy(act: impl FnOnce()) {
    LOCAL.with_borrow_mut(|_| act());
}

impl Lines {
    fn log(&self, local: &mut Local, event: &Event<'_>) {
        let Local { line, clock, sink } = local;
        let clock = clock.get_or_insert_default();
        let micros = clock.read();
        line.clear();
        line.resize(HEADER, 0);
        match self.format {
            Format::Json => json::write(line, clock.text(), event),
            Format::Text { colours } => text::write(line, clock.text(), event, colours),
        }
        match sink.get_or_insert_with(|| Sink::Queue(Queue::new(Arc::clone(&self.shared)))) {
            Sink::Queue(queue) => queue.push(line, micros),
            Sink::Own(lines) => lines.extend_from_slice(&line[HEADER..]),
        }
        if line.capacity() > KEPT {
            *line = Vec::new();
        }
    }
}

impl Subscriber for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let logged = LOCAL.try_with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            self.log(&mut local, event);
            Some(())
        });
        // An event while another is written, of a field that panics for one, or of a thread that ends.
        if !matches!(logged, Ok(Some(()))) {
            self.log(&mut Local::new(), event);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
