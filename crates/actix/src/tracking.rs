//! Requests in flight: counted to the last byte of their answer, and named if they are cut.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use actix_http::{
    Method, Request,
    body::{BodySize, MessageBody},
    uri::PathAndQuery,
};
use actix_web::{HttpRequest, web::Bytes};
use pin_project_lite::pin_project;
use prometheus::IntCounter;
use slab::Slab;
use websample_lifecycle::{Census, Guard, Lifecycle, Phase, Unfinished};
use websample_metrics::Metrics;

use super::{
    connections::{Connection, Finished, Protocol, Sent},
    patterns::{Patterns, Route, UNMATCHED},
};

/// What is counted for a request whose client left before the response began; nginx's code.
const CLIENT_CLOSED: u16 = 499;

/// The requests of one worker.
pub(super) struct Tracker {
    lifecycle: Lifecycle,
    metrics: Metrics,
    table: Arc<Table>,
    routes: RefCell<Routes>,
    paths: RefCell<Paths>,
}

/// What held the paths of requests that have ended, for those that come.
///
/// To share a path with its request would allocate, once for every request.
#[derive(Default)]
struct Paths(Vec<String>);

impl Paths {
    /// How many are kept, and how long each may be.
    const MOST: usize = 64;
    const LONGEST: usize = 256;

    #[inline]
    fn take(&mut self, path: &str) -> String {
        let mut kept = self.0.pop().unwrap_or_default();
        kept.push_str(path);
        kept
    }

    #[inline]
    fn keep(&mut self, mut path: String) {
        if path.capacity() <= Self::LONGEST && self.0.len() < Self::MOST {
            path.clear();
            self.0.push(path);
        }
    }
}

/// What the worker's thread keeps of its routes.
#[derive(Default)]
struct Routes {
    /// Those asked for last, which most requests are for: to compare costs less than to hash.
    recent: [Option<(Rc<str>, Route)>; 4],
    /// The next of these to be replaced.
    oldest: usize,
    /// Patterns are the application's, so nobody can choose them to collide, and the hasher may be
    /// a fast one.
    by_pattern: HashMap<Rc<str>, Route, foldhash::fast::RandomState>,
    /// The counters that each route has needed so far: a few each.
    counters: Vec<Vec<(u16, Phase, IntCounter)>>,
}

impl Routes {
    #[inline]
    fn among_recent(&self, pattern: &str) -> Option<Route> {
        let mut recent = self.recent.iter().flatten();
        recent.find(|(known, _)| **known == *pattern).map(|(_, route)| *route)
    }
}

/// What other threads may see of a worker's requests.
struct Table {
    in_flight: Mutex<Slab<Row>>,
    patterns: Arc<Patterns>,
}

struct Row {
    method: Method,
    /// Empty where the request is for a host, as with CONNECT.
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
        // Before its handler has answered, a request is named by the pattern of an earlier one that
        // fits its path, or by the path itself.
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
        let guard = self.end(request);
        connection.end();
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
            paths: RefCell::default(),
        })
    }

    /// Counts a request from now until what this returns is dropped.
    pub(super) fn begin(
        self: &Rc<Self>,
        request: &Request,
        connection: Option<Rc<Connection>>,
    ) -> TrackedRequest {
        let phase = self.lifecycle.phase();
        let guard = self.lifecycle.request(phase);
        let began = Instant::now();
        let head = request.head();
        let path = head.uri.path_and_query().map_or("", PathAndQuery::path);
        let path = self.paths.borrow_mut().take(path);
        let row = Row { method: head.method.clone(), path, began, route: None, guard };
        let key = self.table.lock().insert(row);
        if let Some(connection) = &connection {
            connection.begin();
        }
        let finished = Finished { key, phase, route: None, status: CLIENT_CLOSED };
        TrackedRequest { tracker: Rc::clone(self), finished: Some(finished), connection }
    }

    /// Records the end of a request. It counts as in flight until the guard is dropped.
    fn end(&self, finished: Finished) -> Option<Guard> {
        let Finished { key, phase, route, status } = finished;
        let row = self.table.lock().try_remove(key)?;
        let seconds = row.began.elapsed().as_secs_f64();
        let route = route.map_or_else(|| self.route(UNMATCHED), Route::at);
        self.count(route, status, phase);
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
        self.paths.borrow_mut().keep(row.path);
        Some(row.guard)
    }

    /// The route that a request was for.
    ///
    /// actix puts a pattern together anew each time. Where nothing of the path was a parameter, the
    /// path is the pattern, and one that is known needs not be asked for.
    fn route_of(&self, request: &HttpRequest) -> Route {
        if request.match_info().is_empty()
            && let Some(route) = self.routes.borrow().among_recent(request.path())
        {
            return route;
        }
        self.route(request.match_pattern().as_deref().unwrap_or(UNMATCHED))
    }

    fn route(&self, pattern: &str) -> Route {
        let mut routes = self.routes.borrow_mut();
        let routes = &mut *routes;
        if let Some(route) = routes.among_recent(pattern) {
            return route;
        }
        let found = routes.by_pattern.get_key_value(pattern);
        let found = found.map(|(known, route)| (Rc::clone(known), *route));
        let (known, route) = found.unwrap_or_else(|| {
            let known: Rc<str> = pattern.into();
            let route = self.table.patterns.place(pattern);
            routes.by_pattern.insert(Rc::clone(&known), route);
            (known, route)
        });
        routes.recent[routes.oldest] = Some((known, route));
        routes.oldest = (routes.oldest + 1) % routes.recent.len();
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
pub(super) struct OnConnection(Rc<Connection>);

impl OnConnection {
    pub(super) fn begin(connection: Rc<Connection>) -> Self {
        connection.begin();
        Self(connection)
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A request in flight; it ends when this is dropped, however that comes about.
pub(super) struct TrackedRequest {
    tracker: Rc<Tracker>,
    /// What is known of it. `None` once its connection has it.
    finished: Option<Finished>,
    connection: Option<Rc<Connection>>,
}

impl TrackedRequest {
    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.tracker.lifecycle
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
            finished.route = Some(self.tracker.route_of(request).index());
            finished.status = status;
        }
    }

    /// The response's head is known, and it is of no route.
    pub(super) fn answered_unmatched(&mut self, status: u16) {
        if let Some(finished) = &mut self.finished {
            finished.route = Some(self.tracker.route(UNMATCHED).index());
            finished.status = status;
        }
    }

    /// The response's body will take its time: the route is shown to whoever asks meanwhile.
    pub(super) fn streams(&self) {
        if let Some(finished) = &self.finished
            && let Some(row) = self.tracker.table.lock().get_mut(finished.key)
        {
            row.route = finished.route.map(Route::at);
        }
    }

    /// The response's body is complete: what is left is for its connection to send.
    #[inline]
    fn complete(&mut self) {
        if let Some(connection) = self.connection.take_if(|connection| !connection.is_closed())
            && let Some(finished) = self.finished.take()
        {
            connection.complete(finished, &self.tracker);
        }
    }
}

impl Drop for TrackedRequest {
    fn drop(&mut self) {
        let Some(finished) = self.finished.take() else { return };
        let guard = self.tracker.end(finished);
        if let Some(connection) = self.connection.take() {
            connection.end();
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
