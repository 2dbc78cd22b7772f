//! Requests whose responses are complete, until they have left.

use std::{collections::VecDeque, fmt};

use websample_lifecycle::Phase;

use super::state::Connection;

/// A request whose response is complete, for whoever counts it.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Its place in the list of those in flight.
    pub key: usize,
    /// The phase in which it came.
    pub phase: Phase,
    /// Its route, by its place in the list of patterns; `None` where no handler has answered.
    pub route: Option<usize>,
    /// The response's status.
    pub status: u16,
}

/// Counts requests whose responses are complete, until they have left.
pub trait Sent {
    /// The request has left: it is nobody's any more, and ends on its connection
    /// ([`Connection::end`]). Nothing is completed or closed from in here.
    fn sent(&self, request: Finished, connection: &Connection);
}

impl fmt::Debug for dyn Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent")
    }
}

/// A queue that takes no further memory for one, which is what HTTP/1.1 has at a time.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    first: Option<Finished>,
    others: VecDeque<Finished>,
}

impl Unsent {
    #[inline]
    pub(super) fn push(&mut self, request: Finished) {
        if self.first.is_none() {
            self.first = Some(request);
        } else {
            self.others.push_back(request);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Finished> {
        let first = self.first.take();
        if first.is_some() {
            self.first = self.others.pop_front();
        }
        first
    }
}
