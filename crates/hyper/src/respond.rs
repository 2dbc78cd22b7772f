//! What stands before an application: probes and hooks are answered here, everything else is
//! counted and, from the lame duck on, told to come back on another connection.

use std::{convert::Infallible, error::Error, future::poll_fn, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HeaderName},
    request::Parts,
};
use http_body::Body as HttpBody;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower_service::Service;
use websample_connections::{
    hook::{Call, On},
    probes::{Probes, Reply, state},
    state::Protocol,
};
use websample_lifecycle::{Lifecycle, Mode, Phase};

use super::{
    body::Body,
    connection::Served,
    route::Route,
    tracking::{Held, InFlight, OnConnection, TrackedBody, Tracker},
};

/// Any error, as a service or a body may have it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Seconds after which a client that wanted a WebSocket may try again, elsewhere.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers requests, and is told on which connection they came.
pub(super) trait Respond: 'static {
    /// The body of its responses.
    type Body: HttpBody<Data = Bytes, Error = BoxError> + 'static;

    /// Begins to answer a request, of which it is known from now on.
    fn respond(
        self: &Rc<Self>,
        request: Request<Incoming>,
        on: &Rc<Served>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Infallible>> + 'static + use<Self>;
}

/// A request, as the hook's guard looks at it.
pub(super) struct Caller<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: SocketAddr,
}

impl Call for Caller<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    fn peer(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }
}

/// Says what to answer a probe or the hook.
pub(super) async fn reply(reply: Reply, lifecycle: &Lifecycle) -> Response<Full<Bytes>> {
    match reply {
        Reply::State(status, phase) => json(status, state(phase)),
        Reply::MethodNotAllowed(allowed) => {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            refusal
        }
        Reply::Forbidden(why) => text(StatusCode::FORBIDDEN, why),
        Reply::Hook => {
            let mut response = json(200, state(lifecycle.hook().await));
            // The kubelet would keep the connection, idle, through the whole drain.
            response.headers_mut().insert(header::CONNECTION, CLOSE);
            response
        }
    }
}

pub(super) fn json(status: u16, body: String) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, JSON, body.into())
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    respond(status, TEXT, Bytes::from_static(body.as_bytes()))
}

pub(super) fn respond(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Says that this response is its connection's last one.
pub(super) fn say_close<B>(response: &mut Response<B>) {
    response.headers_mut().insert(header::CONNECTION, CLOSE);
}

/// The service before an application.
pub(super) struct Front<S> {
    pub(super) app: S,
    pub(super) lifecycle: Lifecycle,
    pub(super) tracker: Rc<Tracker>,
    pub(super) probes: Probes,
}

/// A request whose answer has begun.
#[expect(clippy::large_enum_variant, reason = "the largest is the one that there are many of")]
enum Begun<S> {
    Own { reply: Reply, on: OnConnection },
    Leaving { in_flight: InFlight },
    App { app: S, request: Request<Body>, in_flight: InFlight, kind: Kind },
}

/// What a request may make of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    WebSocket,
    /// A tunnel, where it is answered with success (RFC 9110, section 9.3.6).
    Connect,
}

impl<S, B> Respond for Front<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    type Body = TrackedBody<Either<B, Full<Bytes>>>;

    fn respond(
        self: &Rc<Self>,
        request: Request<Incoming>,
        on: &Rc<Served>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Infallible>> + 'static + use<S, B> {
        let begun = self.begin(request, on);
        let front = Rc::clone(self);
        async move {
            Ok(match begun {
                Begun::App { mut app, request, in_flight, kind } => {
                    let answered = match poll_fn(|cx| app.poll_ready(cx)).await {
                        Ok(()) => app.call(request).await,
                        Err(error) => Err(error),
                    };
                    let response = match answered {
                        Ok(response) => response.map(Either::Left),
                        Err(error) => failed(&error.into()).map(Either::Right),
                    };
                    front.finish(response, in_flight, kind)
                }
                Begun::Leaving { in_flight } => {
                    let mut response =
                        text(StatusCode::SERVICE_UNAVAILABLE, "this server is leaving\n");
                    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                    front.finish(response.map(Either::Right), in_flight, Kind::Plain)
                }
                Begun::Own { reply: what, on } => {
                    let mut response = reply(what, &front.lifecycle).await;
                    if leaves(&front.lifecycle) {
                        say_close_if_last(&mut response, on.served());
                    }
                    strip(&mut response, on.served());
                    response.map(|body| TrackedBody::new(Either::Right(body), Held::Connection(on)))
                }
            })
        }
    }
}

fn failed(error: &BoxError) -> Response<Full<Bytes>> {
    tracing::error!(%error, "the application has failed to answer");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the application has failed to answer\n")
}

impl<S: Clone> Front<S> {
    fn begin(&self, request: Request<Incoming>, on: &Rc<Served>) -> Begun<S> {
        let (parts, incoming) = request.into_parts();
        let is_http1 = on.connection.protocol() == Protocol::Http1;
        if is_http1 {
            match incoming.size_hint().exact() {
                _ if incoming.is_end_stream() => on.connection.expects_body(false),
                Some(bytes) => on.connection.expects_body_of(bytes),
                None => on.connection.expects_body(true),
            }
        }
        let caller = Caller { headers: &parts.headers, peer: on.peer };
        let asked = self.probes.reply(parts.uri.path(), parts.method.as_str(), &caller, On::App);
        if let Some(reply) = asked {
            return Begun::Own { reply, on: OnConnection::begin(on) };
        }
        let kind = match parts.method {
            Method::CONNECT if is_http1 => Kind::Connect,
            Method::GET if is_http1 && wants_websocket(&parts) => Kind::WebSocket,
            _ => Kind::Plain,
        };
        let (body, watch) = Body::new(incoming, on.body_timeout);
        on.watch(watch.as_ref());
        let in_flight = self.tracker.begin(&parts, on, watch);
        if kind == Kind::WebSocket && leaves(&self.lifecycle) {
            // Not even begun: a WebSocket would have to be ended at once.
            return Begun::Leaving { in_flight };
        }
        let mut request = Request::from_parts(parts, body);
        if let Some(extensions) = &on.extensions {
            request.extensions_mut().extend(extensions.clone());
        }
        Begun::App { app: self.app.clone(), request, in_flight, kind }
    }

    fn finish<B: HttpBody>(
        &self,
        mut response: Response<B>,
        mut in_flight: InFlight,
        kind: Kind,
    ) -> Response<TrackedBody<B>> {
        let status = response.status();
        let name = response.extensions().get::<Route>().map(Route::as_str);
        in_flight.answered(name, status.as_u16());
        let has_timed_out = in_flight.note_body();
        let upgraded = status == StatusCode::SWITCHING_PROTOCOLS
            || (kind == Kind::Connect && status.is_success());
        if upgraded {
            let to = if kind == Kind::WebSocket { Protocol::WebSocket } else { Protocol::Other };
            in_flight.streams();
            let served = Rc::clone(in_flight.served());
            served.upgrade(to, in_flight);
            return response.map(|body| TrackedBody::new(body, Held::Nothing));
        }
        if response.body().size_hint().exact().is_none() {
            in_flight.streams();
        }
        if has_timed_out || leaves(&self.lifecycle) {
            say_close_if_last(&mut response, in_flight.served());
        }
        response.map(|body| TrackedBody::new(body, Held::Request(in_flight)))
    }
}

/// Says that this response is its connection's last one, if nothing waits behind it.
fn say_close_if_last<B>(response: &mut Response<B>, on: &Served) {
    if on.connection.protocol() == Protocol::Http1 && on.connection.may_say_close() {
        say_close(response);
    }
}

/// Takes away what belongs to HTTP/1 alone (RFC 9113, section 8.2.2).
pub(super) fn strip<B>(response: &mut Response<B>, on: &Served) {
    if on.connection.protocol() == Protocol::Http2 {
        response.headers_mut().remove(header::CONNECTION);
    }
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

fn wants_websocket(request: &Parts) -> bool {
    has_token(&request.headers, header::UPGRADE, "websocket")
        && has_token(&request.headers, header::CONNECTION, "upgrade")
}

/// Whether clients are told to leave. The naive modes tell them only what every framework does:
/// that the connection of the last response is closed.
fn leaves(lifecycle: &Lifecycle) -> bool {
    let phase = lifecycle.phase();
    phase >= Phase::LameDuck && (lifecycle.policy().mode == Mode::Drain || phase >= Phase::Draining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_is_known_by_both_of_its_headers() {
        for (headers, expected) in [
            (&[("connection", "Upgrade"), ("upgrade", "websocket")][..], true),
            // As Firefox sends it.
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")], true),
            (
                &[
                    ("connection", "keep-alive"),
                    ("connection", "upgrade"),
                    ("upgrade", "websocket"),
                ],
                true,
            ),
            (&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")], false),
            (&[("connection", "keep-alive"), ("upgrade", "websocket")], false),
            (&[("accept", "*/*")], false),
        ] {
            let mut request = Request::builder().uri("/ws");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            assert_eq!(wants_websocket(&parts), expected, "{headers:?}");
        }
    }
}
