//! What a proxy on the way says of a request, in headers that the lab has it add.
//!
//! To the client every answer of a proxy comes from the proxy. Two response headers say what was
//! behind it: which pod, and, where the proxy answered in its stead, why.

use std::net::SocketAddr;

use hyper::{HeaderMap, StatusCode};

/// The pod that the proxy sent the request to; after retries all of them, the last one last.
pub const UPSTREAM_HEADER: &str = "x-websample-upstream";

/// Only on answers that the proxy made up itself: why, in the proxy's own words.
pub const FAILURE_HEADER: &str = "x-websample-failure";

/// What a proxy said of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxied {
    /// The pod it was sent to (last).
    pub upstream: Option<SocketAddr>,
    /// Why the proxy answered itself, where it did.
    pub failure: Option<ProxyFailure>,
}

/// Why a proxy answered in a pod's stead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFailure {
    /// It knew no pod to send the request to.
    NoUpstream,
    /// It could not connect to the pod.
    Connect,
    /// The connection to the pod broke before there was an answer.
    Aborted,
    /// The pod did not answer in time.
    Timeout,
    /// Something else, such as a request that it found invalid.
    Other,
}

impl Proxied {
    /// What these headers say; `None` where they are not there.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (upstream, failure) = (value(UPSTREAM_HEADER), value(FAILURE_HEADER));
        if upstream.is_none() && failure.is_none() {
            return None;
        }
        // nginx lists every try, separated by commas, and by colons after internal redirects.
        let upstream = upstream.and_then(|list| list.rsplit([',', ' ']).next()?.parse().ok());
        let failure = failure.map(|words| ProxyFailure::of(words, status, upstream));
        Some(Self { upstream, failure })
    }
}

impl ProxyFailure {
    /// Understands what nginx and HAProxy say (as the lab configures them), and Envoy's response
    /// flags.
    fn of(words: &str, status: StatusCode, upstream: Option<SocketAddr>) -> Self {
        let timed_out = status == StatusCode::GATEWAY_TIMEOUT;
        let flags: Vec<&str> = words.split(',').collect();
        let any = |wanted: &[&str]| flags.iter().any(|flag| wanted.contains(flag));
        if any(&["none", "UH", "NR", "NC"]) {
            return Self::NoUpstream;
        }
        if any(&["connect", "UF"]) {
            // HAProxy says so too where there is no server to connect to.
            return if upstream.is_some() { Self::Connect } else { Self::NoUpstream };
        }
        if any(&["UT", "SI"]) || timed_out {
            return Self::Timeout;
        }
        if any(&["aborted", "UC", "UR"]) {
            return Self::Aborted;
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, upstream: &str, failure: Option<&str>) -> Option<Proxied> {
        let mut headers = HeaderMap::new();
        headers.insert(UPSTREAM_HEADER, upstream.parse().expect("a value"));
        if let Some(failure) = failure {
            headers.insert(FAILURE_HEADER, failure.parse().expect("a value"));
        }
        Proxied::of(StatusCode::from_u16(status).expect("a status"), &headers)
    }

    #[test]
    fn without_a_proxy_nothing_is_said() {
        assert_eq!(Proxied::of(StatusCode::OK, &HeaderMap::new()), None);
    }

    #[test]
    fn the_last_pod_that_was_tried_is_the_one() {
        let last = Some("127.0.0.3:5000".parse().expect("an address"));
        for list in ["127.0.0.3:5000", "127.0.0.2:5000, 127.0.0.3:5000"] {
            assert_eq!(said(201, list, None), Some(Proxied { upstream: last, failure: None }));
        }
        for nobody in ["-", ":-", "", "pods"] {
            assert_eq!(said(503, nobody, None), Some(Proxied { upstream: None, failure: None }));
        }
    }

    #[test]
    fn what_each_proxy_says_of_a_failure_is_understood() {
        let pod = "127.0.0.3:5000";
        for (status, upstream, words, expected) in [
            (503, "", "none", ProxyFailure::NoUpstream),
            (502, pod, "connect", ProxyFailure::Connect),
            (502, pod, "aborted", ProxyFailure::Aborted),
            (504, pod, "aborted", ProxyFailure::Timeout),
            (503, "-:-", "connect", ProxyFailure::NoUpstream),
            (504, pod, "other", ProxyFailure::Timeout),
            (400, "-:-", "other", ProxyFailure::Other),
            (503, "-", "UH", ProxyFailure::NoUpstream),
            (503, pod, "UF,URX", ProxyFailure::Connect),
            (503, pod, "UC", ProxyFailure::Aborted),
            (504, pod, "UT", ProxyFailure::Timeout),
        ] {
            let said = said(status, upstream, Some(words)).and_then(|said| said.failure);
            assert_eq!(said, Some(expected), "{status} {upstream} {words}");
        }
    }
}
