//! The requests of one worker: counted to the last byte of their answer, and named if they are cut.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::{self, Display},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::IntCounter;
use slab::Slab;
use tokio::time::Instant;
use websample_lifecycle::{Census, Guard, Lifecycle, Phase, Unfinished};
use websample_metrics::Metrics;

use super::{
    patterns::{Patterns, Route, UNMATCHED},
    state::Connection,
    unsent::{Finished, Sent},
};

/// What is counted for a request whose client left before the response began; nginx's code.
const CLIENT_CLOSED: u16 = 499;

/// As many paths, and as long ones in bytes, are kept for the next requests.
const SPARE: usize = 256;
const LONGEST_SPARE: usize = 256;

/// The requests of one worker, whose methods are the framework's.
pub struct Requests<M> {
    lifecycle: Lifecycle,
    metrics: Metrics,
    table: Arc<Table<M>>,
    names: RefCell<Names>,
    /// Paths of requests that have ended, for the next ones: to share a path with its request would
    /// allocate, once for every request.
    spare: RefCell<Vec<String>>,
}

/// What the worker's thread keeps of its routes.
#[derive(Default)]
struct Names {
    /// Those asked for last, which most requests are for: to compare costs less than to hash.
    recent: [Option<(Rc<str>, Route)>; 4],
    /// The next of these to be replaced.
    oldest: usize,
    /// Names are the application's, so nobody can choose them to collide, and the hasher may be a fast
    /// one.
    all: HashMap<Rc<str>, Route, foldhash::fast::RandomState>,
    /// The counters that each route has needed so far: a few each.
    counters: Vec<Vec<(u16, Phase, IntCounter)>>,
}

impl Names {
    #[inline]
    fn recent(&self, name: &str) -> Option<Route> {
        let mut recent = self.recent.iter().flatten();
        recent.find(|(known, _)| **known == *name).map(|(_, route)| *route)
    }
}

/// What other threads may see of a worker's requests.
struct Table<M> {
    in_flight: Mutex<Slab<Row<M>>>,
    patterns: Arc<Patterns>,
}

struct Row<M> {
    method: M,
    /// A copy: what the request itself has may be a part of its connection's buffer, which could not be
    /// used again as long as anybody holds that.
    path: String,
    began: Instant,
    route: Option<Route>,
    // Last, so that a count of zero means that everything else is recorded.
    guard: Guard,
}

impl<M> Table<M> {
    fn lock(&self) -> MutexGuard<'_, Slab<Row<M>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the oldest, as it was seen under the lock.
struct Old {
    began: Instant,
    route: Option<Route>,
    path: String,
}

impl<M: Send> Census for Table<M> {
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
                |row: &Row<M>| Old { began: row.began, route: row.route, path: row.path.clone() };
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

impl<M: Display> Sent for Requests<M> {
    fn sent(&self, request: Finished, connection: &Connection) {
        let (now, guard) = self.end(request);
        connection.end_at(now);
        drop(guard);
    }
}

impl<M: Send + 'static> Requests<M> {
    /// None yet; the lifecycle is told who can name them.
    pub fn new(lifecycle: Lifecycle, metrics: Metrics, patterns: Arc<Patterns>) -> Rc<Self> {
        let table = Arc::new(Table { in_flight: Mutex::default(), patterns });
        lifecycle.register_census(Arc::clone(&table) as Arc<dyn Census>);
        let (names, spare) = (RefCell::default(), RefCell::default());
        Rc::new(Self { lifecycle, metrics, table, names, spare })
    }
}

impl<M> Requests<M> {
    /// Whose life they are counted in.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Counts a request from now until it is [ended](Self::end). The path is empty where it is for a
    /// host, as with CONNECT.
    #[inline]
    pub fn begin(&self, method: M, path: &str) -> Finished {
        let phase = self.lifecycle.phase();
        let guard = self.lifecycle.request(phase);
        let mut copy = self.spare.borrow_mut().pop().unwrap_or_default();
        copy.push_str(path);
        let row = Row { method, path: copy, began: Instant::now(), route: None, guard };
        let key = self.table.lock().insert(row);
        Finished { key, phase, route: None, status: CLIENT_CLOSED }
    }

    /// From here on the route of a request is shown to whoever asks: its answer takes its time.
    pub fn streams(&self, request: &Finished) {
        if let Some(route) = request.route
            && let Some(row) = self.table.lock().get_mut(request.key)
        {
            row.route = Some(Route::at(route));
        }
    }

    /// The route of this name, if it was asked for lately.
    #[inline]
    pub fn recent(&self, name: &str) -> Option<Route> {
        self.names.borrow().recent(name)
    }

    /// The route of this name.
    pub fn route(&self, name: &str) -> Route {
        let mut names = self.names.borrow_mut();
        let names = &mut *names;
        if let Some(route) = names.recent(name) {
            return route;
        }
        let found = names.all.get_key_value(name);
        let found = found.map(|(known, route)| (Rc::clone(known), *route));
        let (known, route) = found.unwrap_or_else(|| {
            let known: Rc<str> = name.into();
            let route = self.table.patterns.place(name);
            names.all.insert(Rc::clone(&known), route);
            (known, route)
        });
        names.recent[names.oldest] = Some((known, route));
        names.oldest = (names.oldest + 1) % names.recent.len();
        route
    }

    fn count(&self, route: Route, status: u16, phase: Phase) {
        let counters = &mut self.names.borrow_mut().counters;
        if counters.len() <= route.index() {
            counters.resize_with(route.index() + 1, Vec::new);
        }
        let counters = &mut counters[route.index()];
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

impl<M: Display> Requests<M> {
    /// Records the end of a request, which is now. It counts as in flight until the guard is dropped.
    pub fn end(&self, request: Finished) -> (Instant, Option<Guard>) {
        let now = Instant::now();
        let Finished { key, phase, route, status } = request;
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
}

impl<M> fmt::Debug for Requests<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}
