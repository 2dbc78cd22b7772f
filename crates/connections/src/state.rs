//! What is known of one connection, shared by its task, its socket and its requests.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    heads::Heads,
    unsent::{Finished, Sent, Unsent},
};

/// A connection that was just accepted gets this long to say something before it counts as idle.
pub const FIRST_WORD: Duration = Duration::from_secs(1);

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1, or not known yet.
    Http1,
    /// HTTP/2, over TLS or with prior knowledge.
    Http2,
    /// A WebSocket that was an HTTP/1.1 connection.
    WebSocket,
    /// Something else that was an HTTP/1.1 connection.
    Other,
}

/// How far the end of a connection has been arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
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
pub struct Connection {
    stage: Cell<Stage>,
    /// When its client began to be told to leave.
    leaving_since: Cell<Option<Instant>>,
    protocol: Cell<Protocol>,
    /// Requests, probes and hook calls being answered on it.
    in_flight: Cell<u32>,
    flags: Cell<Flags>,
    /// Requests that have come on it, as long as it is HTTP/1.1's.
    heads: RefCell<Heads>,
    accepted: Instant,
    /// When the last request on it ended, as far as that is told.
    idle_since: Cell<Instant>,
    body_timeout: Duration,
    /// When a body must have gone on that its handler waits for.
    body_due: Cell<Option<Instant>>,
    /// Requests whose responses are complete, but not yet in the kernel's hands.
    unsent: RefCell<Unsent>,
    /// Who is told when they are.
    sender: RefCell<Option<Rc<dyn Sent>>>,
    /// Wakes the task that serves it.
    waker: RefCell<Waker>,
}

#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Flags {
    /// Any byte has come.
    spoken: bool,
    /// A response has said that it is the last one.
    told: bool,
    /// A time limit has passed: the client gets to say nothing more.
    expired: bool,
    /// Of a body that its handler waits for, nothing has come in time.
    late: bool,
    /// The connection's task has ended.
    closed: bool,
}

impl Connection {
    /// A connection that was accepted now.
    pub fn new(stage: Stage, body_timeout: Duration) -> Rc<Self> {
        let accepted = Instant::now();
        Rc::new(Self {
            stage: Cell::new(stage),
            leaving_since: Cell::new((stage >= Stage::Leaving).then_some(accepted)),
            protocol: Cell::new(Protocol::Http1),
            in_flight: Cell::new(0),
            flags: Cell::default(),
            heads: RefCell::default(),
            accepted,
            idle_since: Cell::new(accepted),
            body_timeout,
            body_due: Cell::default(),
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

    /// How far its end has been arranged.
    #[inline]
    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Moves to a stage and wakes the connection's task to act on it.
    pub fn set_stage(&self, stage: Stage) {
        self.stage.set(stage);
        if stage == Stage::Open {
            self.leaving_since.set(None);
        } else if self.leaving_since.get().is_none() {
            self.leaving_since.set(Some(Instant::now()));
        }
        self.wake();
    }

    /// Since when its client is told to leave.
    pub fn leaving_since(&self) -> Option<Instant> {
        self.leaving_since.get()
    }

    /// What is spoken on it.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    /// Something else is spoken on it from here on.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.protocol.set(protocol);
    }

    /// When it was accepted.
    pub fn accepted(&self) -> Instant {
        self.accepted
    }

    /// The longest wait for more of a request's body.
    pub fn body_timeout(&self) -> Duration {
        self.body_timeout
    }

    /// Somebody waits for more of a body until this instant, or does so no longer.
    pub fn await_body(&self, due: Option<Instant>) {
        self.body_due.set(due);
        self.set(|flags| flags.late = false);
    }

    /// Until when somebody waits for more of a body.
    #[inline]
    pub fn body_due(&self) -> Option<Instant> {
        self.body_due.get()
    }

    /// The instant has come. Whoever waits finds out when the connection's task asks it again.
    pub fn end_wait(&self) {
        self.body_due.set(None);
        self.set(|flags| flags.late = true);
    }

    /// Whether nothing has come in time of a body that somebody waits for.
    pub fn is_body_late(&self) -> bool {
        self.flags.get().late
    }

    /// Whether this is the task that serves the connection, as a whole: of HTTP/2, each stream has one
    /// of its own.
    pub fn is_served_by(&self, waker: &Waker) -> bool {
        self.protocol() != Protocol::Http2 && self.waker.borrow().will_wake(waker)
    }

    /// Whether its client has sent anything.
    #[inline]
    pub fn has_spoken(&self) -> bool {
        self.flags.get().spoken
    }

    /// Whether something has come of a request that nobody has begun.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.heads.borrow().is_waiting()
    }

    /// Of how many requests the whole head has come that nobody has begun.
    pub fn whole(&self) -> usize {
        self.heads.borrow().whole()
    }

    /// Whether a head has begun, and is not complete.
    #[inline]
    pub fn is_half(&self) -> bool {
        self.heads.borrow().is_half()
    }

    /// Whether the response that is about to be written may say that it is the last one, which is
    /// then so: a server that has said it processes no further request (RFC 9112, section 9.6).
    /// Therefore it is not said while a request waits.
    pub fn may_say_close(&self) -> bool {
        if self.protocol() != Protocol::Http1 {
            return true;
        }
        if self.stage() < Stage::Abrupt && self.is_waiting() {
            return false;
        }
        self.set(|flags| flags.told = true);
        true
    }

    /// Whether it is being served, without a limit or an end that its reader has to know of.
    #[inline]
    pub fn is_untroubled(&self) -> bool {
        let Flags { told, expired, .. } = self.flags.get();
        self.stage.get() == Stage::Open && !(told | expired)
    }

    /// Whether what still comes is of no request that will be answered.
    #[inline]
    pub fn ignores_more(&self) -> bool {
        self.flags.get().told && !self.heads.borrow().is_in_body()
    }

    /// Whether no request on it is being answered.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// Whether a time limit has passed.
    #[inline]
    pub fn has_expired(&self) -> bool {
        self.flags.get().expired
    }

    /// A time limit has passed: from now on the client seems to have closed its side. On HTTP/2
    /// that would take other streams with it.
    pub fn expire(&self) {
        if self.protocol() == Protocol::Http1 || self.is_idle() {
            self.set(|flags| flags.expired = true);
            self.wake();
        }
    }

    /// Something has come from the client that is followed elsewhere.
    #[inline]
    pub fn spoke(&self) {
        self.set(|flags| flags.spoken = true);
    }

    /// Bytes of HTTP/1.1 came from the client. Tells whether they mean anything.
    #[inline]
    pub fn heard(&self, bytes: &[u8]) -> bool {
        self.spoke();
        self.heads.borrow_mut().follow(bytes, self.is_idle())
    }

    /// A request was read from it.
    #[inline]
    pub fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// Whether the request that was just read has a body.
    #[inline]
    pub fn expects_body(&self, body: bool) {
        self.heads.borrow_mut().begin(body);
    }

    /// The request that was just read has a body of so many bytes, as its dispatcher takes it too.
    #[inline]
    pub fn expects_body_of(&self, bytes: u64) {
        self.heads.borrow_mut().begin_sized(bytes);
    }

    /// Whether more may come of the body of the request that was read last.
    pub fn is_in_body(&self) -> bool {
        self.heads.borrow().is_in_body()
    }

    /// Whether [`Connection::has_body`] has to know whether the body is a chunked one.
    pub fn has_followers(&self) -> bool {
        self.heads.borrow().has_followers()
    }

    /// All of the body has come, which is of so many bytes.
    pub fn has_body(&self, bytes: usize, chunked: bool) {
        self.heads.borrow_mut().end_body(bytes, chunked);
    }

    /// A request on it was answered or given up, at this instant.
    #[inline]
    pub fn end_at(&self, now: Instant) {
        self.idle_since.set(now);
        self.end();
    }

    /// When its last request ended, if [`end_at`](Self::end_at) told; else when it was accepted.
    pub fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// A request on it was answered or given up.
    #[inline]
    pub fn end(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.is_idle() && self.stage.get() > Stage::Open {
            // The task may be waiting for exactly this before it closes.
            self.wake();
        }
    }

    /// Whether anything can leave any more: an HTTP/2 handler may outlive its connection.
    pub fn is_closed(&self) -> bool {
        self.flags.get().closed
    }

    /// A request's response is complete; whoever counts it is told once it has left.
    #[inline]
    pub fn complete(&self, request: Finished, counted_by: &Rc<impl Sent + 'static>) {
        let mut sender = self.sender.borrow_mut();
        if sender.is_none() {
            *sender = Some(Rc::clone(counted_by) as Rc<dyn Sent>);
        }
        self.unsent.borrow_mut().push(request);
    }

    #[inline]
    fn tell_sent(&self, request: Finished) {
        if let Some(sender) = &*self.sender.borrow() {
            sender.sent(request, self);
        }
    }

    /// Responses have left, at the latest those of all but `streams` requests.
    #[inline]
    pub fn sent(&self, streams: u32) {
        while self.in_flight.get() > streams {
            let first = self.unsent.borrow_mut().pop();
            let Some(request) = first else { return };
            self.tell_sent(request);
        }
    }

    /// Nothing will be sent any more.
    pub fn close(&self) {
        self.set(|flags| flags.closed = true);
        loop {
            let first = self.unsent.borrow_mut().pop();
            let Some(request) = first else { break };
            self.tell_sent(request);
        }
        // Of a worker's connections one at least is in the hands of whoever keeps requests.
        self.sender.take();
    }

    /// Wakes the task that serves it.
    pub fn wake(&self) {
        self.waker.borrow().wake_by_ref();
    }

    /// The task that serves it is woken by this.
    #[inline]
    pub fn set_waker(&self, waker: &Waker) {
        let mut current = self.waker.borrow_mut();
        if !current.will_wake(waker) {
            current.clone_from(waker);
        }
    }
}
