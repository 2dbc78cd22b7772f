//! A connection for each request, or a pool of kept-alive ones, each with one request at a time.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    connection::{Connection, open},
    exchange::{Dialer, Known, Template, Versions},
    failure::Failure,
};

/// Sends every request on a connection of its own and closes it afterwards.
pub(super) struct Fresh {
    pub(super) dialer: Dialer,
}

impl Fresh {
    pub(super) async fn exchange(
        &self,
        template: &Template,
        versions: &Versions,
        known: &mut Known,
    ) -> Result<(), Failure> {
        let mut connection = open(&self.dialer, None, known).await?;
        connection.exchange(template, versions, known).await.map(drop)
    }
}

/// Keeps a number of connections in rotation.
///
/// Up to that number a request opens a new one; from then on the one that was idle longest
/// is taken, so that every connection, and thus every pod behind a Service, keeps being used.
/// When all are busy another is opened, since the schedule waits for nobody; the surplus is
/// closed after use.
pub(super) struct Pool {
    dialer: Dialer,
    size: usize,
    stale_check: bool,
    idle: Mutex<VecDeque<Connection>>,
    open: Arc<AtomicUsize>,
}

impl Pool {
    pub(super) fn new(dialer: Dialer, size: usize, stale_check: bool) -> Self {
        Self { dialer, size, stale_check, idle: Mutex::default(), open: Arc::default() }
    }

    /// Sends on a kept connection if there is one, else on a new one. What is returned, if
    /// anything, is to be given to [`settle`](Self::settle) once the attempt is recorded.
    pub(super) async fn exchange(
        &self,
        template: &Template,
        versions: &Versions,
        known: &mut Known,
    ) -> Result<Option<Reusable>, Failure> {
        let mut connection = if let Some(connection) = self.take() {
            known.connected_to(connection.peer);
            known.http2 = connection.is_http2();
            known.seen.reused = true;
            known.instance.clone_from(&connection.instance);
            connection
        } else {
            open(&self.dialer, Some(Seat::take(&self.open)), known).await?
        };
        let keep = connection.exchange(template, versions, known).await?;
        Ok(keep.then_some(Reusable(connection)))
    }

    /// Puts a connection back once it can carry another request.
    pub(super) async fn settle(&self, Reusable(mut connection): Reusable) {
        // Fails when the server closed it meanwhile: then there is nothing to put back, for those
        // who look.
        if connection.ready().await || !self.stale_check {
            let mut idle = self.idle();
            if idle.len() < self.size {
                idle.push_back(connection);
            }
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle();
        if self.stale_check {
            // What the server closed while it was idle is no longer a connection.
            idle.retain(Connection::is_ready);
        }
        if self.open.load(Ordering::Relaxed) < self.size { None } else { idle.pop_front() }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose answer is complete.
pub(super) struct Reusable(Connection);

/// Counts a connection of the pool for as long as it is open.
pub(super) struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
