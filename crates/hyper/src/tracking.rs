//! Requests in flight: counted to the last byte of their answer, and named if they are cut.

use std::{
    cell::RefCell,
    collections::HashMap,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Method;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use prometheus::IntCounter;
use slab::Slab;
use tokio::time::Instant;
use websample_connections::{
    state::Connection,
    unsent::{Finished, Sent},
};
use websample_lifecycle::{Census, Guard, Lifecycle, Phase, Unfinished};
use websample_metrics::Metrics;

use super::{
    body::{Progress, Watch},
    connection::Served,
    patterns::{Patterns, Route, UNMATCHED},
};

/// What is counted for a request whose client left before the response began; nginx's code.
const CLIENT_CLOSED: u16 = 499;

/// As many paths, and as long ones in bytes, are kept for the next requests.
const SPARE: usize = 256;
const LONGEST_SPARE: usize = 256;

/// The requests of one worker.
pub(super) struct Tracker {
    lifecycle: Lifecycle,
    metrics: Metrics,
    table: Arc<Table>,
    routes: RefCell<Routes>,
    /// Paths of requests that have ended, for the next ones.
    spare: RefCell<Vec<String>>,
}

/// What the worker's thread keeps of its routes.
#[derive(Default)]
struct Routes {
    /// Names that responses carry; they are the application's, so nobody can choose them to
    /// collide, and the hasher may be a fast one.
    by_name: HashMap<String, Route, foldhash::fast::RandomState>,
    /// The counters that each route has needed so far: a few each.
    counters: Vec<Vec<(u16, Phase, IntCounter)>>,
}

/// What other threads may see of a worker's requests.
struct Table {
    in_flight: Mutex<Slab<Row>>,
    patterns: Arc<Patterns>,
}

struct Row {
    method: Method,
    /// A copy: what the request itself has is a part of its connection's buffer, which could not be
    /// used again as long as anybody holds that.
    path: String,
    began: Instant,
    route: Option<Route>,
    // Last, so that a count of zero means that everything else is recorded.
    guard: Guard,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Slab<Row>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the oldest, as it was seen under the lock.
struct Old {
    began: Instant,
    route: Option<Route>,
    path: String,
}

impl Census for Table {
    fn count(&self) -> usize {
        self.lock().len()
    }

    fn oldest(&self, most: usize) -> Vec<Unfinished> {
        // Under the lock no more than to look and to copy: the worker waits for it.
        let old: Vec<Old> = {
            let in_flight = self.lock();
            let mut by_age: Vec<_> = in_flight.iter().map(|(key, row)| (row.began, key)).collect();
            if by_age.len() > most {
                by_age.select_nth_unstable(most);
                by_age.truncate(most);
            }
            let copy =
                |row: &Row| Old { began: row.began, route: row.route, path: row.path.clone() };
            by_age.iter().filter_map(|(_, key)| in_flight.get(*key)).map(copy).collect()
        };
        // Before its handler has answered, a request is named by the pattern that fits its path, or by
        // the path itself.
        let mut fitting: HashMap<&str, String> = HashMap::new();
        let named = old.iter().map(|old| {
            let path = old.path.as_str();
            let what = match old.route {
                Some(route) => self.patterns.get(route),
                None => fitting
                    .entry(path)
                    .or_insert_with(|| {
                        self.patterns.fitting(path).unwrap_or_else(|| path.to_owned())
                    })
                    .clone(),
            };
            Unfinished { kind: "request", what, age_seconds: old.began.elapsed().as_secs_f64() }
        });
        named.collect()
    }
}

impl Sent for Tracker {
    fn sent(&self, request: Finished, connection: &Connection) {
        let (now, guard) = self.end(request);
        connection.end_at(now);
        drop(guard);
    }
}

impl Tracker {
    /// A tracker, registered with the lifecycle as the one who can name its requests.
    pub(super) fn new(lifecycle: Lifecycle, metrics: Metrics, patterns: Arc<Patterns>) -> Rc<Self> {
        let table = Arc::new(Table { in_flight: Mutex::default(), patterns });
        lifecycle.register_census(Arc::clone(&table) as Arc<dyn Census>);
        Rc::new(Self {
            lifecycle,
            metrics,
            table,
            routes: RefCell::default(),
            spare: RefCell::default(),
        })
    }

    /// Counts a request from now until what this returns is dropped.
    pub(super) fn begin(
        self: &Rc<Self>,
        method: &Method,
        path: &str,
        on: &Rc<Served>,
        body: Option<Arc<Watch>>,
    ) -> InFlight {
        let phase = self.lifecycle.phase();
        let guard = self.lifecycle.request(phase);
        let mut copy = self.spare.borrow_mut().pop().unwrap_or_default();
        copy.push_str(path);
        let row =
            Row { method: method.clone(), path: copy, began: Instant::now(), route: None, guard };
        let key = self.table.lock().insert(row);
        on.begin();
        let finished = Finished { key, phase, route: None, status: CLIENT_CLOSED };
        InFlight { tracker: Rc::clone(self), finished: Some(finished), body, on: Rc::clone(on) }
    }

    /// Records the end of a request, which is now. It counts as in flight until the guard is dropped.
    fn end(&self, finished: Finished) -> (Instant, Option<Guard>) {
        let now = Instant::now();
        let Finished { key, phase, route, status } = finished;
        let Some(mut row) = self.table.lock().try_remove(key) else { return (now, None) };
        let seconds = (now - row.began).as_secs_f64();
        // Which route one would have been whose client left before the answer, nobody has said.
        let declared = || {
            let is_answered = status != CLIENT_CLOSED;
            is_answered.then(|| self.table.patterns.declared(&row.path)).flatten()
        };
        let route = route.map(Route::at).or_else(declared);
        self.count(route.unwrap_or_else(|| self.route(UNMATCHED)), status, phase);
        self.metrics.duration().observe(seconds);
        tracing::info!(
            target: "websample::request",
            method = %row.method,
            path = row.path,
            status,
            phase = phase.name(),
            seconds,
            "request"
        );
        row.path.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && row.path.capacity() <= LONGEST_SPARE {
            spare.push(row.path);
        }
        (now, Some(row.guard))
    }

    fn route(&self, name: &str) -> Route {
        if let Some(route) = self.routes.borrow().by_name.get(name) {
            return *route;
        }
        let route = self.table.patterns.place(name);
        self.routes.borrow_mut().by_name.insert(name.to_owned(), route);
        route
    }

    fn count(&self, route: Route, status: u16, phase: Phase) {
        let routes = &mut self.routes.borrow_mut().counters;
        if routes.len() <= route.index() {
            routes.resize_with(route.index() + 1, Vec::new);
        }
        let counters = &mut routes[route.index()];
        let known = counters.iter().find(|(code, when, _)| *code == status && *when == phase);
        if let Some((.., counter)) = known {
            counter.inc();
            return;
        }
        let counter = self.metrics.requests(&self.table.patterns.get(route), status, phase);
        counter.inc();
        counters.push((status, phase, counter));
    }
}

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
    tracker: Rc<Tracker>,
    /// What is known of it. `None` once its connection has it.
    finished: Option<Finished>,
    /// What becomes of the request's body.
    body: Option<Arc<Watch>>,
    on: Rc<Served>,
}

impl InFlight {
    pub(super) fn served(&self) -> &Rc<Served> {
        &self.on
    }

    /// The response's head is known; a route that it names takes the place of a declared one.
    pub(super) fn answered(&mut self, name: Option<&str>, status: u16) {
        let Some(finished) = &mut self.finished else { return };
        finished.status = status;
        if let Some(name) = name {
            finished.route = Some(self.tracker.route(name).index());
        }
    }

    /// The response's body will take its time: the route is shown to whoever asks meanwhile.
    pub(super) fn streams(&self) {
        if let Some(Finished { key, route: Some(route), .. }) = self.finished
            && let Some(row) = self.tracker.table.lock().get_mut(key)
        {
            row.route = Some(Route::at(route));
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
            connection.complete(finished, &self.tracker);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(finished) = self.finished.take() else { return };
        let (now, guard) = self.tracker.end(finished);
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
