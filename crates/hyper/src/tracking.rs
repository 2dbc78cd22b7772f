//! Requests in flight: what is held until the last byte of their answer has left.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Method;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use websample_connections::{requests::Requests, unsent::Finished};

use super::{
    body::{Progress, Watch},
    connection::Served,
};

/// The requests of one worker.
pub(super) type Tracker = Requests<Method>;

/// Marks a connection as busy until it is dropped.
pub(super) struct OnConnection(Rc<Served>);

impl OnConnection {
    pub(super) fn begin(on: &Rc<Served>) -> Self {
        on.begin();
        Self(Rc::clone(on))
    }

    pub(super) fn served(&self) -> &Rc<Served> {
        &self.0
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.0.connection.end_at(Instant::now());
    }
}

/// A request in flight; it ends when this is dropped, however that comes about.
pub(super) struct InFlight {
    requests: Rc<Tracker>,
    /// What is known of it. `None` once its connection has it.
    finished: Option<Finished>,
    /// What becomes of the request's body.
    body: Option<Arc<Watch>>,
    on: Rc<Served>,
}

impl InFlight {
    /// Counts a request from now until this is dropped.
    pub(super) fn begin(
        requests: &Rc<Tracker>,
        method: &Method,
        path: &str,
        on: &Rc<Served>,
        body: Option<Arc<Watch>>,
    ) -> Self {
        let finished = requests.begin(method.clone(), path);
        on.begin();
        Self { requests: Rc::clone(requests), finished: Some(finished), body, on: Rc::clone(on) }
    }

    pub(super) fn served(&self) -> &Rc<Served> {
        &self.on
    }

    /// The response's head is known; a route that it names takes the place of a declared one.
    pub(super) fn answered(&mut self, name: Option<&str>, status: u16) {
        let Some(finished) = &mut self.finished else { return };
        finished.status = status;
        if let Some(name) = name {
            finished.route = Some(self.requests.route(name).index());
        }
    }

    /// The response's body will take its time: the route is shown to whoever asks meanwhile.
    pub(super) fn streams(&self) {
        if let Some(finished) = &self.finished {
            self.requests.streams(finished);
        }
    }

    /// Tells the connection when all of the request's body has come, where that is known only to its
    /// reader; and whether its client has sent nothing of it for too long.
    #[inline]
    pub(super) fn note_body(&self) -> bool {
        let Some(body) = &self.body else { return false };
        let progress = body.progress();
        if let Progress::Whole(bytes) = progress
            && self.on.connection.is_in_body()
        {
            self.on.connection.has_body(bytes as usize, true);
        }
        progress == Progress::TimedOut
    }

    /// The response's body is complete: what is left is for its connection to send.
    fn complete(mut self) {
        self.note_body();
        let connection = &self.on.connection;
        if !connection.is_closed()
            && let Some(finished) = self.finished.take()
        {
            connection.complete(finished, &self.requests);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(finished) = self.finished.take() else { return };
        let (now, guard) = self.requests.end(finished);
        self.on.connection.end_at(now);
        drop(guard);
    }
}

/// What a response's body keeps until it is dropped: a traffic request, or a probe on its connection.
pub(super) enum Held {
    Request(InFlight),
    Connection(#[expect(dead_code, reason = "held for its drop")] OnConnection),
    /// The request is its upgraded connection's.
    Nothing,
}

pin_project! {
    /// A response body that counts as in flight until its last byte is in the kernel's hands.
    ///
    /// hyper drops a body when it has taken the last byte, and when its client has gone. In
    /// between its connection keeps the request until all is written.
    pub(super) struct TrackedBody<B> {
        #[pin]
        body: B,
        held: Held,
    }

    impl<B> PinnedDrop for TrackedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let held = std::mem::replace(this.project().held, Held::Nothing);
            if let Held::Request(in_flight) = held {
                in_flight.complete();
            }
        }
    }
}

impl<B> TrackedBody<B> {
    pub(super) fn new(body: B, held: Held) -> Self {
        Self { body, held }
    }
}

impl<B: HttpBody<Data = Bytes>> HttpBody for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
