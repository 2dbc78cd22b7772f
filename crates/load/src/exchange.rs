//! One request and its answer: what all protocols share.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    attempt::Version,
    connect::Connect,
    failure::{Failure, Seen},
    proxied::Proxied,
    tls::{Session, chose_http2},
    wire::{Meter, Metered, Wire},
};

/// The header in which the server says its version.
const VERSION_HEADER: &str = "x-websample-version";
/// The header in which the server says its name: in a cluster, its pod's.
const INSTANCE_HEADER: &str = "x-websample-instance";
/// More names than this are not versions; the rest is shown by status.
const MAX_VERSIONS: usize = 64;
/// More pods than this do not take part in a rollout.
const MAX_INSTANCES: usize = 4096;
/// Longer values are not versions either.
const MAX_VERSION_LEN: usize = 64;
/// Nor are these names of pods: they are names in DNS.
const MAX_INSTANCE_LEN: usize = 253;

/// What is known of an exchange so far; outlives it when it is given up.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) peer: Option<SocketAddr>,
    /// There is a connection: running out of time is no longer a matter of connecting.
    pub(super) connected: bool,
    /// There is a socket, and TLS on it is being agreed on.
    pub(super) handshaking: bool,
    /// It is HTTP/2 that is spoken.
    pub(super) http2: bool,
    pub(super) seen: Seen,
    pub(super) status: Option<u16>,
    pub(super) version: Option<Version>,
    pub(super) instance: Option<Arc<str>>,
    pub(super) proxied: Option<Proxied>,
    pub(super) bytes_in: u64,
}

impl Known {
    /// Notes where the connection leads.
    pub(super) fn connected_to(&mut self, peer: SocketAddr) {
        self.connected = true;
        self.peer = Some(peer);
    }

    /// Notes the head of the answer.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap, names: &Versions) {
        self.seen.began = true;
        self.status = Some(status.as_u16());
        self.version = Some(names.of(status, headers));
        self.instance = names.instance(headers);
        self.proxied = Proxied::of(status, headers);
    }
}

/// Names of versions and of instances seen so far, so that each is stored once.
#[derive(Debug, Default)]
pub(super) struct Versions {
    versions: Names,
    instances: Names,
}

impl Versions {
    fn of(&self, status: StatusCode, headers: &HeaderMap) -> Version {
        said(headers, VERSION_HEADER, MAX_VERSION_LEN)
            .and_then(|name| self.versions.intern(name, MAX_VERSIONS))
            .map_or(Version::Status(status.as_u16()), Version::Named)
    }

    fn instance(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let name = said(headers, INSTANCE_HEADER, MAX_INSTANCE_LEN)?;
        self.instances.intern(name, MAX_INSTANCES)
    }
}

/// What a header says, where it can be a name.
fn said<'a>(headers: &'a HeaderMap, header: &str, longest: usize) -> Option<&'a str> {
    let name = headers.get(header)?.to_str().ok()?;
    (!name.is_empty() && name.len() <= longest).then_some(name)
}

#[derive(Debug, Default)]
struct Names(Mutex<Vec<Arc<str>>>);

impl Names {
    fn intern(&self, name: &str, most: usize) -> Option<Arc<str>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.iter().find(|known| ***known == *name) {
            return Some(Arc::clone(known));
        }
        if names.len() == most {
            return None;
        }
        let name: Arc<str> = name.into();
        names.push(Arc::clone(&name));
        Some(name)
    }
}

/// The request of a stream, ready to be sent any number of times.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) head: Request<()>,
    /// The same for HTTP/2, which names host and scheme otherwise.
    pub(super) http2: Request<()>,
    pub(super) body: Bytes,
}

impl Template {
    pub(super) fn request<B>(&self, body: B) -> Request<B> {
        copied(&self.head, body)
    }

    pub(super) fn request_http2(&self) -> Request<()> {
        copied(&self.http2, ())
    }
}

fn copied<B>(head: &Request<()>, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method().clone();
    *request.uri_mut() = head.uri().clone();
    *request.headers_mut() = head.headers().clone();
    request
}

/// Opens connections, each within the limit.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) connect: Arc<dyn Connect>,
    pub(super) limit: Duration,
    pub(super) tls: Option<Session>,
}

/// A connection that was just established.
pub(super) struct Dialed {
    pub(super) io: Metered,
    pub(super) meter: Arc<Meter>,
    pub(super) peer: SocketAddr,
    /// TLS chose HTTP/2.
    pub(super) http2: bool,
}

/// A socket, and until when TLS on it may be agreed on.
struct Reached {
    socket: TcpStream,
    peer: SocketAddr,
    deadline: Instant,
}

impl Dialer {
    /// Connects; a failure comes with the endpoint that had been chosen, if any.
    pub(super) async fn dial(&self) -> Result<Dialed, (Failure, Option<SocketAddr>)> {
        let reached = self.reach().await?;
        let peer = reached.peer;
        self.secure(reached).await.map_err(|failure| (failure, Some(peer)))
    }

    /// Connects, and notes where to and how far it came.
    pub(super) async fn dial_for(&self, known: &mut Known) -> Result<Dialed, Failure> {
        let reached = match self.reach().await {
            Ok(reached) => reached,
            Err((failure, peer)) => {
                known.peer = peer;
                return Err(failure);
            }
        };
        known.peer = Some(reached.peer);
        known.handshaking = self.tls.is_some();
        let dialed = self.secure(reached).await?;
        known.connected_to(dialed.peer);
        known.http2 = dialed.http2;
        Ok(dialed)
    }

    async fn reach(&self) -> Result<Reached, (Failure, Option<SocketAddr>)> {
        let deadline = Instant::now() + self.limit;
        match timeout_at(deadline, self.connect.connect()).await {
            Ok(Ok(established)) => {
                // Requests are small and answers awaited: Nagle would only delay them.
                // A peer that is gone already makes this fail; the request will tell.
                let _ = established.stream.set_nodelay(true);
                Ok(Reached { socket: established.stream, peer: established.peer, deadline })
            }
            Ok(Err(failed)) => Err((Failure::connect(&failed.error), failed.peer)),
            Err(_) => Err((Failure::connect_timeout(), None)),
        }
    }

    /// Agrees on TLS, where it is spoken, in what is left of the limit.
    async fn secure(&self, reached: Reached) -> Result<Dialed, Failure> {
        let Reached { socket, peer, deadline } = reached;
        let (wire, http2) = match &self.tls {
            None => (Wire::Plain(socket), false),
            Some(session) => {
                // In a box, so that a plain request's task is no larger for it.
                let handshake = Box::pin(session.handshake(socket));
                let stream = timeout_at(deadline, handshake)
                    .await
                    .map_err(|_| Failure::handshake_timeout())??;
                let http2 = chose_http2(&stream);
                (Wire::Tls(stream), http2)
            }
        };
        let (io, meter) = Metered::new(wire);
        Ok(Dialed { io, meter, peer, http2 })
    }
}
