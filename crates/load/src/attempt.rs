//! What became of one request.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::proxied::Proxied;

/// How one request ended, as a client that never retries saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The whole answer arrived, with an expected status.
    Ok,
    /// Nobody listened: the connection was answered with RST.
    Refused,
    /// The connection was not established in time: packets to a removed address vanish.
    ConnectTimeout,
    /// The connection was closed or reset during the TLS handshake.
    TlsReset,
    /// The TLS handshake did not end in time.
    TlsTimeout,
    /// Client and server did not agree on TLS: no protocol in common, or no TLS at all.
    TlsFailed,
    /// The server's certificate is not trusted.
    TlsUntrusted,
    /// A fresh connection was closed or reset before the answer began.
    Reset,
    /// A kept-alive connection was closed or reset before the first byte of the answer.
    ResetReused,
    /// The answer began and did not end.
    Truncated,
    /// No complete answer within the request's time limit.
    Timeout,
    /// A complete answer with an unexpected status.
    Status(u16),
    /// It never left the generator: too many requests were in flight, or this machine had
    /// no file descriptor or port left. Says nothing about the server.
    Unsent,
    /// The run was given up while its answer was still outstanding.
    Abandoned,
}

impl Outcome {
    /// Whether a user would have noticed: everything but success and what the generator
    /// itself did not send or did not wait for.
    pub fn is_lost(self) -> bool {
        !matches!(self, Self::Ok | Self::Unsent | Self::Abandoned)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::TlsReset => "tls_reset",
            Self::TlsTimeout => "tls_timeout",
            Self::TlsFailed => "tls_failed",
            Self::TlsUntrusted => "tls_untrusted",
            Self::Reset => "reset",
            Self::ResetReused => "reset_reused",
            Self::Truncated => "truncated",
            Self::Timeout => "timeout",
            Self::Status(code) => return f.pad(&format!("status_{code:03}")),
            Self::Unsent => "unsent",
            Self::Abandoned => "abandoned",
        })
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A name that no [`Outcome`] has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an outcome, such as ok, refused, reset or status_503")]
pub struct UnknownOutcome(String);

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(name: &str) -> Result<Self, UnknownOutcome> {
        const NAMED: [Outcome; 13] = [
            Outcome::Ok,
            Outcome::Refused,
            Outcome::ConnectTimeout,
            Outcome::TlsReset,
            Outcome::TlsTimeout,
            Outcome::TlsFailed,
            Outcome::TlsUntrusted,
            Outcome::Reset,
            Outcome::ResetReused,
            Outcome::Truncated,
            Outcome::Timeout,
            Outcome::Unsent,
            Outcome::Abandoned,
        ];
        let unknown = || UnknownOutcome(name.to_owned());
        match name.strip_prefix("status_") {
            Some(code) => code.parse().map(Self::Status).map_err(|_| unknown()),
            None => NAMED.into_iter().find(|o| o.to_string() == name).ok_or_else(unknown),
        }
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Which version of the server answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// What the answer's `x-websample-version` header said.
    Named(Arc<str>),
    /// The status, where there is no such header: the original's v1 answers 201, v2 202.
    Status(u16),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.pad(name),
            Self::Status(code) => f.pad(&code.to_string()),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.parse().map_or_else(|_| Self::Named(text.into()), Self::Status))
    }
}

/// One request: when it was due, when it was sent, to whom, and how it ended.
///
/// Times are measured from the start of the run. Every request of the schedule ends in
/// exactly one attempt, also the ones that could not be sent.
///
/// Written out, its times are seconds, and what is not known or nothing is left out; what a proxy
/// said is not written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number in the run, over all streams, in the order of the schedule.
    pub seq: u64,
    /// Index of the stream in the mix.
    pub stream: usize,
    /// When the open-loop schedule wanted it sent; latency counts from here.
    #[serde(with = "seconds")]
    pub intended: Duration,
    /// When it was really sent (connecting included): the moment work on it began.
    #[serde(with = "seconds")]
    pub sent: Duration,
    /// When its last byte arrived or it was given up.
    #[serde(with = "seconds")]
    pub finished: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The status, when a response head arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The pod that the connection led to, when one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// Whether the connection had carried a request before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reused: bool,
    /// Whether a client that retries by Go's net/http rule would have sent it again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retryable: bool,
    /// Who answered, when a response head arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The server that answered, by its own word (`x-websample-instance`); where none did, the one
    /// that answered before on the same connection. Without a proxy in between it is the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<str>>,
    /// What a proxy on the way said of it, where one did.
    #[serde(skip)]
    pub proxied: Option<Proxied>,
    /// Bytes of the response body that arrived.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_in: u64,
    /// Bytes of the request body.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_out: u64,
    /// What went wrong, in words, when something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
}

/// What a line would only be longer by.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Durations as seconds, to the microsecond.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e6)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Attempt {
    /// Time from the intended send to the end: what a user waits, stalls included.
    pub fn latency(&self) -> Duration {
        self.finished.saturating_sub(self.intended)
    }

    /// The status of an answer that arrived in whole.
    pub fn complete_status(&self) -> Option<u16> {
        let complete = matches!(self.outcome, Outcome::Ok | Outcome::Status(_));
        self.status.filter(|_| complete)
    }

    /// How late the generator was.
    pub fn send_delay(&self) -> Duration {
        self.sent.saturating_sub(self.intended)
    }
}
