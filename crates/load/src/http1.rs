//! HTTP/1.1: a connection for each request, or a pool of kept-alive ones.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
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
        if connection.sender.ready().await.is_ok() || !self.stale_check {
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
            idle.retain(|connection| connection.sender.is_ready());
        }
        if self.open.load(Ordering::Relaxed) < self.size { None } else { idle.pop_front() }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose answer is complete.
pub(super) struct Reusable(Connection);

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    peer: SocketAddr,
    meter: Arc<Meter>,
    /// Who answered on it last.
    instance: Option<Arc<str>>,
    /// Held for its end.
    _seat: Option<Seat>,
}

/// Counts a connection of the pool for as long as it is open.
struct Seat(Arc<AtomicUsize>);

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

async fn open(
    dialer: &Dialer,
    seat: Option<Seat>,
    known: &mut Known,
) -> Result<Connection, Failure> {
    let socket = dialer.dial_for(known).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket.io))
        .await
        .map_err(|error| Failure::broken(&error, true))?;
    // Its end is seen by the sender, or by nobody because nobody waits for it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Connection { sender, peer: socket.peer, meter: socket.meter, instance: None, _seat: seat })
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
