//! What is sent: streams of requests, each at its own constant rate.
//!
//! [`syntax`](super::syntax) is how a mix is written.

use std::{fmt, time::Duration};

use bytes::Bytes;
use hyper::Method;
use serde::{Serialize, Serializer};

use super::invalid::{MAX_RATE, MixError, check_rate, parse_path};

/// How requests of a stream use connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// A new connection for each request, HTTP/1.1.
    New,
    /// A pool of kept-alive connections, HTTP/1.1.
    KeepAlive,
    /// HTTP/2, multiplexed: with prior knowledge, or the only protocol offered to TLS.
    Http2,
    /// WebSocket: connect, send a text, expect its echo, close.
    WebSocket,
}

impl Protocol {
    pub(super) const ALL: [Self; 4] = [Self::New, Self::KeepAlive, Self::Http2, Self::WebSocket];

    /// How many connections a stream of it keeps when nothing else is said.
    pub fn default_connections(self) -> usize {
        match self {
            Self::KeepAlive => 8,
            Self::Http2 => 2,
            Self::New | Self::WebSocket => 1,
        }
    }

    pub(super) fn keeps_connections(self) -> bool {
        matches!(self, Self::KeepAlive | Self::Http2)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::KeepAlive => "keep-alive",
            Self::Http2 => "http2",
            Self::WebSocket => "websocket",
        })
    }
}

/// A request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// That many bytes of filler; none at 0.
    Filler(usize),
    /// These bytes. The text form cannot say them: it shows their number.
    Given(Bytes),
}

impl Payload {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Filler(len) => *len,
            Self::Given(bytes) => bytes.len(),
        }
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes themselves. Filler is printable, so that it is a legal WebSocket text.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Filler(len) => vec![b'x'; *len].into(),
            Self::Given(bytes) => bytes.clone(),
        }
    }
}

/// The statuses that count as success: inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted(pub(super) Vec<(u16, u16)>);

impl Accepted {
    /// Whether this status is a success.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(low, high)| (low..=high).contains(&status))
    }
}

impl Default for Accepted {
    /// 200 to 399: what a kubelet's probe takes for healthy and vegeta for success.
    fn default() -> Self {
        Self(vec![(200, 399)])
    }
}

/// One stream: what is sent, how, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSpec {
    /// Requests a second; above 0.
    pub rate: f64,
    /// How connections are used.
    pub protocol: Protocol,
    /// The request's method; GET for WebSocket.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The request's body, or the WebSocket's text.
    pub body: Payload,
    /// Connections kept in rotation, where the protocol keeps any.
    pub connections: usize,
    /// Whether `keep-alive` looks for a close before it uses a connection again. A client that
    /// does still loses what it sends within a round trip of the close; on one machine there is
    /// no round trip, so that one which does not look shows what a close costs.
    pub stale_check: bool,
    /// Whether `new` and `keep-alive` let the server choose HTTP/2 instead, in the TLS handshake;
    /// each connection still carries one request at a time. Without TLS it says nothing.
    pub alpn: bool,
    /// What counts as success.
    pub expect: Accepted,
    /// The time limit of one request, where it differs from the run's.
    pub timeout: Option<Duration>,
}

impl StreamSpec {
    /// A stream with the defaults of its protocol.
    pub fn new(rate: f64, protocol: Protocol, method: Method, path: impl Into<String>) -> Self {
        Self {
            rate,
            protocol,
            method,
            path: path.into(),
            body: Payload::Filler(if protocol == Protocol::WebSocket { 16 } else { 0 }),
            connections: protocol.default_connections(),
            stale_check: true,
            alpn: false,
            expect: Accepted::default(),
            timeout: None,
        }
    }

    /// What a table calls it, such as `keep-alive POST /echo`.
    pub fn name(&self) -> String {
        match self.protocol {
            Protocol::WebSocket => format!("{} {}", self.protocol, self.path),
            _ => format!("{} {} {}", self.protocol, self.method, self.path),
        }
    }
}

/// The streams of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix(pub(super) Vec<StreamSpec>);

impl Mix {
    /// A mix of these streams; at least one.
    pub fn new(streams: Vec<StreamSpec>) -> Result<Self, MixError> {
        if streams.is_empty() {
            return Err(MixError::Empty);
        }
        for spec in &streams {
            check_rate(spec.rate, &format!("{}/s", spec.rate))?;
            parse_path(&spec.path)?;
        }
        Ok(Self(streams))
    }

    /// The mix that the measurement on a real cluster used, scaled: at 200 it is 100 GETs on
    /// new connections, 50 GETs and 50 POSTs on kept-alive ones, and on top of these 4
    /// requests that take five seconds.
    ///
    /// `rate` must be above 0; it is brought into range if it is not.
    pub fn default_at(rate: f64) -> Self {
        let share = if rate.is_finite() { rate.clamp(0.01, MAX_RATE) / 200.0 } else { 1.0 };
        let get =
            |rate, protocol, path: &str| StreamSpec::new(rate * share, protocol, Method::GET, path);
        // As the client of that measurement: few connections, and no look before sending.
        let pinned = |spec| StreamSpec { connections: 2, stale_check: false, ..spec };
        let mut post = StreamSpec::new(50.0 * share, Protocol::KeepAlive, Method::POST, "/echo");
        post.body = Payload::Filler(256);
        Self(vec![
            get(100.0, Protocol::New, "/"),
            pinned(get(50.0, Protocol::KeepAlive, "/")),
            pinned(post),
            get(4.0, Protocol::New, "/sleep/5"),
        ])
    }

    /// The streams, in the order that [`Attempt::stream`](super::Attempt) counts.
    pub fn streams(&self) -> &[StreamSpec] {
        &self.0
    }

    /// Requests a second over all streams.
    pub fn rate(&self) -> f64 {
        self.0.iter().map(|spec| spec.rate).sum()
    }
}

impl Serialize for Mix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
