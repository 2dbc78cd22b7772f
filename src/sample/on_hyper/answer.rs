//! What each path answers.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HeaderName},
    response::Builder,
};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use websample_hyper::{Body, BodyError, Route};
use websample_lifecycle::{Lifecycle, Phase};

use super::ws;
use crate::{
    config::Settings,
    sample::{answer::status_of, events::ticks, seconds, stream::chunks},
};

const VERSION: HeaderName = HeaderName::from_static("x-websample-version");
const INSTANCE: HeaderName = HeaderName::from_static("x-websample-instance");
const PHASE: HeaderName = HeaderName::from_static("x-websample-phase");

/// The path that the original understands, beside the one that it documents.
const SLEEP_WITHOUT_SLASH: &str = "/sleep{seconds:[0-9][^/]*}";

type Chunks = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> + Send>>;

/// The body of an answer: whole, or as it comes.
pub(super) type Out = Either<Full<Bytes>, StreamBody<Chunks>>;

/// Everything the paths share.
pub(super) struct Sample {
    status: StatusCode,
    version: HeaderValue,
    instance: HeaderValue,
    /// The name of each phase; made here, since a value is checked when it is made.
    phases: [HeaderValue; Phase::ALL.len()],
    pub(super) settings: Settings,
    pub(super) lifecycle: Lifecycle,
}

impl Sample {
    pub(super) fn new(settings: Settings, lifecycle: Lifecycle) -> Self {
        let value = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
        };
        let status = status_of(&settings.version).as_u16();
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
            version: value(&settings.version),
            instance: value(&settings.instance),
            phases: Phase::ALL.map(|phase| HeaderValue::from_static(phase.name())),
            settings,
            lifecycle,
        }
    }

    /// A response with the headers that say who answers.
    pub(super) fn respond_with(&self, status: StatusCode) -> Builder {
        let phase = self.lifecycle.phase() as usize;
        Response::builder()
            .status(status)
            .header(VERSION, self.version.clone())
            .header(INSTANCE, self.instance.clone())
            .header(PHASE, self.phases[phase].clone())
    }

    /// A refusal that says what was wrong.
    pub(super) fn refuse(&self, status: StatusCode, why: String) -> Response<Out> {
        let response = self.respond_with(status);
        whole(response.header(header::CONTENT_TYPE, "text/plain; charset=utf-8"), why.into())
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Out> {
        let path = request.uri().path();
        if let Some(seconds) = path.strip_prefix("/sleep/")
            && !seconds.is_empty()
            && !seconds.contains('/')
        {
            let seconds = seconds.to_owned();
            return self.sleep(&seconds, request).await;
        }
        if let Some(seconds) = path.strip_prefix("/sleep")
            && seconds.starts_with(|first: char| first.is_ascii_digit())
            && !seconds.contains('/')
        {
            let seconds = seconds.to_owned();
            let mut response = self.sleep(&seconds, request).await;
            response.extensions_mut().insert(Route::new(SLEEP_WITHOUT_SLASH));
            return response;
        }
        if let Some(count) = path.strip_prefix("/stream/")
            && !count.is_empty()
            && !count.contains('/')
        {
            return self.stream(count);
        }
        match path {
            "/events" if request.method() == Method::GET => self.events(),
            "/ws" if request.method() == Method::GET => ws::ws(self, request),
            "/echo" if request.method() == Method::POST => self.echo(request).await,
            "/events" | "/ws" | "/echo" => {
                whole(Response::builder().status(StatusCode::METHOD_NOT_ALLOWED), Bytes::new())
            }
            _ => match self.discard(request.into_body()).await {
                Ok(()) => whole(self.respond_with(self.status), Bytes::new()),
                Err(refusal) => refusal,
            },
        }
    }

    /// `/sleep/N`: answers after N seconds.
    async fn sleep(&self, seconds: &str, request: Request<Body>) -> Response<Out> {
        let duration = match seconds::parse(seconds, self.settings.limits.sleep) {
            Ok(duration) => duration,
            Err(why) => return self.refuse(StatusCode::BAD_REQUEST, why),
        };
        if let Err(refusal) = self.discard(request.into_body()).await {
            return refusal;
        }
        tokio::time::sleep(duration).await;
        whole(self.respond_with(self.status), Bytes::new())
    }

    /// `/stream/N`: a chunk at once and then one a second, N in all.
    fn stream(&self, count: &str) -> Response<Out> {
        match seconds::parse(count, self.settings.limits.sleep) {
            Ok(duration) => {
                let response = self.respond_with(self.status);
                let response = response.header(header::CONTENT_TYPE, "text/plain");
                streaming(response, chunks(duration.as_secs()))
            }
            Err(why) => self.refuse(StatusCode::BAD_REQUEST, why),
        }
    }

    /// `/events`: an event a second, until the server leaves.
    fn events(&self) -> Response<Out> {
        let response = self
            .respond_with(StatusCode::OK)
            .header(header::CONTENT_TYPE, "text/event-stream")
            .header(header::CACHE_CONTROL, "no-store");
        streaming(response, ticks(&self.lifecycle, self.settings.close_spread))
    }

    /// `POST /echo`: the request's body and its content type.
    async fn echo(&self, request: Request<Body>) -> Response<Out> {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let mut body = request.into_body();
        let mut collected = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => return self.unreadable(&error),
            };
            let Ok(data) = frame.into_data() else { continue };
            if collected.len() + data.len() > self.settings.limits.body {
                return self.too_large();
            }
            collected.extend_from_slice(&data);
        }
        let mut response = self.respond_with(self.status);
        if let Some(kind) = kind {
            response = response.header(header::CONTENT_TYPE, kind);
        }
        whole(response, collected.freeze())
    }

    /// Reads a body that nobody wants, so that its connection can carry another request.
    async fn discard(&self, mut body: Body) -> Result<(), Response<Out>> {
        let mut length = 0;
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            let frame = frame.map_err(|error| self.unreadable(&error))?;
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > self.settings.limits.body {
                return Err(self.too_large());
            }
        }
        Ok(())
    }

    /// A body that stopped arriving, or that is not what it says.
    fn unreadable(&self, error: &BodyError) -> Response<Out> {
        let status = match error {
            BodyError::TimedOut => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        };
        self.refuse(status, format!("the body cannot be read: {error}\n"))
    }

    fn too_large(&self) -> Response<Out> {
        let limit = self.settings.limits.body;
        self.refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than limits.body, {limit} bytes\n"),
        )
    }
}

/// A response whose body is known.
pub(super) fn whole(response: Builder, body: Bytes) -> Response<Out> {
    finish(response, Either::Left(Full::new(body)))
}

fn streaming(
    response: Builder,
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Out> {
    let frames: Chunks = Box::pin(chunks.map(|chunk| Ok(Frame::data(chunk))));
    finish(response, Either::Right(StreamBody::new(frames)))
}

fn finish(response: Builder, body: Out) -> Response<Out> {
    response.body(body).unwrap_or_else(|error| {
        // Names and values are constants, or values that were checked.
        tracing::error!(%error, "a response could not be made");
        let mut response = Response::new(Either::Left(Full::default()));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
