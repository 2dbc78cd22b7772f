//! Probes and hooks as actix's requests and responses.

use std::{future::Future, net::SocketAddr, pin::Pin};

use actix_http::{
    ConnectionType, Request, Response, StatusCode,
    header::{self, HeaderValue},
};
use actix_web::body::BoxBody;
use websample_connections::{
    hook::{Call, On},
    probes::{Probes as Replies, Reply, state},
};
use websample_lifecycle::Phase;

/// Answers probes and hooks.
#[derive(Debug, Clone)]
pub(super) struct Probes(pub(super) Replies);

/// An answer, at once or at the end of the lame duck.
pub(super) enum Answer {
    Now(Response<BoxBody>),
    Later(Pin<Box<dyn Future<Output = Response<BoxBody>>>>),
}

/// A request, as the hook's guard looks at it.
struct Caller<'a>(&'a Request);

impl Call for Caller<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.head().headers.get(name).map(HeaderValue::as_bytes)
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.0.peer_addr()
    }
}

impl Probes {
    /// Answers a request that is for one of the three paths.
    #[inline]
    pub(super) fn answer(&self, request: &Request, on: On) -> Option<Answer> {
        let method = request.method().as_str();
        let reply = self.0.reply(request.path(), method, &Caller(request), on)?;
        Some(Answer::Now(match reply {
            Reply::State(status, phase) => respond(status, phase),
            Reply::MethodNotAllowed(allowed) => {
                let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
                refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
                refusal
            }
            Reply::Forbidden(why) => text(StatusCode::FORBIDDEN, why),
            Reply::Hook => {
                let lifecycle = self.0.lifecycle.clone();
                return Some(Answer::Later(Box::pin(async move {
                    let mut response = respond(200, lifecycle.hook().await);
                    response.head_mut().set_connection_type(ConnectionType::Close);
                    response
                })));
            }
        }))
    }
}

fn respond(status: u16, phase: Phase) -> Response<BoxBody> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, state(phase))
}

pub(super) fn json(status: StatusCode, body: String) -> Response<BoxBody> {
    let mut response = Response::with_body(status, BoxBody::new(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Response<BoxBody> {
    let mut response = Response::with_body(status, BoxBody::new(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
