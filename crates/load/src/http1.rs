//! HTTP/1.1: a connection for each request, or a pool of kept-alive ones.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;

use super::{
    exchange::{Dialer, Known, Template, Versions},
    failure::Failure,
    wire::Meter,
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
        let kept = kept.filter(|kept| !self.stale_check || kept.sender.is_ready());
        let mut connection = if let Some(connection) = kept {
            known.connected_to(connection.peer);
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
        if connection.sender.ready().await.is_ok() || !self.stale_check {
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

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    peer: SocketAddr,
    meter: Arc<Meter>,
    /// Who answered on it last.
    instance: Option<Arc<str>>,
}

async fn open(dialer: &Dialer, known: &mut Known) -> Result<Connection, Failure> {
    let socket = dialer.dial_for(known).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket.io))
        .await
        .map_err(|error| Failure::broken(&error, true))?;
    // Its end is seen by the sender, or by nobody because nobody waits for it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Connection { sender, peer: socket.peer, meter: socket.meter, instance: None })
}

impl Connection {
    /// Sends one request and reads the whole answer; true if another may follow.
    async fn exchange(
        &mut self,
        template: &Template,
        versions: &Versions,
        known: &mut Known,
    ) -> Result<bool, Failure> {
        let (read, written) = (self.meter.read(), self.meter.written());
        let request = template.request(Full::new(template.body.clone()));
        let response = match self.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => {
                known.seen.began = self.meter.read() > read;
                return Err(Failure::broken(&error, self.meter.written() == written));
            }
        };
        known.answered(response.status(), response.headers(), versions);
        self.instance.clone_from(&known.instance);
        let closes = response
            .headers()
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("close"));
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::broken(&error, false))?;
            known.bytes_in += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Ok(!closes)
    }
}
