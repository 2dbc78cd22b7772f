//! What is known of one connection, shared by its task, its socket and its requests.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
};

use tokio::time::Instant;

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
    /// Any byte has come.
    spoken: Cell<bool>,
    /// Bytes have come that do not yet make a request.
    partial: Cell<bool>,
    accepted: Instant,
    /// Wakes the task that serves it.
    waker: RefCell<Waker>,
}

impl Connection {
    pub(in crate::http) fn new(stage: Stage) -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(stage),
            protocol: Cell::new(Protocol::Http1),
            in_flight: Cell::new(0),
            spoken: Cell::new(false),
            partial: Cell::new(false),
            accepted: Instant::now(),
            waker: RefCell::new(Waker::noop().clone()),
        })
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

    pub(super) fn has_spoken(&self) -> bool {
        self.spoken.get()
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial.get()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// Bytes came from the client.
    #[inline]
    pub(super) fn heard(&self) {
        self.spoken.set(true);
        // Between two requests they are the beginning of one; while one is in flight, its body.
        if self.in_flight.get() == 0 {
            self.partial.set(true);
        }
    }

    /// A request was read from it.
    #[inline]
    pub(in crate::http) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.partial.set(false);
    }

    /// A request on it was answered or given up.
    #[inline]
    pub(in crate::http) fn end(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.stage.get() > Stage::Open && self.in_flight.get() == 0 {
            // The task may be waiting for exactly this before it closes.
            self.wake();
        }
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
