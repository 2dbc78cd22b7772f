//! HTTP/2 with prior knowledge, or over TLS: streams multiplexed on a few connections.
//!
//! On `h2` itself, because its errors say what the server said: GOAWAY, REFUSED_STREAM, or
//! nothing at all.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use h2::{Reason, client};

use super::{
    exchange::{Dialer, Known, Template, Versions},
    failure::{Failure, FailureKind},
};

/// How often a request moves on from a connection that turned out to be closed before the
/// request was assigned to it. One is the rule; more means a server that closes every
/// connection at once.
const MOVES: usize = 3;

/// So many streams a client opens before the server's SETTINGS have told it another number. RFC 9113
/// (5.1.2) sets none until then, and servers refuse what is above theirs; Go's net/http assumes this
/// one, which is also the least that the RFC wants from a server (6.5.2).
const STREAMS_BEFORE_SETTINGS: usize = 100;

/// Distributes requests over its connections in turn.
pub(super) struct Multiplexed {
    dialer: Dialer,
    slots: Vec<Mutex<Option<Opening>>>,
    next: AtomicUsize,
}

/// A connection that exists or is being opened, shared by all who wait for it.
type Opening = Shared<BoxFuture<'static, Result<Arc<Connection>, Unopened>>>;

#[derive(Debug, Clone)]
struct Unopened {
    kind: FailureKind,
    text: String,
    peer: Option<SocketAddr>,
}

struct Connection {
    sender: client::SendRequest<Bytes>,
    peer: SocketAddr,
    carried: AtomicBool,
    /// Who answered on it last.
    instance: Mutex<Option<Arc<str>>>,
}

impl Multiplexed {
    pub(super) fn new(dialer: Dialer, connections: usize) -> Self {
        let slots = (0..connections.max(1)).map(|_| Mutex::default()).collect();
        Self { dialer, slots, next: AtomicUsize::new(0) }
    }

    pub(super) async fn exchange(
        &self,
        template: &Template,
        versions: &Versions,
        known: &mut Known,
    ) -> Result<(), Failure> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = &self.slots[turn % self.slots.len()];
        let (connection, sender) = self.assign(slot, known).await?;
        let answered = send(sender, template, versions, known).await;
        if known.status.is_some() {
            connection.instance().clone_from(&known.instance);
        }
        answered
    }

    /// Finds a connection that takes another stream: one that has said GOAWAY or is closed
    /// does not, and is replaced.
    async fn assign(
        &self,
        slot: &Mutex<Option<Opening>>,
        known: &mut Known,
    ) -> Result<(Arc<Connection>, client::SendRequest<Bytes>), Failure> {
        let mut moves = 0;
        known.http2 = true;
        loop {
            let opening = self.opening(slot);
            let connection = match opening.clone().await {
                Ok(connection) => connection,
                Err(unopened) => {
                    retire(slot, &opening);
                    known.peer = unopened.peer;
                    return Err(Failure { kind: unopened.kind, text: unopened.text });
                }
            };
            known.connected_to(connection.peer);
            match connection.sender.clone().ready().await {
                Ok(sender) => {
                    known.seen.reused = connection.carried.swap(true, Ordering::Relaxed);
                    known.instance.clone_from(&connection.instance());
                    return Ok((connection, sender));
                }
                Err(error) => {
                    retire(slot, &opening);
                    // Nobody used it before: the server closed it in our face.
                    let fresh = !connection.carried.load(Ordering::Relaxed);
                    if fresh || moves == MOVES {
                        return Err(Failure::broken(&error, true));
                    }
                    moves += 1;
                }
            }
        }
    }

    fn opening(&self, slot: &Mutex<Option<Opening>>) -> Opening {
        lock(slot)
            .get_or_insert_with(|| {
                let dialer = self.dialer.clone();
                async move { open(&dialer).await.map(Arc::new) }.boxed().shared()
            })
            .clone()
    }
}

impl Connection {
    fn instance(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(slot: &Mutex<Option<Opening>>) -> MutexGuard<'_, Option<Opening>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Empties the slot, unless somebody has replaced the connection already.
fn retire(slot: &Mutex<Option<Opening>>, opening: &Opening) {
    let mut current = lock(slot);
    if current.as_ref().is_some_and(|current| current.ptr_eq(opening)) {
        *current = None;
    }
}

async fn open(dialer: &Dialer) -> Result<Connection, Unopened> {
    let socket = dialer.dial().await.map_err(|(failure, peer)| Unopened {
        kind: failure.kind,
        text: failure.text,
        peer,
    })?;
    let peer = socket.peer;
    let handshake = client::Builder::new()
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        .handshake(socket.io);
    let (sender, connection) = handshake.await.map_err(|error| {
        let failure = Failure::broken(&error, true);
        Unopened { kind: failure.kind, text: failure.text, peer: Some(peer) }
    })?;
    // The streams report how it ended.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Connection { sender, peer, carried: AtomicBool::new(false), instance: Mutex::default() })
}

/// Sends one request on a connection that is ready for it, and reads the whole answer.
pub(super) async fn send(
    mut sender: client::SendRequest<Bytes>,
    template: &Template,
    versions: &Versions,
    known: &mut Known,
) -> Result<(), Failure> {
    let broken = |error: h2::Error| Failure::broken(&error, is_unprocessed(&error));
    let bodyless = template.body.is_empty();
    let (response, mut upload) =
        sender.send_request(template.request_http2(), bodyless).map_err(broken)?;
    if !bodyless {
        upload.send_data(template.body.clone(), true).map_err(broken)?;
    }
    let response = response.await.map_err(broken)?;
    known.answered(response.status(), response.headers(), versions);
    let mut body = response.into_body();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(broken)?;
        known.bytes_in += chunk.len() as u64;
        body.flow_control().release_capacity(chunk.len()).map_err(broken)?;
    }
    body.trailers().await.map_err(broken)?;
    Ok(())
}

/// Whether the server promised that it had not touched the stream (RFC 9113, 8.7).
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)))
}
