//! What is sent: streams of requests, each at its own constant rate.
//!
//! # The text form
//! Streams are separated by commas; a stream is
//! `RATE PROTOCOL [METHOD] PATH [OPTION…]`:
//!
//! ```text
//! 100/s new GET /, 50/s keep-alive POST /echo body=256, 30/m websocket /ws
//! ```
//!
//! | part | is |
//! |---|---|
//! | `RATE` | `N/s` or `N/m`, decimals allowed |
//! | `PROTOCOL` | `new` (a connection a request), `keep-alive`, `http2` (prior knowledge), `websocket` (connect, send, expect the echo, close) |
//! | `METHOD` | in upper case; left out for `websocket` |
//! | `PATH` | begins with `/`; a comma in it is written `%2C` |
//! | `body=N` | a request body of N bytes; for `websocket` the text's length |
//! | `connections=N` | how many connections `keep-alive` keeps in rotation (8) or `http2` multiplexes on (2) |
//! | `expect=A-B\|C` | the statuses that count as success (`200-399`) |
//! | `timeout=10s` | the time limit of one request, instead of the run's |

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use hyper::Method;
use serde::{Serialize, Serializer};

/// More than this in one stream is a typing error rather than a load.
const MAX_RATE: f64 = 1_000_000.0;
/// The largest request body that the text form makes up.
const MAX_FILLER: usize = 64 << 20;
const MAX_CONNECTIONS: usize = 10_000;

/// How requests of a stream use connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1, a new connection for each request.
    New,
    /// HTTP/1.1 on a pool of kept-alive connections.
    KeepAlive,
    /// HTTP/2 with prior knowledge, multiplexed.
    Http2,
    /// WebSocket: connect, send a text, expect its echo, close.
    WebSocket,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::New, Self::KeepAlive, Self::Http2, Self::WebSocket];

    /// How many connections a stream of it keeps when nothing else is said.
    pub fn default_connections(self) -> usize {
        match self {
            Self::KeepAlive => 8,
            Self::Http2 => 2,
            Self::New | Self::WebSocket => 1,
        }
    }

    fn keeps_connections(self) -> bool {
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
pub struct Accepted(Vec<(u16, u16)>);

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

impl FromStr for Accepted {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let wrong = || MixError::Option {
            option: format!("expect={text}"),
            right: "statuses and ranges from 100 to 599, separated by `|`, such as 200-299|404",
        };
        let status = |part: &str| {
            part.parse().ok().filter(|code| (100..=599).contains(code)).ok_or_else(wrong)
        };
        text.split('|')
            .map(|part| {
                let (low, high) = part.split_once('-').unwrap_or((part, part));
                let (low, high) = (status(low)?, status(high)?);
                if low > high { Err(wrong()) } else { Ok((low, high)) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "|" };
            if low == high {
                write!(f, "{separator}{low}")?;
            } else {
                write!(f, "{separator}{low}-{high}")?;
            }
        }
        Ok(())
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

impl fmt::Display for StreamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::new(self.rate, self.protocol, self.method.clone(), "");
        write!(f, "{}/s {}", self.rate, self.name())?;
        if self.body.len() != plain.body.len() {
            write!(f, " body={}", self.body.len())?;
        }
        if self.connections != plain.connections {
            write!(f, " connections={}", self.connections)?;
        }
        if self.expect != plain.expect {
            write!(f, " expect={}", self.expect)?;
        }
        if let Some(timeout) = self.timeout {
            let text = humantime::format_duration(timeout).to_string().replace(' ', "");
            write!(f, " timeout={text}")?;
        }
        Ok(())
    }
}

impl FromStr for StreamSpec {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut words = text.split_whitespace();
        let mut word = |what| {
            words.next().ok_or_else(|| MixError::Missing { what, stream: text.trim().to_owned() })
        };
        let rate = parse_rate(word("the rate")?)?;
        let protocol = parse_protocol(word("the protocol")?)?;
        let method = match protocol {
            Protocol::WebSocket => Method::GET,
            _ => parse_method(word("the method")?)?,
        };
        let mut spec = Self::new(rate, protocol, method, parse_path(word("the path")?)?);
        for option in words {
            spec.set(option)?;
        }
        Ok(spec)
    }
}

impl StreamSpec {
    fn set(&mut self, option: &str) -> Result<(), MixError> {
        let wrong = |right| MixError::Option { option: option.to_owned(), right };
        let Some((name, value)) = option.split_once('=') else {
            return Err(MixError::UnknownOption(option.to_owned()));
        };
        match name {
            "body" => {
                self.body = value
                    .parse()
                    .ok()
                    .filter(|len| *len <= MAX_FILLER)
                    .map(Payload::Filler)
                    .ok_or_else(|| wrong("a number of bytes up to 67108864, such as body=256"))?;
            }
            "connections" if !self.protocol.keeps_connections() => {
                return Err(wrong("only keep-alive and http2 keep connections: leave it out"));
            }
            "connections" => {
                self.connections = value
                    .parse()
                    .ok()
                    .filter(|count| (1..=MAX_CONNECTIONS).contains(count))
                    .ok_or_else(|| wrong("a number from 1 to 10000, such as connections=8"))?;
            }
            "expect" => self.expect = value.parse()?,
            "timeout" => {
                self.timeout = humantime::parse_duration(value)
                    .ok()
                    .filter(|timeout| !timeout.is_zero())
                    .map(Some)
                    .ok_or_else(|| wrong("a time with its unit, such as timeout=10s"))?;
            }
            _ => return Err(MixError::UnknownOption(option.to_owned())),
        }
        Ok(())
    }
}

/// The streams of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix(Vec<StreamSpec>);

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
        let mut post = StreamSpec::new(50.0 * share, Protocol::KeepAlive, Method::POST, "/echo");
        post.body = Payload::Filler(256);
        Self(vec![
            get(100.0, Protocol::New, "/"),
            get(50.0, Protocol::KeepAlive, "/"),
            post,
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

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        if text.trim().is_empty() {
            return Err(MixError::Empty);
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, spec) in self.0.iter().enumerate() {
            write!(f, "{}{spec}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Serialize for Mix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a mix could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// No stream at all.
    #[error("the mix is empty: a stream is written such as `100/s new GET /`")]
    Empty,
    /// A stream ended too early.
    #[error("{what} is missing in `{stream}`: a stream is written such as `100/s new GET /`")]
    Missing {
        /// The part that was expected next.
        what: &'static str,
        /// The stream's text.
        stream: String,
    },
    /// Not a rate.
    #[error(
        "`{0}` is not a rate: write requests a second above 0 and up to 1000000, such as 100/s, or a minute, such as 30/m"
    )]
    Rate(String),
    /// Not a protocol.
    #[error("`{0}` is not a protocol: write new, keep-alive, http2 or websocket")]
    Protocol(String),
    /// Not a method.
    #[error(
        "`{0}` is not a method: write it in upper case, such as GET or POST (websocket takes none)"
    )]
    Method(String),
    /// Not a path.
    #[error("`{0}` is not a path: it begins with `/`, without spaces, such as /sleep/5")]
    Path(String),
    /// An option that does not exist.
    #[error("`{0}` is not an option: there are body=, connections=, expect= and timeout=")]
    UnknownOption(String),
    /// An option's value is wrong.
    #[error("`{option}` is wrong: {right}")]
    Option {
        /// The option as it was written.
        option: String,
        /// What would be right.
        right: &'static str,
    },
}

pub(super) fn parse_rate(text: &str) -> Result<f64, MixError> {
    let (number, seconds) = match text.rsplit_once('/') {
        Some((number, "s")) => (number, 1.0),
        Some((number, "m")) => (number, 60.0),
        _ => return Err(MixError::Rate(text.to_owned())),
    };
    let number: f64 = number.parse().map_err(|_| MixError::Rate(text.to_owned()))?;
    check_rate(number / seconds, text)
}

fn check_rate(rate: f64, text: &str) -> Result<f64, MixError> {
    if rate > 0.0 && rate <= MAX_RATE {
        return Ok(rate);
    }
    Err(MixError::Rate(text.to_owned()))
}

fn parse_protocol(text: &str) -> Result<Protocol, MixError> {
    Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.to_string() == text)
        .ok_or_else(|| MixError::Protocol(text.to_owned()))
}

fn parse_method(text: &str) -> Result<Method, MixError> {
    let wrong = || MixError::Method(text.to_owned());
    // A path where the method belongs would parse as an extension method otherwise.
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_uppercase()) || text == "CONNECT" {
        return Err(wrong());
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| wrong())
}

fn parse_path(text: &str) -> Result<&str, MixError> {
    let valid = text.starts_with('/')
        && text.parse::<hyper::Uri>().is_ok_and(|uri| uri.authority().is_none());
    if valid { Ok(text) } else { Err(MixError::Path(text.to_owned())) }
}
