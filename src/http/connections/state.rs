//! What is known of one connection, shared by its task, its socket and its requests.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use crate::http::tracking::InFlight;

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Protocol {
    /// HTTP/1.0 or 1.1, or not known yet.
    Http1,
    /// HTTP/2, over TLS or with prior knowledge.
    Http2,
    /// A WebSocket that was an HTTP/1.1 connection.
    WebSocket,
}

/// How far the end of a connection has been arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::http) enum Stage {
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
pub(in crate::http) struct Connection {
    stage: Cell<Stage>,
    protocol: Cell<Protocol>,
    /// Requests, probes and hook calls being answered on it.
    in_flight: Cell<u32>,
    flags: Cell<Flags>,
    accepted: Instant,
    body_timeout: Duration,
    /// Requests whose responses are complete, but not yet in the kernel's hands.
    unsent: RefCell<Vec<InFlight>>,
    /// Wakes the task that serves it.
    waker: RefCell<Waker>,
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
    /// Bytes of a further request have come behind the one in flight.
    ahead: bool,
    /// A time limit has passed: the client gets to say nothing more.
    expired: bool,
    /// The connection's task has ended.
    closed: bool,
}

impl Connection {
    pub(in crate::http) fn new(stage: Stage, body_timeout: Duration) -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(stage),
            protocol: Cell::new(Protocol::Http1),
            in_flight: Cell::new(0),
            flags: Cell::default(),
            accepted: Instant::now(),
            body_timeout,
            unsent: RefCell::default(),
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
        self.wake();
    }

    pub(in crate::http) fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    pub(in crate::http) fn set_protocol(&self, protocol: Protocol) {
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

    /// Something has come from the client, whatever it is.
    pub(super) fn greeted(&self) {
        self.set(|flags| flags.spoken = true);
    }

    /// Bytes came from the client.
    #[inline]
    pub(super) fn heard(&self) {
        let idle = self.is_idle();
        self.set(|flags| {
            flags.spoken = true;
            // Between two requests they are the beginning of one; while one is in flight, its
            // body, or what was pipelined behind it.
            flags.partial |= idle;
            flags.ahead |= !idle && !flags.body;
        });
    }

    /// A request was read from it.
    #[inline]
    pub(in crate::http) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.set(|flags| {
            flags.partial = false;
            flags.ahead = false;
            flags.body = false;
        });
    }

    /// The request that was just read has a body.
    pub(super) fn expects_body(&self) {
        self.set(|flags| flags.body = true);
    }

    /// All of the body has come.
    pub(super) fn has_body(&self) {
        self.set(|flags| flags.body = false);
    }

    /// A request on it was answered or given up.
    #[inline]
    pub(in crate::http) fn end(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.is_idle() {
            self.set(|flags| flags.partial |= std::mem::take(&mut flags.ahead));
            if self.stage.get() > Stage::Open {
                // The task may be waiting for exactly this before it closes.
                self.wake();
            }
        }
    }

    /// Keeps a request in flight whose response is complete, until it has left.
    #[inline]
    pub(in crate::http) fn complete(&self, request: InFlight) {
        // An HTTP/2 handler may outlive its connection: nothing will ever leave then.
        if !self.flags.get().closed {
            self.unsent.borrow_mut().push(request);
        }
    }

    /// Responses have left, at the latest those of all but `streams` requests.
    #[inline]
    pub(super) fn sent(&self, streams: u32) {
        while self.in_flight.get() > streams {
            let mut unsent = self.unsent.borrow_mut();
            let Some(first) = (!unsent.is_empty()).then(|| unsent.remove(0)) else { return };
            // Its end looks at this connection.
            drop(unsent);
            drop(first);
        }
    }

    /// Nothing will be sent any more.
    pub(super) fn close(&self) {
        self.set(|flags| flags.closed = true);
        // Their ends look at this connection.
        let unsent = self.unsent.take();
        drop(unsent);
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
