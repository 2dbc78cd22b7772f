//! Request bodies: what a service reads, and their time limit.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a request's body cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Its client has sent something else, or has gone.
    #[error("the body cannot be read: {0}")]
    Broken(#[from] hyper::Error),
    /// No more of it came within [`Server::body_timeout`](super::Server::body_timeout).
    #[error("no more of the body came within limits.body_timeout")]
    TimedOut,
}

/// A request's body, as the service reads it. May be read on any thread that has a Tokio runtime.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    /// Bytes of it that have come.
    came: u64,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
    watch: Option<Arc<Watch>>,
}

/// What a body's connection learns of it, whoever reads it wherever.
#[derive(Debug)]
pub(super) struct Watch(AtomicU64);

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of it may come.
    Arriving,
    /// All of it has come: so many bytes.
    Whole(u64),
    /// Its client has sent nothing for too long.
    TimedOut,
}

const ARRIVING: u64 = u64::MAX;
const TIMED_OUT: u64 = u64::MAX - 1;

impl Watch {
    pub(super) fn progress(&self) -> Progress {
        match self.0.load(Ordering::Relaxed) {
            ARRIVING => Progress::Arriving,
            TIMED_OUT => Progress::TimedOut,
            bytes => Progress::Whole(bytes),
        }
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Body {
    /// What is to be known of a body, if anything of it is still to come.
    #[inline]
    pub(super) fn watch(incoming: &Incoming) -> Option<Arc<Watch>> {
        (!incoming.is_end_stream()).then(|| Arc::new(Watch(AtomicU64::new(ARRIVING))))
    }

    #[inline]
    pub(super) fn new(incoming: Incoming, limit: Duration, watch: Option<Arc<Watch>>) -> Self {
        Self { incoming, came: 0, limit, timer: None, waits: false, watch }
    }

    fn tell(&self, value: u64) {
        if let Some(watch) = &self.watch {
            watch.set(value);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.waits = false;
            match &frame {
                Some(Ok(frame)) => {
                    this.came += frame.data_ref().map_or(0, Bytes::len) as u64;
                    if this.incoming.is_end_stream() {
                        this.tell(this.came);
                    }
                }
                Some(Err(_)) => {}
                None => this.tell(this.came),
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        // Looked at only while somebody waits: a handler may take its own time.
        let until = Instant::now() + this.limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if !this.waits {
            this.waits = true;
            timer.as_mut().reset(until);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.waits = false;
        this.tell(TIMED_OUT);
        Poll::Ready(Some(Err(BodyError::TimedOut)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
