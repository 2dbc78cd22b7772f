//! Requests in flight: what is held until the last byte of their answer has left.

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{
    Method, Request,
    body::{BodySize, MessageBody},
    uri::PathAndQuery,
};
use actix_web::{HttpRequest, web::Bytes};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use websample_connections::{
    patterns::{Route, UNMATCHED},
    requests::Requests,
};
use websample_lifecycle::Lifecycle;

use super::connections::{Connection, Finished, Protocol};

/// The requests of one worker.
pub(super) type Tracker = Requests<Method>;

/// The route that a request was for.
///
/// actix puts a pattern together anew each time. Where nothing of the path was a parameter, the path is
/// the pattern, and one that is known needs not be asked for.
fn route_of(requests: &Tracker, request: &HttpRequest) -> Route {
    if request.match_info().is_empty()
        && let Some(route) = requests.recent(request.path())
    {
        return route;
    }
    requests.route(request.match_pattern().as_deref().unwrap_or(UNMATCHED))
}

/// Marks a connection as busy until it is dropped.
pub(super) struct OnConnection(Rc<Connection>);

impl OnConnection {
    pub(super) fn begin(connection: Rc<Connection>) -> Self {
        connection.begin();
        Self(connection)
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.0.end_at(Instant::now());
    }
}

/// A request in flight; it ends when this is dropped, however that comes about.
pub(super) struct TrackedRequest {
    requests: Rc<Tracker>,
    /// What is known of it. `None` once its connection has it.
    finished: Option<Finished>,
    connection: Option<Rc<Connection>>,
}

impl TrackedRequest {
    /// Counts a request from now until this is dropped.
    pub(super) fn begin(
        requests: &Rc<Tracker>,
        request: &Request,
        connection: Option<Rc<Connection>>,
    ) -> Self {
        let head = request.head();
        let path = head.uri.path_and_query().map_or("", PathAndQuery::path);
        let finished = requests.begin(head.method.clone(), path);
        if let Some(connection) = &connection {
            connection.begin();
        }
        Self { requests: Rc::clone(requests), finished: Some(finished), connection }
    }

    pub(super) fn lifecycle(&self) -> &Lifecycle {
        self.requests.lifecycle()
    }

    /// Another protocol is spoken on the connection from here on.
    pub(super) fn set_protocol(&self, protocol: Protocol) {
        if let Some(connection) = &self.connection {
            connection.set_protocol(protocol);
        }
    }

    /// The connection that it came on, where it is known.
    pub(super) fn connection(&self) -> Option<Rc<Connection>> {
        self.connection.clone()
    }

    /// The response's head is known, which the application gave to this request.
    pub(super) fn answered(&mut self, request: &HttpRequest, status: u16) {
        if let Some(finished) = &mut self.finished {
            finished.route = Some(route_of(&self.requests, request).index());
            finished.status = status;
        }
    }

    /// The response's head is known, and it is of no route.
    pub(super) fn answered_unmatched(&mut self, status: u16) {
        if let Some(finished) = &mut self.finished {
            finished.route = Some(self.requests.route(UNMATCHED).index());
            finished.status = status;
        }
    }

    /// The response's body will take its time: the route is shown to whoever asks meanwhile.
    pub(super) fn streams(&self) {
        if let Some(finished) = &self.finished {
            self.requests.streams(finished);
        }
    }

    /// The response's body is complete: what is left is for its connection to send.
    #[inline]
    fn complete(&mut self) {
        if let Some(connection) = self.connection.take_if(|connection| !connection.is_closed())
            && let Some(finished) = self.finished.take()
        {
            connection.complete(finished, &self.requests);
        }
    }
}

impl Drop for TrackedRequest {
    fn drop(&mut self) {
        let Some(finished) = self.finished.take() else { return };
        let (now, guard) = self.requests.end(finished);
        if let Some(connection) = self.connection.take() {
            connection.end_at(now);
        }
        drop(guard);
    }
}

impl fmt::Debug for TrackedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedRequest").field("finished", &self.finished).finish_non_exhaustive()
    }
}

pin_project! {
    /// A response body that counts as in flight until its last byte is in the kernel's hands.
    ///
    /// actix drops a body when it has taken the last byte, and when its client has gone. In
    /// between its connection keeps the request until all is written.
    pub struct TrackedBody<B> {
        #[pin]
        body: B,
        in_flight: Held,
    }

    impl<B> PinnedDrop for TrackedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            if let Held::Request(in_flight) = this.project().in_flight {
                in_flight.complete();
            }
        }
    }
}

/// What a body keeps until it is dropped: a traffic request, or a probe on its connection.
pub(super) enum Held {
    Request(TrackedRequest),
    Connection(Option<OnConnection>),
}

impl Held {
    /// The connection that the request came on, where it is known.
    pub(super) fn connection(&self) -> Option<Rc<Connection>> {
        match self {
            Self::Request(in_flight) => in_flight.connection(),
            Self::Connection(on) => on.as_ref().map(|on| Rc::clone(&on.0)),
        }
    }
}

impl<B> TrackedBody<B> {
    pub(super) fn new(body: B, in_flight: Held) -> Self {
        Self { body, in_flight }
    }
}

impl<B: MessageBody> MessageBody for TrackedBody<B> {
    type Error = B::Error;

    #[inline]
    fn size(&self) -> BodySize {
        self.body.size()
    }

    #[inline]
    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.project().body.poll_next(cx)
    }
}
