//! What stands before the application: probes and hooks are answered here, everything else is
//! counted and, from the lame duck on, told to come back on another connection.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_http::{
    ConnectionType, Request, Response, StatusCode,
    body::{EitherBody, MessageBody},
    header::{self, HeaderValue},
};
use actix_service::{Service, ServiceFactory};
use actix_web::{
    Error,
    body::BoxBody,
    dev::{AppConfig, ServiceResponse},
};
use futures_core::future::LocalBoxFuture;
use pin_project_lite::pin_project;
use websample_connections::{hook::On, patterns::Patterns};
use websample_lifecycle::{Lifecycle, Mode, Phase};
use websample_metrics::Metrics;

use super::{
    connections::{Connection, Protocol, Serve, limit_body},
    probes::{Answer, Probes, text},
    tracking::{Held, OnConnection, TrackedBody, TrackedRequest, Tracker},
};

/// Seconds after which a client that wanted a WebSocket may try again, elsewhere.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Makes a [`Front`] for every worker.
pub(super) struct FrontFactory<F> {
    pub(super) app: F,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Metrics,
    pub(super) probes: Probes,
    pub(super) patterns: Arc<Patterns>,
}

impl<F, B> ServiceFactory<Request> for FrontFactory<F>
where
    F: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>,
    F::Future: 'static,
    F::Service: 'static,
    F::InitError: fmt::Debug,
    B: MessageBody + 'static,
{
    type Response = Response<EitherBody<TrackedBody<B>, TrackedBody<BoxBody>>>;
    type Error = Error;
    type Config = ();
    type Service = Front<F::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let app = self.app.new_service(AppConfig::default());
        let lifecycle = self.lifecycle.clone();
        let tracker =
            Tracker::new(lifecycle.clone(), self.metrics.clone(), Arc::clone(&self.patterns));
        let probes = self.probes.clone();
        Box::pin(async move {
            let app = app.await.map_err(|error| {
                tracing::error!(?error, "the application could not be created");
            })?;
            Ok(Front { app, lifecycle, tracker, probes })
        })
    }
}

/// The service before an application.
pub(super) struct Front<S> {
    app: S,
    lifecycle: Lifecycle,
    tracker: Rc<Tracker>,
    probes: Probes,
}

impl<S, B> Service<Request> for Front<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    type Response = Response<EitherBody<TrackedBody<B>, TrackedBody<BoxBody>>>;
    type Error = Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.app.poll_ready(cx)
    }

    fn call(&self, request: Request) -> Self::Future {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        self.serve(request, connection)
    }
}

impl<S, B> Serve for Front<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    fn serve(&self, mut request: Request, connection: Option<Rc<Connection>>) -> Self::Future {
        let takes_everything =
            connection.as_ref().is_some_and(|connection| limit_body(&mut request, connection));
        if let Some(answer) = self.probes.answer(&request, On::App) {
            let held = Held::Connection(connection.map(OnConnection::begin));
            let answer = match answer {
                Answer::Now(response) => Own::Now { response: Some(response) },
                Answer::Later(response) => Own::Later { response },
            };
            return Answering::Own { answer, held: Some(held), lifecycle: self.lifecycle.clone() };
        }
        let upgrades = wants_websocket(&request);
        let in_flight = TrackedRequest::begin(&self.tracker, &request, connection);
        if upgrades && leaves(&self.lifecycle) {
            // Not even begun: a WebSocket would have to be ended at once.
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "this server is leaving\n");
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            let answer = Own::Now { response: Some(response) };
            let held = Some(Held::Request(in_flight));
            return Answering::Own { answer, held, lifecycle: self.lifecycle.clone() };
        }
        Answering::App {
            response: self.app.call(request),
            in_flight: Some(in_flight),
            upgrades,
            takes_everything,
        }
    }
}

fn wants_websocket(request: &Request) -> bool {
    // Known since the head was read, while a header has to be looked for.
    if request.head().connection_type() != ConnectionType::Upgrade {
        return false;
    }
    let upgrade = request.head().headers.get(header::UPGRADE);
    upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Whether clients are told to leave. The naive modes tell them only what every framework does:
/// that the connection of the last response is closed.
fn leaves(lifecycle: &Lifecycle) -> bool {
    let phase = lifecycle.phase();
    phase >= Phase::LameDuck && (lifecycle.policy().mode == Mode::Drain || phase >= Phase::Draining)
}

/// Says that this response is its connection's last one, if nothing waits behind it.
fn say_close<B>(response: &mut Response<B>, connection: Option<&Connection>) {
    if connection.is_none_or(Connection::may_say_close) {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
}

pin_project! {
    /// A response on its way.
    #[project = AnsweringProjection]
    pub(super) enum Answering<F> {
        App {
            #[pin]
            response: F,
            in_flight: Option<TrackedRequest>,
            // Whether it is a WebSocket if it is answered with 101.
            upgrades: bool,
            // Whether actix takes the request, and its response, for another protocol's.
            takes_everything: bool,
        },
        Own {
            answer: Own,
            held: Option<Held>,
            lifecycle: Lifecycle,
        },
    }
}

/// An answer of the framework's own.
pub(super) enum Own {
    Now { response: Option<Response<BoxBody>> },
    Later { response: Pin<Box<dyn Future<Output = Response<BoxBody>>>> },
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody + 'static,
{
    type Output = Result<Response<EitherBody<TrackedBody<B>, TrackedBody<BoxBody>>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnsweringProjection::App { response, in_flight, upgrades, takes_everything } => {
                let answered = ready!(response.poll(cx));
                let Some(mut in_flight) = in_flight.take() else {
                    return Poll::Pending;
                };
                let leaves = leaves(in_flight.lifecycle());
                let connection = if leaves { in_flight.connection() } else { None };
                let mut response = match answered {
                    Ok(answered) => {
                        in_flight.answered(answered.request(), answered.status().as_u16());
                        let mut response: Response<B> = answered.into();
                        let status = response.status();
                        if status == StatusCode::SWITCHING_PROTOCOLS {
                            in_flight.set_protocol(if *upgrades {
                                Protocol::WebSocket
                            } else {
                                Protocol::Other
                            });
                        }
                        if !response.body().size().is_eof() {
                            in_flight.streams();
                        }
                        if *takes_everything && status != StatusCode::SWITCHING_PROTOCOLS {
                            // actix would announce chunks and send none.
                            response.head_mut().no_chunking(true);
                        }
                        response.map_body(|_, body| {
                            EitherBody::left(TrackedBody::new(body, Held::Request(in_flight)))
                        })
                    }
                    Err(error) => {
                        let response: Response<BoxBody> = error.into();
                        in_flight.answered_unmatched(response.status().as_u16());
                        response.map_body(|_, body| {
                            EitherBody::right(TrackedBody::new(body, Held::Request(in_flight)))
                        })
                    }
                };
                if leaves && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    say_close(&mut response, connection.as_deref());
                }
                Poll::Ready(Ok(response))
            }
            AnsweringProjection::Own { answer, held, lifecycle } => {
                let mut response = match answer {
                    Own::Now { response } => match response.take() {
                        Some(response) => response,
                        None => return Poll::Pending,
                    },
                    Own::Later { response } => ready!(response.as_mut().poll(cx)),
                };
                let mut held = held.take().unwrap_or(Held::Connection(None));
                if leaves(lifecycle) {
                    say_close(&mut response, held.connection().as_deref());
                }
                if let Held::Request(in_flight) = &mut held {
                    in_flight.answered_unmatched(response.status().as_u16());
                }
                Poll::Ready(Ok(
                    response.map_body(|_, body| EitherBody::right(TrackedBody::new(body, held)))
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_http::h1::{Codec, Message};
    use actix_web::web::BytesMut;
    use tokio_util::codec::Decoder as _;

    use super::*;

    // A codec's clock is a task of its thread.
    #[actix_web::test]
    async fn a_websocket_is_known_by_both_of_its_headers() {
        for (headers, expected) in [
            ("Connection: Upgrade\r\nUpgrade: websocket", true),
            // As Firefox sends it.
            ("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket", true),
            ("Upgrade: websocket\r\nConnection: upgrade", true),
            ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c", false),
            ("Connection: keep-alive\r\nUpgrade: websocket", false),
            ("Accept: */*", false),
        ] {
            let head = format!("GET /ws HTTP/1.1\r\nHost: here\r\n{headers}\r\n\r\n");
            let decoded = Codec::default().decode(&mut BytesMut::from(head.as_str()));
            let Ok(Some(Message::Item(request))) = decoded else { panic!("{head}") };
            assert_eq!(wants_websocket(&request), expected, "{headers}");
        }
    }
}
