//! What an application may know of a new connection.

use std::{rc::Rc, sync::Arc};

use actix_http::Extensions;
use actix_web::{HttpMessage as _, HttpRequest};
pub use websample_connections::Connected;

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
