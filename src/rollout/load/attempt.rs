//! What became of one request.

use std::{net::SocketAddr, time::Duration};

/// How one request ended, as a client that never retries saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The whole answer arrived, with an expected status.
    Ok,
    /// Nobody listened: the connection was answered with RST.
    Refused,
    /// The connection was not established in time: packets to a removed address vanish.
    ConnectTimeout,
    /// A fresh connection was closed or reset before the answer was complete.
    Reset,
    /// A kept-alive connection was closed or reset before the first byte of the answer.
    ResetReused,
    /// The answer began and did not end.
    Truncated,
    /// No complete answer within the request's time limit.
    Timeout,
    /// A complete answer with an unexpected status.
    Status(u16),
}

/// One request: when it was due, when it was sent, to whom, and how it ended.
///
/// Times are measured from the start of the run.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Index of the stream in the mix.
    pub stream: usize,
    /// When the open-loop schedule wanted it sent; latency counts from here.
    pub intended: Duration,
    /// When it was really sent (connecting included).
    pub sent: Duration,
    /// When its last byte arrived or it was given up.
    pub finished: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The status, when a response head arrived.
    pub status: Option<u16>,
    /// The pod that the connection led to, when one was chosen.
    pub peer: Option<SocketAddr>,
    /// Whether the connection had carried a request before.
    pub reused: bool,
}
