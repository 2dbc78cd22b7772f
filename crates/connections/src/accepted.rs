//! A connection as it leaves the accept queue, and the limits it is served within.

use std::{net::SocketAddr, time::Duration};

use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use websample_lifecycle::Guard;

/// A connection as it leaves the accept queue.
#[derive(Debug)]
pub struct Accepted {
    /// In no reactor yet.
    pub stream: std::net::TcpStream,
    /// Its client's address.
    pub peer: SocketAddr,
    /// Counts the connection until it is closed.
    pub guard: Guard,
}

/// A connection on its way to a worker.
pub struct Dispatched {
    /// The connection.
    pub accepted: Accepted,
    /// Its place under the limit of connections; those of the accept queue at the end have none.
    pub permit: Option<OwnedSemaphorePermit>,
    /// What its TLS is accepted with, where it has any.
    pub tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Dispatched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatched").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

/// The time limits of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a request head, and for the TLS handshake, to arrive completely.
    pub header_timeout: Duration,
    /// For more of a request's body to arrive, once a handler waits for it.
    pub body_timeout: Duration,
    /// For a client to take any of the bytes that wait for it.
    pub write_timeout: Duration,
}
