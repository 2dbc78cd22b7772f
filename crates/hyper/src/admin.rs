//! The admin listener: `/metrics`, `/status` and the probes. It is not traffic, is not drained,
//! and is the last to go.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use websample_connections::{
    hook::On,
    probes::{Probes, Reply},
};
use websample_lifecycle::{self as lifecycle, Lifecycle, Phase};
use websample_metrics::Metrics;

use super::{
    connection::Served,
    respond::{BoxError, Caller, Respond, json, reply, say_close, strip, text},
    tracking::{Held, OnConnection, TrackedBody},
};

/// Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The admin listener's service.
pub(super) struct Admin {
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Metrics,
    pub(super) probes: Probes,
}

/// An answer, at once or at the end of the lame duck.
#[expect(clippy::large_enum_variant, reason = "there are few")]
enum Answer {
    Now(Response<Either<Scrape, Full<Bytes>>>),
    Later(Reply),
}

impl Respond for Admin {
    type Body = TrackedBody<Either<Scrape, Full<Bytes>>>;

    fn respond(
        self: &Rc<Self>,
        request: Request<Incoming>,
        on: &Rc<Served>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Infallible>> + 'static + use<> {
        on.connection.expects_body(!request.body().is_end_stream());
        let answer = self.answer(&request, on);
        let on = OnConnection::begin(on);
        let admin = Rc::clone(self);
        async move {
            let mut response = match answer {
                Answer::Now(response) => response,
                Answer::Later(what) => reply(what, &admin.lifecycle).await.map(Either::Right),
            };
            if leaves(&admin.lifecycle) {
                say_close(&mut response);
            }
            strip(&mut response, on.served());
            Ok(response.map(|body| TrackedBody::new(body, Held::Connection(on))))
        }
    }
}

/// Whether this connection's next request is for somebody else: the admin side drains last, and where
/// another process has taken over, that one is asked how it is.
fn leaves(lifecycle: &Lifecycle) -> bool {
    lifecycle.phase() == Phase::Drained || lifecycle.is_handed_over()
}

impl Admin {
    fn answer(&self, request: &Request<Incoming>, on: &Served) -> Answer {
        let (path, method) = (request.uri().path(), request.method());
        let caller = Caller { headers: request.headers(), peer: on.peer };
        if let Some(reply) = self.probes.reply(path, method.as_str(), &caller, On::Admin) {
            return Answer::Later(reply);
        }
        let known = matches!(path, "/metrics" | "/status");
        let own = if known && !matches!(*method, Method::GET | Method::HEAD) {
            text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n")
        } else {
            match path {
                "/metrics" => return Answer::Now(self.metrics(on.peer.ip())),
                "/status" => self.status(),
                _ => text(
                    StatusCode::NOT_FOUND,
                    "the admin listener has /metrics, /status, /liveness, /readiness and /prestop\n",
                ),
            }
        };
        Answer::Now(own.map(Either::Right))
    }

    fn metrics(&self, from: IpAddr) -> Response<Either<Scrape, Full<Bytes>>> {
        let (scrape, phase) = (self.lifecycle.scrape(Some(from)), self.lifecycle.phase());
        let mut out = Vec::new();
        if let Err(error) = self.metrics.write(&mut out) {
            tracing::error!(%error, "the metrics cannot be written");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n")
                .map(Either::Right);
        }
        let body = Scrape {
            body: Some(out.into()),
            under_way: Some(scrape),
            metrics: self.metrics.clone(),
            phase,
        };
        let mut response = Response::new(Either::Left(body));
        response.headers_mut().insert(header::CONTENT_TYPE, METRICS);
        response
    }

    fn status(&self) -> Response<Full<Bytes>> {
        json(200, websample_connections::status(&self.lifecycle).to_string())
    }
}

/// The answer to a scrape, which tells when all of it was taken.
pub(super) struct Scrape {
    body: Option<Bytes>,
    under_way: Option<lifecycle::Scrape>,
    metrics: Metrics,
    /// The phase it began in.
    phase: Phase,
}

impl HttpBody for Scrape {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, Bytes::len) as u64)
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        // A HEAD takes nothing.
        let Some(scrape) = self.under_way.take().filter(|_| self.body.is_none()) else { return };
        self.metrics.scraped(self.phase);
        // The body is dropped just before its connection writes it: told after that.
        tokio::task::spawn_local(async move {
            tokio::task::yield_now().await;
            scrape.landed();
        });
    }
}
