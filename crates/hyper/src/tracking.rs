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
use http::{Method, request::Parts, uri::PathAndQuery};
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

/// The requests of one worker.
pub(super) struct Tracker {
    lifecycle: Lifecycle,
    metrics: Metrics,
    table: Arc<Table>,
    routes: RefCell<Routes>,
    /// Requests whose responses are complete, until their connections have sent them.
    complete: RefCell<Slab<InFlight>>,
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
    /// `None` where the request is for a host, as with CONNECT.
    target: Option<PathAndQuery>,
    began: Instant,
    route: Option<Route>,
}

impl Row {
    fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }
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
    target: Option<PathAndQuery>,
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
                |row: &Row| Old { began: row.began, route: row.route, target: row.target.clone() };
            by_age.iter().filter_map(|(_, key)| in_flight.get(*key)).map(copy).collect()
        };
        // Before its handler has answered, a request is named by the pattern that fits its path, or by
        // the path itself.
        let mut fitting: HashMap<&str, String> = HashMap::new();
        let named = old.iter().map(|old| {
            let path = old.target.as_ref().map_or("", PathAndQuery::path);
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
    fn sent(&self, request: Finished, _: &Connection) {
        // Its end, also on its connection, looks at this table's owner, which must not be borrowed then.
        let request = self.complete.borrow_mut().try_remove(request.key);
        drop(request);
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
            complete: RefCell::default(),
        })
    }

    /// Counts a request from now until what this returns is dropped.
    pub(super) fn begin(
        self: &Rc<Self>,
        request: &Parts,
        on: &Rc<Served>,
        body: Option<Arc<Watch>>,
    ) -> InFlight {
        let phase = self.lifecycle.phase();
        let guard = self.lifecycle.request(phase);
        let row = Row {
            method: request.method.clone(),
            target: request.uri.path_and_query().cloned(),
            began: Instant::now(),
            route: None,
        };
        let key = self.table.lock().insert(row);
        InFlight {
            tracker: Rc::clone(self),
            key,
            phase,
            route: None,
            status: CLIENT_CLOSED,
            body,
            on: OnConnection::begin(on),
            guard,
        }
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
pub(super) struct OnConnection {
    on: Rc<Served>,
    ended: Option<Instant>,
}

impl OnConnection {
    pub(super) fn begin(on: &Rc<Served>) -> Self {
        on.begin();
        Self { on: Rc::clone(on), ended: None }
    }

    pub(super) fn served(&self) -> &Rc<Served> {
        &self.on
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.on.end(self.ended.unwrap_or_else(Instant::now));
    }
}

/// A request in flight; it ends when this is dropped, however that comes about.
pub(super) struct InFlight {
    tracker: Rc<Tracker>,
    key: usize,
    phase: Phase,
    route: Option<Route>,
    status: u16,
    /// What becomes of the request's body.
    body: Option<Arc<Watch>>,
    on: OnConnection,
    // Last, so that a count of zero means that everything else is recorded.
    guard: Guard,
}

impl InFlight {
    pub(super) fn served(&self) -> &Rc<Served> {
        self.on.served()
    }

    /// The response's head is known; a route that it names takes the place of a declared one.
    pub(super) fn answered(&mut self, name: Option<&str>, status: u16) {
        self.status = status;
        if let Some(name) = name {
            self.route = Some(self.tracker.route(name));
        }
    }

    /// The response's body will take its time: the route is shown to whoever asks meanwhile.
    pub(super) fn streams(&self) {
        if self.route.is_some()
            && let Some(row) = self.tracker.table.lock().get_mut(self.key)
        {
            row.route = self.route;
        }
    }

    /// Tells the connection when all of the request's body has come, where that is known only to its
    /// reader; and whether its client has sent nothing of it for too long.
    pub(super) fn note_body(&self) -> bool {
        let progress = self.body.as_ref().map(|watch| watch.progress());
        if let Some(Progress::Whole(bytes)) = progress
            && self.served().connection.is_in_body()
        {
            self.served().connection.has_body(bytes as usize, true);
        }
        progress == Some(Progress::TimedOut)
    }

    /// The response's body is complete: what is left is for its connection to send.
    fn complete(self) {
        self.note_body();
        let connection = &self.served().connection;
        if connection.is_closed() {
            return;
        }
        let (connection, tracker) = (Rc::clone(connection), Rc::clone(&self.tracker));
        let (phase, status) = (self.phase, self.status);
        let key = tracker.complete.borrow_mut().insert(self);
        connection.complete(Finished { key, phase, route: None, status }, &tracker);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(row) = self.tracker.table.lock().try_remove(self.key) else { return };
        let now = Instant::now();
        self.on.ended = Some(now);
        let seconds = (now - row.began).as_secs_f64();
        // Which route one would have been whose client left before the answer, nobody has said.
        let declared = || {
            let is_answered = self.status != CLIENT_CLOSED;
            is_answered.then(|| self.tracker.table.patterns.declared(row.path())).flatten()
        };
        let route = self.route.or_else(declared).unwrap_or_else(|| self.tracker.route(UNMATCHED));
        self.tracker.count(route, self.status, self.phase);
        self.tracker.metrics.duration().observe(seconds);
        tracing::info!(
            target: "websample::request",
            method = %row.method,
            path = row.path(),
            status = self.status,
            phase = self.phase.name(),
            seconds,
            "request"
        );
        let _ = &self.guard;
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
