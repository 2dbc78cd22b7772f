//! The admin listener: `/metrics`, `/status` and the probes. It is not traffic, is not drained,
//! and is the last to go.

use std::{convert::Infallible, net::IpAddr, rc::Rc};

use actix_http::{
    ConnectionType, Method, Request, Response, StatusCode,
    body::BodySize,
    header::{self, HeaderValue},
};
use actix_service::{Service, ServiceFactory};
use actix_web::{
    body::{BoxBody, MessageBody},
    web::Bytes,
};
use futures_core::future::LocalBoxFuture;
use websample_connections::hook::On;
use websample_lifecycle::{self as lifecycle, Lifecycle, Phase};
use websample_metrics::Metrics;

use super::{
    connections::{Connection, Serve},
    probes::{Answer, Probes, json, text},
    tracking::{Held, OnConnection, TrackedBody},
};

/// The admin listener's service, and the factory of itself.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Metrics,
    pub(super) probes: Probes,
}

impl ServiceFactory<Request> for Admin {
    type Response = Response<TrackedBody<BoxBody>>;
    type Error = Infallible;
    type Config = ();
    type Service = Self;
    type InitError = ();
    type Future = std::future::Ready<Result<Self, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        std::future::ready(Ok(self.clone()))
    }
}

impl Service<Request> for Admin {
    type Response = Response<TrackedBody<BoxBody>>;
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Infallible>>;

    actix_service::always_ready!();

    fn call(&self, request: Request) -> Self::Future {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        self.serve(request, connection)
    }
}

impl Serve for Admin {
    fn serve(&self, request: Request, connection: Option<Rc<Connection>>) -> Self::Future {
        let held = Held::Connection(connection.map(OnConnection::begin));
        let lifecycle = self.lifecycle.clone();
        let answer = self.answer(&request);
        Box::pin(async move {
            let mut response = match answer {
                Answer::Now(response) => response,
                Answer::Later(response) => response.await,
            };
            if leaves(&lifecycle) {
                response.head_mut().set_connection_type(ConnectionType::Close);
            }
            Ok(response.map_body(|_, body| TrackedBody::new(body, held)))
        })
    }
}

/// Whether this connection's next request is for somebody else: the admin side drains last, and where
/// another process has taken over, that one is asked how it is.
fn leaves(lifecycle: &Lifecycle) -> bool {
    lifecycle.phase() == Phase::Drained || lifecycle.is_handed_over()
}

impl Admin {
    fn answer(&self, request: &Request) -> Answer {
        if let Some(answer) = self.probes.answer(request, On::Admin) {
            return answer;
        }
        let known = matches!(request.path(), "/metrics" | "/status");
        if known && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Answer::Now(text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n"));
        }
        Answer::Now(match request.path() {
            "/metrics" => self.metrics(request.peer_addr().map(|peer| peer.ip())),
            "/status" => self.status(),
            _ => text(
                StatusCode::NOT_FOUND,
                "the admin listener has /metrics, /status, /liveness, /readiness and /prestop\n",
            ),
        })
    }

    fn metrics(&self, from: Option<IpAddr>) -> Response<BoxBody> {
        let (scrape, phase) = (self.lifecycle.scrape(from), self.lifecycle.phase());
        let mut out = Vec::new();
        if let Err(error) = self.metrics.write(&mut out) {
            tracing::error!(%error, "the metrics cannot be written");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n");
        }
        let body = Scrape {
            body: Some(out.into()),
            landed: false,
            under_way: Some(scrape),
            metrics: self.metrics.clone(),
            phase,
        };
        let mut response = Response::with_body(StatusCode::OK, BoxBody::new(body));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
        );
        response
    }

    fn status(&self) -> Response<BoxBody> {
        json(StatusCode::OK, websample_connections::status(&self.lifecycle).to_string())
    }
}

/// The answer to a scrape, which tells when all of it was taken.
struct Scrape {
    body: Option<Bytes>,
    landed: bool,
    under_way: Option<lifecycle::Scrape>,
    metrics: Metrics,
    /// The phase it began in.
    phase: Phase,
}

impl MessageBody for Scrape {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.body.as_ref().map_or(0, Bytes::len) as u64)
    }

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, Infallible>>> {
        let body = self.body.take();
        self.landed |= body.is_none();
        std::task::Poll::Ready(body.map(Ok))
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        let Some(scrape) = self.under_way.take().filter(|_| self.landed) else { return };
        self.metrics.scraped(self.phase);
        // The body is dropped just before its connection writes it: told after that.
        tokio::task::spawn_local(async move {
            tokio::task::yield_now().await;
            scrape.landed();
        });
    }
}
