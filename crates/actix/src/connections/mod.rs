//! Connections, and how each kind is closed without losing a request.
//!
//! HTTP/1.1 is served by actix-http's dispatcher, HTTP/2 by [`http2`], over the h2 crate.
//! Both know how to serve a connection, not how to leave it. They are therefore given a wrapped socket
//! ([`transport`](websample_connections::transport)), through which the boundaries of frames and requests
//! are seen, and a connection can be ended between two of them:
//!
//! | protocol | told to leave | closed |
//! |---|---|---|
//! | HTTP/1.1 | `Connection: close` from the lame duck on, where nothing waits behind the response ([`heads`](websample_connections::heads)) | last, once idle, with a lingering close |
//! | HTTP/2 | GOAWAY for the largest stream id ([`frames`](websample_connections::frames)) | once it has read that, when its streams have ended |
//! | WebSocket | by its handler, which holds the lame-duck token | by its handler; at the deadline with 1012 ([`websocket`](websample_connections::websocket)) |
//!
//! What sees and ends them is of no framework, and in [`websample_connections`].

mod body;
#[cfg(test)]
mod decoder;
#[cfg(test)]
mod fuzzing;
mod http2;
mod serve;

#[cfg(test)]
use websample_connections::{frames, heads};
use websample_connections::{open, socket, state, unsent};

pub(super) use self::{
    body::limit_body,
    http2::{Http2, Serve},
    open::OpenConnections,
    serve::{Services, serve},
    socket::Socket,
    state::{Connection, Protocol},
    unsent::Finished,
};
