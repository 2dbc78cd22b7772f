//! What stands before an application: probes and hooks are answered here, everything else is
//! counted and, from the lame duck on, told to come back on another connection.

use std::{
    convert::Infallible,
    error::Error,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HeaderName},
};
use http_body::Body as HttpBody;
use http_body_util::{Either, Full};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use pin_project_lite::pin_project;
use tower_service::Service;
use websample_connections::{
    hook::{Call, On},
    probes::{Probes, Reply, state},
    state::{Protocol, Stage},
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

/// What a request may make of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    WebSocket,
    /// A tunnel, where it is answered with success (RFC 9110, section 9.3.6).
    Connect,
}

/// What an application's service answers, or what is answered in its place.
type Answer<B> = Response<TrackedBody<Either<B, Full<Bytes>>>>;

pin_project! {
    /// An answer on its way.
    ///
    /// The application's is in here as it is, and its request in that: what is moved about is as small as
    /// it can be.
    #[project = AnsweringProjection]
    pub(super) enum Answering<S, F, B> {
        App { #[pin] answer: F, in_flight: Option<InFlight>, kind: Kind, front: Rc<Front<S>> },
        /// Of this crate, or of a service that was not ready at once.
        Other { answer: Pin<Box<dyn Future<Output = Answer<B>>>> },
    }
}

impl<S, F, B, E> Future for Answering<S, F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Answer<B>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnsweringProjection::App { answer, in_flight, kind, front } => {
                let answered = ready!(answer.poll(cx));
                // Never `None`: nobody polls a future that has ended.
                let Some(in_flight) = in_flight.take() else { return Poll::Pending };
                Poll::Ready(Ok(front.finish(answered, in_flight, *kind)))
            }
            AnsweringProjection::Other { answer } => answer.as_mut().poll(cx).map(Ok),
        }
    }
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
        let is_http1 = on.connection.protocol() == Protocol::Http1;
        if is_http1 {
            let incoming = request.body();
            match incoming.size_hint().exact() {
                _ if incoming.is_end_stream() => on.connection.expects_body(false),
                Some(bytes) => on.connection.expects_body_of(bytes),
                None => on.connection.expects_body(true),
            }
        }
        let (path, method) = (request.uri().path(), request.method());
        let caller = Caller { headers: request.headers(), peer: on.peer };
        if let Some(asked) = self.probes.reply(path, method.as_str(), &caller, On::App) {
            return self.own(asked, OnConnection::begin(on));
        }
        let kind = match *method {
            Method::CONNECT if is_http1 => Kind::Connect,
            Method::GET if may_upgrade(&request) && wants_websocket(request.headers()) => {
                Kind::WebSocket
            }
            _ => Kind::Plain,
        };
        let watch = Body::watch(request.body());
        on.watch(watch.as_ref());
        let in_flight = InFlight::begin(&self.tracker, method, path, on, watch.clone());
        if kind == Kind::WebSocket && leaves(&self.lifecycle) {
            // Not even begun: a WebSocket would have to be ended at once.
            return self.refuse(in_flight);
        }
        let mut request = request.map(|incoming| Body::new(incoming, on.body_timeout, watch));
        if let Some(extensions) = &on.extensions {
            request.extensions_mut().extend(extensions.clone());
        }
        let mut app = self.app.clone();
        // Most services are always ready; whoever is not is asked again by who waits for it.
        match app.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Answering::App {
                answer: app.call(request),
                in_flight: Some(in_flight),
                kind,
                front: Rc::clone(self),
            },
            Poll::Ready(Err(error)) => {
                let response = self.finish(Err(error), in_flight, kind);
                Answering::Other { answer: Box::pin(std::future::ready(response)) }
            }
            Poll::Pending => {
                let front = Rc::clone(self);
                let answer = Box::pin(async move {
                    let answered = match poll_fn(|cx| app.poll_ready(cx)).await {
                        Ok(()) => app.call(request).await,
                        Err(error) => Err(error),
                    };
                    front.finish(answered, in_flight, kind)
                });
                Answering::Other { answer }
            }
        }
    }
}

fn failed(error: &BoxError) -> Response<Full<Bytes>> {
    tracing::error!(%error, "the application has failed to answer");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the application has failed to answer\n")
}

impl<S> Front<S> {
    /// Answers a probe or the hook.
    fn own<F, B: 'static>(self: &Rc<Self>, asked: Reply, on: OnConnection) -> Answering<S, F, B> {
        let lifecycle = self.lifecycle.clone();
        let answer = Box::pin(async move {
            let mut response = reply(asked, &lifecycle).await;
            if leaves(&lifecycle) {
                say_close_if_last(&mut response, on.served());
            }
            strip(&mut response, on.served());
            response.map(|body| TrackedBody::new(Either::Right(body), Held::Connection(on)))
        });
        Answering::Other { answer }
    }

    /// Sends a client elsewhere that wants a WebSocket.
    fn refuse<F, B>(&self, in_flight: InFlight) -> Answering<S, F, B>
    where
        B: HttpBody<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "this server is leaving\n");
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        let response = self.complete(response.map(Either::Right), in_flight, Kind::Plain);
        Answering::Other { answer: Box::pin(std::future::ready(response)) }
    }

    #[inline]
    fn finish<B, E>(
        &self,
        answered: Result<Response<B>, E>,
        in_flight: InFlight,
        kind: Kind,
    ) -> Answer<B>
    where
        E: Into<BoxError>,
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        match answered {
            Ok(response) => self.complete(response.map(Either::Left), in_flight, kind),
            Err(error) => self.complete(failed(&error.into()).map(Either::Right), in_flight, kind),
        }
    }

    #[inline]
    fn complete<B: HttpBody>(
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
        let is_open = in_flight.served().connection.stage() == Stage::Open;
        if has_timed_out || !is_open || leaves(&self.lifecycle) {
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

/// Whether hyper has seen a wish for another protocol, which is cheaper than to look for it.
fn may_upgrade<B>(request: &Request<B>) -> bool {
    request.extensions().get::<OnUpgrade>().is_some()
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, header::UPGRADE, "websocket")
        && has_token(headers, header::CONNECTION, "upgrade")
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
            let request = request.body(()).expect("a request");
            assert_eq!(wants_websocket(request.headers()), expected, "{headers:?}");
        }
    }
}
