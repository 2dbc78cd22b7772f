//! HTTP/2: the h2 server, a task for each stream.
//!
//! actix-http has a dispatcher of its own. It bounds neither the streams of a connection nor the wait
//! for a client's window, and a handler whose client has reset its stream runs on to its end. All of
//! that has to be in one place, so it is here.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use actix_http::{
    Extensions, HttpMessage as _, Method, Payload, Request, Response, ResponseHead, StatusCode,
    body::{BodySize, BoxBody, MessageBody},
    error::PayloadError,
    header::{self, HeaderName, HeaderValue},
};
use actix_service::Service;
use actix_web::web::Bytes;
use futures_core::Stream;
use h2::{
    Ping, PingPong, Reason, RecvStream, SendStream,
    server::{Builder, Connection as H2, SendResponse},
};
use tokio::time::{Sleep, sleep, timeout};

use super::{socket::Socket, state::Connection};

/// What is sent in one piece: a frame's usual limit (RFC 9113, section 4.2).
const CHUNK: usize = 16_384;

/// How an HTTP/2 connection is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Http2 {
    /// Streams that may be open at a time.
    pub(crate) streams: u32,
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    pub(crate) handshake_timeout: Duration,
    /// For a client to let anything of a response pass.
    pub(crate) write_timeout: Duration,
    /// A client that does not answer a PING within this, twice, is gone.
    pub(crate) keep_alive: Duration,
}

/// A service that is told on which connection a request came.
pub(crate) trait Serve: Service<Request> {
    /// Answers a request.
    fn serve(&self, request: Request, connection: Option<Rc<Connection>>) -> Self::Future;
}

/// Serves a connection until its client has gone, or was told to go and has no stream left.
pub(super) async fn serve<S, B>(
    socket: Socket,
    service: Rc<S>,
    peer: Option<SocketAddr>,
    data: Option<Rc<Extensions>>,
    settings: Http2,
) -> Result<(), h2::Error>
where
    S: Serve<Response = Response<B>> + 'static,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let connection = Rc::clone(&socket.connection);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(settings.streams)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window);
    let Ok(greeted) = timeout(settings.handshake_timeout, builder.handshake(socket)).await else {
        return Ok(());
    };
    let mut h2: H2<Socket, Bytes> = greeted?;
    let mut alive = KeepAlive::new(&mut h2, settings.keep_alive);
    poll_fn(|cx| {
        loop {
            match h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, answer)))) => {
                    let task = stream(
                        Rc::clone(&service),
                        request,
                        answer,
                        Rc::clone(&connection),
                        peer,
                        data.clone(),
                        settings.write_timeout,
                    );
                    tokio::task::spawn_local(task);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return alive.poll(cx),
            }
        }
    })
    .await
}

/// Asks a client that says nothing whether it is still there.
struct KeepAlive {
    ping_pong: Option<PingPong>,
    interval: Duration,
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl KeepAlive {
    fn new(h2: &mut H2<Socket, Bytes>, interval: Duration) -> Self {
        let ping_pong = (!interval.is_zero()).then(|| h2.ping_pong()).flatten();
        Self { ping_pong, interval, timer: Box::pin(sleep(interval)), asked: false }
    }

    /// Ends with the client.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let Some(ping_pong) = &mut self.ping_pong else { return Poll::Pending };
        loop {
            if self.asked {
                match ping_pong.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => self.asked = false,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return self.timer.as_mut().poll(cx).map(Ok),
                }
            } else {
                if self.timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if let Err(error) = ping_pong.send_ping(Ping::opaque()) {
                    return Poll::Ready(Err(error));
                }
                self.asked = true;
            }
            self.timer.as_mut().reset(tokio::time::Instant::now() + self.interval);
        }
    }
}

/// A request's body, as far as it has come.
struct Body(RecvStream);

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.0.poll_data(cx);
        polled.map(|data| {
            data.map(|data| {
                let chunk = data?;
                self.0.flow_control().release_capacity(chunk.len())?;
                Ok(chunk)
            })
        })
    }
}

/// One stream: its request, its handler, its response.
async fn stream<S, B>(
    service: Rc<S>,
    request: http::Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    connection: Rc<Connection>,
    peer: Option<SocketAddr>,
    data: Option<Rc<Extensions>>,
    write_timeout: Duration,
) where
    S: Serve<Response = Response<B>> + 'static,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let head_only = request.method() == Method::HEAD;
    let handling = {
        let (parts, body) = request.into_parts();
        let payload = if body.is_end_stream() {
            Payload::None
        } else {
            Payload::Stream { payload: Box::pin(Body(body)) as Pin<Box<dyn Stream<Item = _>>> }
        };
        let mut request = Request::with_payload(payload);
        let head = request.head_mut();
        head.uri = parts.uri;
        head.method = parts.method;
        head.version = parts.version;
        head.headers = parts.headers.into();
        head.peer_addr = peer;
        if let Some(data) = data {
            request.extensions_mut().insert(data);
        }
        service.serve(request, Some(connection))
    };
    let answered = {
        let mut handling = pin!(handling);
        poll_fn(|cx| {
            // Whoever does not want the answer any more is not worked for any longer.
            if answer.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            handling.as_mut().poll(cx).map(Some)
        })
        .await
    };
    let sent = match answered {
        None => return,
        Some(Ok(response)) => respond(response, answer, head_only, write_timeout).await,
        Some(Err(error)) => respond(error.into(), answer, head_only, write_timeout).await,
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "a response was not sent to its end");
    }
}

async fn respond<B: MessageBody>(
    response: Response<B>,
    mut answer: SendResponse<Bytes>,
    head_only: bool,
    write_timeout: Duration,
) -> Result<(), h2::Error> {
    let (response, body) = response.into_parts();
    let mut size = body.size();
    let head = head(response.head(), &mut size);
    let ends = size.is_eof() || head_only;
    let mut stream = answer.send_response(head, ends)?;
    if ends {
        return Ok(());
    }
    let mut left = match size {
        BodySize::Sized(bytes) => Some(bytes),
        BodySize::None | BodySize::Stream => None,
    };
    let mut body = pin!(body);
    let mut room = Room { timer: None, write_timeout };
    loop {
        let next = poll_fn(|cx| {
            if let Poll::Ready(reset) = stream.poll_reset(cx) {
                return Poll::Ready(Err(reset));
            }
            body.as_mut().poll_next(cx).map(Ok)
        });
        match next.await {
            Err(reset) => return reset.map(drop),
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                let error: Box<dyn std::error::Error> = error.into();
                tracing::error!(%error, "a response's body failed");
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            Ok(Some(Ok(mut chunk))) => {
                while !chunk.is_empty() {
                    stream.reserve_capacity(chunk.len().min(CHUNK));
                    let Some(room) = room.wait(&mut stream).await? else { return Ok(()) };
                    let piece = chunk.split_to(chunk.len().min(room));
                    left = left.map(|left| left.saturating_sub(piece.len() as u64));
                    let last = left == Some(0);
                    stream.send_data(piece, last)?;
                    if last {
                        return Ok(());
                    }
                }
            }
        }
    }
    stream.send_data(Bytes::new(), true)
}

/// Waits for a client's window to open.
struct Room {
    timer: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
}

impl Room {
    /// How much may be sent; `None` where the client has reset the stream, or has let nothing pass
    /// for so long that it is given up.
    async fn wait(&mut self, stream: &mut SendStream<Bytes>) -> Result<Option<usize>, h2::Error> {
        let mut waits = false;
        let room = poll_fn(|cx| {
            if let Poll::Ready(room) = stream.poll_capacity(cx) {
                return Poll::Ready(Some(room));
            }
            let limit = self.write_timeout;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
            if !waits {
                waits = true;
                timer.as_mut().reset(tokio::time::Instant::now() + limit);
            }
            timer.as_mut().poll(cx).map(|()| None)
        });
        if let Some(room) = room.await {
            return room.transpose();
        }
        stream.send_reset(Reason::CANCEL);
        Ok(None)
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// A response's head, without what belongs to HTTP/1 alone (RFC 9113, section 8.2.2).
fn head(head: &ResponseHead, size: &mut BodySize) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = head.status;
    *response.version_mut() = http::Version::HTTP_2;
    let mut has_length = false;
    match head.status {
        StatusCode::NO_CONTENT | StatusCode::CONTINUE | StatusCode::PROCESSING => {
            *size = BodySize::None;
        }
        StatusCode::SWITCHING_PROTOCOLS => {
            has_length = true;
            *size = BodySize::Stream;
        }
        _ => {}
    }
    let headers = response.headers_mut();
    if let BodySize::Sized(bytes) = size {
        has_length = true;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(*bytes));
    }
    let mut has_date = false;
    for (name, value) in &head.headers {
        match *name {
            header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => continue,
            header::CONTENT_LENGTH if has_length => continue,
            header::DATE => has_date = true,
            _ if *name == KEEP_ALIVE || *name == PROXY_CONNECTION => continue,
            _ => {}
        }
        headers.append(name, value.clone());
    }
    if !has_date {
        headers.insert(header::DATE, date());
    }
    response
}

thread_local! {
    /// The second that was last written, and how.
    static DATE: RefCell<(u64, HeaderValue)> =
        const { RefCell::new((0, HeaderValue::from_static(""))) };
}

/// The time, written once a second.
fn date() -> HeaderValue {
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(known, value)| {
        if *known != second || value.is_empty() {
            *known = second;
            let written = HeaderValue::from_str(&httpdate::fmt_http_date(now));
            *value = written.unwrap_or_else(|_| HeaderValue::from_static(""));
        }
        value.clone()
    })
}
