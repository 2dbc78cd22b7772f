//! A connection for each request, or a pool of kept-alive ones, each with one request at a time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
        let mut connection = open(&self.dialer, known).await?;
        connection.exchange(template, versions, known).await.map(drop)
    }
}

/// Keeps a number of connections in rotation.
///
/// Each has its turn, and so has each that is still to be opened or was closed: it is opened when
/// its turn comes, and not before. So every connection, and thus every pod behind a Service, keeps
/// being used, also while others are closed as soon as they have carried one request. When all are
/// busy another is opened, since the schedule waits for nobody; it is closed after use.
pub(super) struct Pool {
    dialer: Dialer,
    stale_check: bool,
    rotation: Arc<Rotation>,
}

impl Pool {
    pub(super) fn new(dialer: Dialer, size: usize, stale_check: bool) -> Self {
        let turns = (0..size).map(|_| None).collect();
        Self { dialer, stale_check, rotation: Arc::new(Rotation(Mutex::new(turns))) }
    }

    /// Sends on a kept connection if there is one, else on a new one. What is returned, if
    /// anything, is to be given to [`settle`](Self::settle) once the attempt is recorded.
    pub(super) async fn exchange(
        &self,
        template: &Template,
        versions: &Versions,
        known: &mut Known,
    ) -> Result<Option<Reusable>, Failure> {
        let (kept, turn) = Rotation::take(&self.rotation);
        // What the server closed while it was idle is no longer a connection, for those who look.
        let kept = kept.filter(|kept| !self.stale_check || kept.is_ready());
        let mut connection = if let Some(connection) = kept {
            known.connected_to(connection.peer);
            known.http2 = connection.is_http2();
            known.seen.reused = true;
            known.instance.clone_from(&connection.instance);
            connection
        } else {
            open(&self.dialer, known).await?
        };
        let keep = connection.exchange(template, versions, known).await?;
        Ok(turn.filter(|_| keep).map(|turn| Reusable { connection, turn }))
    }

    /// Puts a connection back once it can carry another request.
    pub(super) async fn settle(&self, Reusable { mut connection, turn }: Reusable) {
        // Fails when the server closed it meanwhile: then there is nothing to put back, for those
        // who look.
        if connection.ready().await || !self.stale_check {
            turn.keep(connection);
        }
    }
}

/// Whose turn it is: idle connections, the one that was idle longest first, and places of those that
/// are to be opened.
struct Rotation(Mutex<VecDeque<Option<Connection>>>);

impl Rotation {
    /// The next connection, if it is open, and the place that it leaves; no place where all are busy.
    fn take(this: &Arc<Self>) -> (Option<Connection>, Option<Turn>) {
        match this.lock().pop_front() {
            Some(kept) => (kept, Some(Turn { of: Arc::clone(this), kept: None })),
            None => (None, None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Option<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the rotation, which comes back to its end whatever became of the connection.
struct Turn {
    of: Arc<Rotation>,
    kept: Option<Connection>,
}

impl Turn {
    fn keep(mut self, connection: Connection) {
        self.kept = Some(connection);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let kept = self.kept.take();
        self.of.lock().push_back(kept);
    }
}

/// A connection whose answer is complete.
pub(super) struct Reusable {
    connection: Connection,
    turn: Turn,
}
