//! What is known of one connection, shared by its task, its socket and its requests.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

/// A connection that was just accepted gets this long to say something before it counts as idle.
pub(super) const FIRST_WORD: Duration = Duration::from_secs(1);

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1, or not known yet.
    Http1,
    /// HTTP/2, over TLS or with prior knowledge.
    Http2,
    /// A WebSocket that was an HTTP/1.1 connection.
    WebSocket,
}

/// How far the end of a connection has been arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Being served.
    Open,
    /// Its client is told to leave; what still comes is served.
    Leaving,
    /// Closed as soon as nothing is in flight on it.
    Closing,
    /// Closed as soon as nothing is in flight on it, without looking for what the client may
    /// have sent meanwhile: what most frameworks do on shutdown.
    Abrupt,
    /// Given up at the deadline.
    Cut,
}

/// The state of one connection. It lives on its worker's thread.
#[derive(Debug)]
pub(crate) struct Connection {
    stage: Cell<Stage>,
    /// When its client began to be told to leave.
    leaving_since: Cell<Option<Instant>>,
    protocol: Cell<Protocol>,
    /// Requests, probes and hook calls being answered on it.
    in_flight: Cell<u32>,
    flags: Cell<Flags>,
    /// The last four bytes that came.
    tail: Cell<u32>,
    /// Bytes that came behind the head of the request in flight.
    beyond: Cell<usize>,
    accepted: Instant,
    body_timeout: Duration,
    /// Requests whose responses are complete, but not yet in the kernel's hands.
    unsent: RefCell<Unsent>,
    /// Who is told when they are.
    sender: RefCell<Option<Rc<dyn Sent>>>,
    /// Wakes the task that serves it.
    waker: RefCell<Waker>,
}

/// More than what any client sends behind a head.
const UNKNOWN: usize = usize::MAX / 2;

/// Keeps requests whose responses are complete, until they have left.
pub(crate) trait Sent {
    /// The request that was kept under this key has left.
    fn sent(&self, key: usize);
}

impl fmt::Debug for dyn Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent")
    }
}

/// A queue that takes no further memory for one, which is what HTTP/1.1 has at a time.
#[derive(Debug, Default)]
struct Unsent {
    first: Option<usize>,
    others: VecDeque<usize>,
}

impl Unsent {
    #[inline]
    fn push(&mut self, request: usize) {
        if self.first.is_none() {
            self.first = Some(request);
        } else {
            self.others.push_back(request);
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<usize> {
        let first = self.first.take();
        if first.is_some() {
            self.first = self.others.pop_front();
        }
        first
    }
}

#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Flags {
    /// Any byte has come.
    spoken: bool,
    /// Bytes have come that do not yet make a request.
    partial: bool,
    /// The request in flight has a body of which more may come.
    body: bool,
    /// Part of a further request has come behind the one in flight.
    ahead: bool,
    /// A time limit has passed: the client gets to say nothing more.
    expired: bool,
    /// The connection's task has ended.
    closed: bool,
}

impl Connection {
    pub(crate) fn new(stage: Stage, body_timeout: Duration) -> Rc<Self> {
        let accepted = Instant::now();
        Rc::new(Self {
            stage: Cell::new(stage),
            leaving_since: Cell::new((stage >= Stage::Leaving).then_some(accepted)),
            protocol: Cell::new(Protocol::Http1),
            in_flight: Cell::new(0),
            flags: Cell::default(),
            tail: Cell::new(0),
            beyond: Cell::new(0),
            accepted,
            body_timeout,
            unsent: RefCell::default(),
            sender: RefCell::default(),
            waker: RefCell::new(Waker::noop().clone()),
        })
    }

    #[inline]
    fn set(&self, change: impl FnOnce(&mut Flags)) {
        let mut flags = self.flags.get();
        change(&mut flags);
        self.flags.set(flags);
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Moves to a stage and wakes the connection's task to act on it.
    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.set(stage);
        if stage == Stage::Open {
            self.leaving_since.set(None);
        } else if self.leaving_since.get().is_none() {
            self.leaving_since.set(Some(Instant::now()));
        }
        self.wake();
    }

    pub(super) fn leaving_since(&self) -> Option<Instant> {
        self.leaving_since.get()
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    pub(crate) fn set_protocol(&self, protocol: Protocol) {
        self.protocol.set(protocol);
    }

    pub(super) fn accepted(&self) -> Instant {
        self.accepted
    }

    /// The longest wait for more of a request's body.
    pub(super) fn body_timeout(&self) -> Duration {
        self.body_timeout
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.flags.get().spoken
    }

    pub(super) fn is_partial(&self) -> bool {
        self.flags.get().partial
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }

    pub(super) fn has_expired(&self) -> bool {
        self.flags.get().expired
    }

    /// A time limit has passed: from now on the client seems to have closed its side. On HTTP/2
    /// that would take other streams with it.
    pub(super) fn expire(&self) {
        if self.protocol() == Protocol::Http1 || self.is_idle() {
            self.set(|flags| flags.expired = true);
            self.wake();
        }
    }

    /// Something has come from the client that is followed elsewhere.
    pub(super) fn spoke(&self) {
        self.set(|flags| flags.spoken = true);
    }

    /// Bytes of HTTP/1.1 came from the client.
    #[inline]
    pub(super) fn heard(&self, bytes: &[u8]) {
        let before = self.tail.get();
        let start = bytes.len().saturating_sub(4);
        let tail = bytes[start..].iter().fold(before, |t, b| t << 8 | u32::from(*b));
        self.tail.set(tail);
        let idle = self.is_idle();
        // Lines that are empty, before a request, mean nothing (RFC 9112, section 2.2).
        if idle && bytes.len() <= 4 && !self.is_partial() && is_empty_lines(bytes) {
            self.set(|flags| flags.spoken = true);
            return;
        }
        let beyond = if !idle {
            self.beyond.get() + bytes.len()
        } else if ends_head(tail)
            && !self.is_partial()
            && matches!(bytes.first(), Some(b'G' | b'H'))
        {
            // A GET or HEAD as most come, alone and whole: what is behind its head need not be
            // looked for.
            0
        } else {
            head_end(before, bytes).map_or(0, |end| bytes.len() - end)
        };
        self.beyond.set(beyond);
        self.set(|flags| {
            flags.spoken = true;
            // Between two requests they are the beginning of one.
            flags.partial |= idle;
            // Unless they are a body, what does not end a head begins one.
            flags.ahead = !flags.body && !ends_head_or_follows_it(tail);
        });
    }

    /// A request was read from it.
    #[inline]
    pub(crate) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        if !self.is_partial() {
            // It came whole behind another one: where its head ended, nobody has seen.
            self.beyond.set(UNKNOWN);
        }
        self.set(|flags| flags.partial = false);
    }

    /// Whether the request that was just read has a body.
    #[inline]
    pub(super) fn expects_body(&self, body: bool) {
        self.set(|flags| {
            flags.body = body;
            flags.ahead &= !body;
        });
    }

    /// All of the body has come, which is of so many bytes.
    ///
    /// What else came behind the head is the framing of a chunked body, which ends as a head does, or
    /// the beginning of a further request.
    pub(super) fn has_body(&self, bytes: usize) {
        let tail = self.tail.get();
        let more = self.beyond.get().saturating_sub(bytes);
        let last = tail.to_be_bytes();
        let ahead = more > 0
            && !ends_head_or_follows_it(tail)
            && !(more <= 2 && is_empty_lines(&last[last.len() - more..]));
        self.set(|flags| {
            flags.body = false;
            flags.ahead = ahead;
        });
    }

    /// A request on it was answered or given up.
    #[inline]
    pub(crate) fn end(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.is_idle() {
            self.set(|flags| flags.partial |= flags.ahead);
            if self.stage.get() > Stage::Open {
                // The task may be waiting for exactly this before it closes.
                self.wake();
            }
        }
    }

    /// Whether anything can leave any more: an HTTP/2 handler may outlive its connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.flags.get().closed
    }

    /// A request's response is complete; whoever keeps it is told once it has left.
    #[inline]
    pub(crate) fn complete(&self, request: usize, kept_by: &Rc<impl Sent + 'static>) {
        let mut sender = self.sender.borrow_mut();
        if sender.is_none() {
            *sender = Some(Rc::clone(kept_by) as Rc<dyn Sent>);
        }
        self.unsent.borrow_mut().push(request);
    }

    fn tell_sent(&self, request: usize) {
        // Its end looks at this connection, which must not be borrowed then.
        let sender = self.sender.borrow().clone();
        if let Some(sender) = sender {
            sender.sent(request);
        }
    }

    /// Responses have left, at the latest those of all but `streams` requests.
    #[inline]
    pub(super) fn sent(&self, streams: u32) {
        while self.in_flight.get() > streams {
            let first = self.unsent.borrow_mut().pop();
            let Some(request) = first else { return };
            self.tell_sent(request);
        }
    }

    /// Nothing will be sent any more.
    pub(super) fn close(&self) {
        self.set(|flags| flags.closed = true);
        loop {
            let first = self.unsent.borrow_mut().pop();
            let Some(request) = first else { break };
            self.tell_sent(request);
        }
        // Of a worker's connections one at least is in the hands of whoever keeps requests.
        self.sender.take();
    }

    pub(super) fn wake(&self) {
        self.waker.borrow().wake_by_ref();
    }

    #[inline]
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut current = self.waker.borrow_mut();
        if !current.will_wake(waker) {
            current.clone_from(waker);
        }
    }
}

/// Whether the last of these bytes is that of a request's head. A line may also end with LF alone
/// (RFC 9112, section 2.2).
const fn ends_head(tail: u32) -> bool {
    tail & 0xFF_FFFF == 0x0A_0D_0A || tail & 0xFFFF == 0x0A0A
}

/// The same, or the last of these bytes are empty lines behind it, which mean nothing.
fn ends_head_or_follows_it(tail: u32) -> bool {
    let bytes = tail.to_be_bytes();
    (0..=2).any(|lines| ends_head(tail >> (8 * lines)) && is_empty_lines(&bytes[4 - lines..]))
}

fn is_empty_lines(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// Where the first head in these bytes ends, which came behind `tail`.
fn head_end(tail: u32, bytes: &[u8]) -> Option<usize> {
    let before = tail.to_be_bytes();
    let at = |index: usize, back: usize| match index.checked_sub(back) {
        Some(index) => bytes[index],
        // The tail is the four bytes before the first one.
        None => before[before.len() + index - back],
    };
    memchr::memchr_iter(b'\n', bytes)
        .find(|&index| at(index, 1) == b'\n' || (at(index, 1) == b'\r' && at(index, 2) == b'\n'))
        .map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Rc<Connection> {
        Connection::new(Stage::Open, Duration::from_secs(30))
    }

    #[test]
    fn half_a_head_is_partial_however_it_comes() {
        let whole = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        for split in 1..whole.len() {
            let connection = connection();
            let (first, second) = whole.split_at(split);
            connection.heard(first.as_bytes());
            assert!(connection.is_partial());
            connection.heard(second.as_bytes());
            connection.begin();
            connection.end();
            assert!(!connection.is_partial(), "split at {split}");
        }
    }

    #[test]
    fn half_a_head_behind_a_request_is_partial_once_that_is_answered() {
        for (bytes, partial) in [
            ("GET / HTTP/1.1\r\n\r\nGET / HT", true),
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\n\r\n\r", false),
            ("GET / HTTP/1.1\n\n", false),
        ] {
            let connection = connection();
            connection.heard(bytes.as_bytes());
            connection.begin();
            assert!(!connection.is_partial());
            connection.end();
            assert_eq!(connection.is_partial(), partial, "{bytes:?}");
        }
    }

    #[test]
    fn a_body_is_not_half_a_head() {
        let length = "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n";
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        for (head, rest, partial) in [
            (length, "body", false),
            (length, "bodyGET / HT", true),
            (length, "bodyGET / HTTP/1.1\r\n\r\n", false),
            // Some clients send an empty line behind a body.
            (length, "body\r\n", false),
            (chunked, "4\r\nbody\r\n0\r\n\r\n", false),
            (chunked, "4\r\nbody\r\n0\r\n\r\nGET / HT", true),
        ] {
            let whole = format!("{head}{rest}");
            for split in 0..whole.len() {
                let connection = connection();
                let (first, second) = whole.split_at(split);
                let mut begun = false;
                for piece in [first, second].into_iter().filter(|piece| !piece.is_empty()) {
                    connection.heard(piece.as_bytes());
                    if !begun && (split >= head.len() || piece == second) {
                        begun = true;
                        connection.begin();
                        connection.expects_body(true);
                    }
                }
                connection.has_body(4);
                connection.end();
                assert_eq!(connection.is_partial(), partial, "{rest:?} split at {split}");
            }
        }
    }

    #[test]
    fn empty_lines_between_requests_are_no_request() {
        let connection = connection();
        connection.heard(b"GET / HTTP/1.1\r\n\r\n");
        connection.begin();
        connection.end();
        for empty in ["\r\n", "\n", "\r", "\r\n\r\n"] {
            connection.heard(empty.as_bytes());
            assert!(!connection.is_partial(), "{empty:?}");
        }
        connection.heard(b"G");
        assert!(connection.is_partial());
        connection.heard(b"\r\n");
        assert!(connection.is_partial(), "inside a request they end a line");
    }
}
