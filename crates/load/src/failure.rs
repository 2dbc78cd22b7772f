//! What failed, and which [`Outcome`] that is.
//!
//! The clients report what they saw on the wire; the decision is made here, in one place,
//! without any I/O.

use std::{error::Error, io};

use hyper::{HeaderMap, Method};

use super::attempt::Outcome;

/// Why an exchange did not complete.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// For the report's error set: no addresses, no ports, so that equal causes are equal.
    pub(super) text: String,
}

/// The stage at which an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The connection was answered with RST.
    Refused,
    /// The connection was not established in time.
    ConnectTimeout,
    /// This machine could not open a connection.
    Local,
    /// There was a connection, and no agreement on TLS.
    Handshake(HandshakeFailure),
    /// The connection or the stream ended before the answer did.
    Broken {
        /// Whether the server is known not to have processed it: nothing was written, or an
        /// HTTP/2 server said so (REFUSED_STREAM, GOAWAY with a smaller stream id).
        unprocessed: bool,
    },
    /// The exchange ran out of time.
    Timeout,
    /// A complete answer with a status that was not expected.
    Status(u16),
}

/// How a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandshakeFailure {
    /// The connection ended within it.
    Reset,
    /// It did not end in time.
    Timeout,
    /// Client and server have nothing in common, or one of them does not follow the protocol.
    Failed,
    /// The server's certificate is not trusted.
    Untrusted,
}

/// What was known of an exchange at the moment it failed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// The connection had carried a request before.
    pub(super) reused: bool,
    /// At least one byte of the answer had arrived.
    pub(super) began: bool,
}

impl Failure {
    pub(super) fn connect(error: &io::Error) -> Self {
        Self { kind: connect_kind(error), text: format!("connect: {}", plain(error)) }
    }

    pub(super) fn connect_timeout() -> Self {
        Self { kind: FailureKind::ConnectTimeout, text: "connect: timed out".to_owned() }
    }

    pub(super) fn handshake_timeout() -> Self {
        Self {
            kind: FailureKind::Handshake(HandshakeFailure::Timeout),
            text: "tls: no handshake in time".to_owned(),
        }
    }

    pub(super) fn broken(error: &dyn Error, unprocessed: bool) -> Self {
        Self { kind: FailureKind::Broken { unprocessed }, text: chain(error) }
    }

    pub(super) fn closed(text: &str) -> Self {
        Self { kind: FailureKind::Broken { unprocessed: false }, text: text.to_owned() }
    }

    pub(super) fn timeout() -> Self {
        Self { kind: FailureKind::Timeout, text: "no complete answer in time".to_owned() }
    }

    /// The outcome's name follows from the stage and from what had been seen.
    pub(super) fn outcome(&self, seen: Seen) -> Outcome {
        match self.kind {
            FailureKind::Refused => Outcome::Refused,
            FailureKind::ConnectTimeout => Outcome::ConnectTimeout,
            FailureKind::Local => Outcome::Unsent,
            FailureKind::Handshake(failure) => match failure {
                HandshakeFailure::Reset => Outcome::TlsReset,
                HandshakeFailure::Timeout => Outcome::TlsTimeout,
                HandshakeFailure::Failed => Outcome::TlsFailed,
                HandshakeFailure::Untrusted => Outcome::TlsUntrusted,
            },
            FailureKind::Timeout => Outcome::Timeout,
            FailureKind::Status(code) => Outcome::Status(code),
            FailureKind::Broken { .. } if seen.began => Outcome::Truncated,
            FailureKind::Broken { .. } if seen.reused => Outcome::ResetReused,
            FailureKind::Broken { .. } => Outcome::Reset,
        }
    }

    /// Whether Go's net/http would have sent it again without telling anybody.
    ///
    /// A handshake is part of dialling, whose errors it hands to its caller.
    /// HTTP/1.1: only on a reused connection that ended before the first byte of the answer,
    /// and then any request of which nothing was written, else only replayable ones.
    /// HTTP/2: what the server declared unprocessed.
    pub(super) fn retryable(&self, seen: Seen, http2: bool, replayable: bool) -> bool {
        let FailureKind::Broken { unprocessed } = self.kind else { return false };
        if http2 {
            return unprocessed && !seen.began;
        }
        seen.reused && !seen.began && (unprocessed || replayable)
    }
}

/// Whether net/http considers a request safe to send twice.
pub(super) fn is_replayable(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || headers.contains_key("idempotency-key")
        || headers.contains_key("x-idempotency-key")
}

fn connect_kind(error: &io::Error) -> FailureKind {
    use io::ErrorKind::{
        AddrInUse, AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable,
        OutOfMemory, TimedOut,
    };
    // Neither has an ErrorKind of its own: no descriptor left in the process, in the system.
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    match error.kind() {
        ConnectionRefused => FailureKind::Refused,
        // A removed pod's address: nobody answers, or the last router says so.
        TimedOut | HostUnreachable | NetworkUnreachable => FailureKind::ConnectTimeout,
        AddrInUse | AddrNotAvailable | OutOfMemory => FailureKind::Local,
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => FailureKind::Local,
        // A dial error: net/http hands it to its caller.
        _ => FailureKind::Broken { unprocessed: false },
    }
}

/// An I/O error without the number that std appends.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The error with the causes that it does not name itself.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(unprocessed: bool) -> Failure {
        Failure { kind: FailureKind::Broken { unprocessed }, text: String::new() }
    }

    #[test]
    fn a_broken_connection_is_named_by_what_was_seen_of_it() {
        for (reused, began, outcome) in [
            (false, false, Outcome::Reset),
            (true, false, Outcome::ResetReused),
            (false, true, Outcome::Truncated),
            (true, true, Outcome::Truncated),
        ] {
            assert_eq!(broken(false).outcome(Seen { reused, began }), outcome);
        }
    }

    #[test]
    fn connect_errors_are_told_apart() {
        use io::ErrorKind as E;
        for (error, outcome) in [
            (io::Error::from(E::ConnectionRefused), Outcome::Refused),
            (io::Error::from(E::TimedOut), Outcome::ConnectTimeout),
            (io::Error::from(E::HostUnreachable), Outcome::ConnectTimeout),
            (io::Error::from(E::ConnectionReset), Outcome::Reset),
            (io::Error::from(E::AddrNotAvailable), Outcome::Unsent),
            (io::Error::from_raw_os_error(24), Outcome::Unsent),
        ] {
            assert_eq!(Failure::connect(&error).outcome(Seen::default()), outcome, "{error}");
        }
    }

    #[test]
    fn retries_follow_the_rule_of_net_http() {
        let seen = |reused, began| Seen { reused, began };
        for (unprocessed, seen, http2, replayable, retried) in [
            // Fresh connections are never retried.
            (true, seen(false, false), false, true, false),
            (false, seen(true, false), false, true, true),
            (false, seen(true, false), false, false, false),
            (true, seen(true, false), false, false, true),
            (false, seen(true, true), false, true, false),
            (true, seen(false, false), true, false, true),
            (false, seen(true, false), true, true, false),
        ] {
            assert_eq!(
                broken(unprocessed).retryable(seen, http2, replayable),
                retried,
                "{unprocessed} {seen:?} {http2} {replayable}"
            );
        }
        assert!(!Failure::timeout().retryable(seen(true, false), false, true));
        assert!(!Failure::handshake_timeout().retryable(seen(false, false), false, true));
    }
}
