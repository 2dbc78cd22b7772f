//! One request and its answer: what all protocols share.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use tokio::time::timeout;

use super::{
    attempt::Version,
    connect::Connect,
    failure::{Failure, Seen},
    proxied::Proxied,
    wire::{Meter, Metered},
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
    pub(super) body: Bytes,
}

impl Template {
    pub(super) fn request<B>(&self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method().clone();
        *request.uri_mut() = self.head.uri().clone();
        *request.headers_mut() = self.head.headers().clone();
        request
    }
}

/// Opens connections, each within the limit.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) connect: Arc<dyn Connect>,
    pub(super) limit: Duration,
}

/// A connection that was just established.
pub(super) struct Dialed {
    pub(super) io: Metered,
    pub(super) meter: Arc<Meter>,
    pub(super) peer: SocketAddr,
}

impl Dialer {
    /// Connects; a failure comes with the endpoint that had been chosen, if any.
    pub(super) async fn dial(&self) -> Result<Dialed, (Failure, Option<SocketAddr>)> {
        match timeout(self.limit, self.connect.connect()).await {
            Ok(Ok(established)) => {
                // Requests are small and answers awaited: Nagle would only delay them.
                // A peer that is gone already makes this fail; the request will tell.
                let _ = established.stream.set_nodelay(true);
                let (io, meter) = Metered::new(established.stream);
                Ok(Dialed { io, meter, peer: established.peer })
            }
            Ok(Err(failed)) => Err((Failure::connect(&failed.error), failed.peer)),
            Err(_) => Err((Failure::connect_timeout(), None)),
        }
    }

    /// Connects, and notes where to.
    pub(super) async fn dial_for(&self, known: &mut Known) -> Result<Dialed, Failure> {
        match self.dial().await {
            Ok(dialed) => {
                known.connected_to(dialed.peer);
                Ok(dialed)
            }
            Err((failure, peer)) => {
                known.peer = peer;
                Err(failure)
            }
        }
    }
}
