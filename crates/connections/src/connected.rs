//! What an application may know of a new connection.

use std::fmt;

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;

/// A connection that has just been accepted, and whose TLS handshake is done.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Connected<'a> {
    /// The TCP connection.
    pub tcp: &'a TcpStream,
    /// Its TLS session, with the client's certificates, where there is TLS.
    pub tls: Option<&'a ServerConnection>,
}

impl<'a> Connected<'a> {
    pub(super) fn new(tcp: &'a TcpStream, tls: Option<&'a ServerConnection>) -> Self {
        Self { tcp, tls }
    }
}

impl fmt::Debug for Connected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}
