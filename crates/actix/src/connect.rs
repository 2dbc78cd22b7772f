//! What an application may know of a new connection.

use std::{fmt, rc::Rc, sync::Arc};

use actix_http::Extensions;
use actix_web::{HttpMessage as _, HttpRequest};
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

impl fmt::Debug for Connected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

/// Called for every connection.
pub(super) type OnConnect = Arc<dyn Fn(&Connected<'_>, &mut Extensions) + Send + Sync>;

/// What [`Server::on_connect`](super::Server::on_connect) has kept of a request's connection.
///
/// Takes the place of [`HttpRequest::conn_data`], which knows HTTP/1 alone.
pub fn with_connection_data<T: 'static, R>(
    request: &HttpRequest,
    look: impl FnOnce(&T) -> R,
) -> Option<R> {
    if let Some(data) = request.conn_data::<T>() {
        return Some(look(data));
    }
    let data = request.extensions().get::<Rc<Extensions>>().cloned()?;
    data.get::<T>().map(look)
}
