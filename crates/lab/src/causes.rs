//! Why a request was lost: it is joined with the state of the pod it went to.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use websample_load::{Attempt, Outcome, ProxyFailure};

use super::timeline::{Exit, PodPhase, PodState, Timeline};

/// The exit code of this project's server when its deadline cut something.
pub(super) const EXIT_CUT: i32 = 3;

/// An end of a process explains failures that the client noticed this much before it was seen.
pub(super) const NOTICED: Duration = Duration::from_millis(50);

/// Why a request was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The pod had closed its listener, and the proxy still sent connections to it.
    ClosedListener,
    /// The pod's process had ended, and the proxy still sent connections to it.
    DeadPod,
    /// The pod's address no longer existed, and the proxy still sent connections to it.
    GoneAddress,
    /// The pod no longer accepted, and the proxy still sent connections to it: its listener was closed,
    /// its process had ended or its address was gone, and nobody can tell which.
    StaleEndpoint,
    /// A connection waited in the accept queue when the listener was closed.
    AcceptQueue,
    /// A kept-alive connection was closed under the request.
    IdleClosed,
    /// The process exited with the request in flight.
    CutAtExit,
    /// SIGKILL ended the process with the request in flight.
    CutAtKill,
    /// The server's own deadline cut the request.
    CutAtDeadline,
    /// The Service had no endpoint to send it to.
    NoEndpoint,
    /// The pod's process ended although nobody had asked it to.
    Crash,
    /// The pod, terminating, answered with an error.
    RefusedByLeavingPod,
    /// An answer with an unexpected status from a pod that nobody had asked to leave.
    ErrorStatus,
    /// The proxy closed a kept-alive connection of the client under the request.
    ProxyClosed,
    /// The proxy failed the request, and nothing that happened to a pod explains it.
    Proxy,
    /// Client and server did not agree on TLS, or the server's certificate is not trusted.
    Tls,
    /// No answer within the request's time limit, from a process that was alive.
    TooSlow,
    /// Nothing that happened to the pod explains it.
    Unexplained,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::ClosedListener,
        Self::DeadPod,
        Self::GoneAddress,
        Self::StaleEndpoint,
        Self::AcceptQueue,
        Self::IdleClosed,
        Self::CutAtExit,
        Self::CutAtKill,
        Self::CutAtDeadline,
        Self::NoEndpoint,
        Self::Crash,
        Self::RefusedByLeavingPod,
        Self::ErrorStatus,
        Self::ProxyClosed,
        Self::Proxy,
        Self::Tls,
        Self::TooSlow,
        Self::Unexplained,
    ];

    /// The cause's name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClosedListener => "closed_listener",
            Self::DeadPod => "dead_pod",
            Self::GoneAddress => "gone_address",
            Self::StaleEndpoint => "stale_endpoint",
            Self::AcceptQueue => "accept_queue",
            Self::IdleClosed => "idle_closed",
            Self::CutAtExit => "cut_at_exit",
            Self::CutAtKill => "cut_at_sigkill",
            Self::CutAtDeadline => "cut_at_deadline",
            Self::NoEndpoint => "no_endpoint",
            Self::Crash => "crash",
            Self::RefusedByLeavingPod => "refused_by_leaving_pod",
            Self::ErrorStatus => "error_status",
            Self::ProxyClosed => "proxy_closed",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::TooSlow => "too_slow",
            Self::Unexplained => "unexplained",
        }
    }

    /// What happened, to go with "N requests".
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ClosedListener => "were sent to a closed listener before the proxy's update",
            Self::DeadPod => "were sent to a process that had ended, before the proxy's update",
            Self::GoneAddress => "were sent to an address that no longer existed",
            Self::StaleEndpoint => {
                "were sent to a pod that no longer accepted, before the proxy's update"
            }
            Self::AcceptQueue => "waited in the accept queue when the listener was closed",
            Self::IdleClosed => "met a kept-alive connection that was closed under them",
            Self::CutAtExit => "were in flight when the process exited",
            Self::CutAtKill => "were in flight when SIGKILL came",
            Self::CutAtDeadline => "were cut at the server's deadline",
            Self::NoEndpoint => "came when the Service had no endpoint",
            Self::Crash => "met a process that ended by itself",
            Self::RefusedByLeavingPod => "were answered with an error by a pod that was leaving",
            Self::ErrorStatus => "were answered with an unexpected status",
            Self::ProxyClosed => "met a kept-alive connection that the proxy closed under them",
            Self::Proxy => "were failed by the proxy, without a fault of a pod that was seen",
            Self::Tls => "met a server that they could not agree on TLS with",
            Self::TooSlow => "got no answer in time",
            Self::Unexplained => "were lost for no reason that was seen",
        }
    }
}

impl Cause {
    /// Whether the request was lost by where it was sent to, so that it was lost at that moment,
    /// however long its client waited for an answer.
    pub(super) const fn is_misdirected(self) -> bool {
        matches!(
            self,
            Self::ClosedListener | Self::DeadPod | Self::GoneAddress | Self::StaleEndpoint
        )
    }

    /// What it comes from: several causes are one to whoever has to end them.
    pub(super) const fn root(self) -> Self {
        match self {
            Self::ClosedListener | Self::DeadPod | Self::GoneAddress | Self::AcceptQueue => {
                Self::StaleEndpoint
            }
            cause => cause,
        }
    }

    /// The sentence to go with a number of requests.
    pub fn sentence_for(self, count: u64) -> String {
        match self.sentence().strip_prefix("were ") {
            Some(rest) if count == 1 => format!("was {rest}"),
            _ => self.sentence().to_owned(),
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

// A cause that is written can be read back.
const _: () = assert!(Cause::ALL.len() == Cause::Unexplained as usize + 1, "ALL has them all");

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Self::ALL.into_iter().find(|cause| cause.name() == name);
        known.ok_or_else(|| de::Error::custom(format!("`{name}` is not a cause of a loss")))
    }
}

/// Explains an outcome with the pod as it was when the request failed.
pub fn explain(attempt: &Attempt, failed: Option<&PodState>) -> Cause {
    let Some(failed) = failed else {
        return match attempt.outcome {
            Outcome::Refused | Outcome::ConnectTimeout if attempt.peer.is_none() => {
                Cause::NoEndpoint
            }
            Outcome::Status(_) => Cause::ErrorStatus,
            Outcome::Timeout | Outcome::ConnectTimeout | Outcome::TlsTimeout => Cause::TooSlow,
            Outcome::TlsFailed | Outcome::TlsUntrusted => Cause::Tls,
            _ => Cause::Unexplained,
        };
    };
    let leaving = failed.leaving();
    match attempt.outcome {
        Outcome::ConnectTimeout | Outcome::TlsTimeout => match failed.phase {
            PodPhase::SandboxGone { .. } => Cause::GoneAddress,
            _ => Cause::TooSlow,
        },
        Outcome::Timeout => match (attempt.status, failed.phase) {
            (None, PodPhase::SandboxGone { .. }) => Cause::GoneAddress,
            _ => Cause::TooSlow,
        },
        Outcome::Status(_) if leaving => Cause::RefusedByLeavingPod,
        Outcome::Status(_) => Cause::ErrorStatus,
        Outcome::Refused => match failed.phase {
            PodPhase::Dead { .. } | PodPhase::SandboxGone { .. } if leaving => Cause::DeadPod,
            PodPhase::Dead { .. } => Cause::Crash,
            PodPhase::Terminating { .. } => Cause::ClosedListener,
            // The process that is to take its place does not listen yet.
            PodPhase::Running => match failed.restarted {
                Some(true) => Cause::DeadPod,
                Some(false) => Cause::Crash,
                None => Cause::Unexplained,
            },
            PodPhase::SandboxGone { .. } | PodPhase::Starting => Cause::Unexplained,
        },
        // A connection that nobody accepted is established all the same: within the handshake is
        // before the answer.
        Outcome::TlsReset | Outcome::Reset | Outcome::ResetReused | Outcome::Truncated => {
            broken(attempt, failed, leaving)
        }
        Outcome::TlsFailed | Outcome::TlsUntrusted => Cause::Tls,
        Outcome::Ok | Outcome::Unsent | Outcome::Abandoned => Cause::Unexplained,
    }
}

/// A connection that broke: because the process ended, or because it was closed.
fn broken(attempt: &Attempt, failed: &PodState, leaving: bool) -> Cause {
    match failed.phase {
        PodPhase::Dead { since, exit } => {
            let in_flight = attempt.sent <= since;
            match exit {
                _ if !leaving => Cause::Crash,
                // Kept from before the process ended; nobody looked before it was used.
                _ if !in_flight && attempt.reused => Cause::IdleClosed,
                _ if !in_flight => Cause::DeadPod,
                Exit::Signal(9) => Cause::CutAtKill,
                Exit::Code(EXIT_CUT) => Cause::CutAtDeadline,
                _ => Cause::CutAtExit,
            }
        }
        PodPhase::SandboxGone { .. } if attempt.outcome == Outcome::ResetReused => {
            Cause::IdleClosed
        }
        PodPhase::SandboxGone { .. } if failed.sigkill.is_some() => Cause::CutAtKill,
        PodPhase::SandboxGone { .. } => Cause::CutAtExit,
        PodPhase::Terminating { .. } if attempt.outcome == Outcome::ResetReused => {
            Cause::IdleClosed
        }
        PodPhase::Terminating { .. }
            if matches!(attempt.outcome, Outcome::Reset | Outcome::TlsReset) =>
        {
            Cause::AcceptQueue
        }
        PodPhase::Terminating { .. } => Cause::CutAtExit,
        PodPhase::Running if attempt.outcome == Outcome::ResetReused => Cause::IdleClosed,
        PodPhase::Running | PodPhase::Starting => Cause::Unexplained,
    }
}

/// Explains a lost request with what happened to its pod.
pub fn explain_with(attempt: &Attempt, timeline: &Timeline) -> (Cause, Option<PodState>) {
    let ever = |peer| timeline.pod_at(peer, Duration::MAX).is_some();
    match attempt.peer {
        Some(peer) if !ever(peer) => explain_proxied(attempt, timeline),
        _ => explain_direct(attempt, timeline),
    }
}

/// The same for a request whose connection led to no pod, but to a proxy.
fn explain_proxied(attempt: &Attempt, timeline: &Timeline) -> (Cause, Option<PodState>) {
    let Some(proxied) = attempt.proxied else {
        // No answer at all: what was behind it, nobody said.
        let cause = match attempt.outcome {
            Outcome::ResetReused => Cause::ProxyClosed,
            Outcome::Timeout | Outcome::ConnectTimeout | Outcome::TlsTimeout => Cause::TooSlow,
            Outcome::TlsFailed | Outcome::TlsUntrusted => Cause::Tls,
            _ => Cause::Proxy,
        };
        return (cause, None);
    };
    if proxied.failure == Some(ProxyFailure::NoUpstream) {
        return (Cause::NoEndpoint, None);
    }
    // As the proxy, in the client's place, saw it.
    let outcome = match proxied.failure {
        Some(ProxyFailure::Connect) => Outcome::Refused,
        Some(ProxyFailure::Aborted) => Outcome::ResetReused,
        Some(ProxyFailure::Timeout) => Outcome::Timeout,
        _ => attempt.outcome,
    };
    let reused = attempt.reused || outcome == Outcome::ResetReused;
    let seen = Attempt { peer: proxied.upstream, outcome, reused, ..attempt.clone() };
    let (cause, state) = explain_direct(&seen, timeline);
    let by_proxy = proxied.failure.is_some()
        && (state.is_none()
            || matches!(
                cause,
                Cause::Unexplained | Cause::ErrorStatus | Cause::RefusedByLeavingPod
            ));
    (if by_proxy { Cause::Proxy } else { cause }, state)
}

fn explain_direct(attempt: &Attempt, timeline: &Timeline) -> (Cause, Option<PodState>) {
    // The client may see the end of a process a moment before its parent does.
    let at = attempt.finished + NOTICED;
    let failed = attempt.peer.and_then(|peer| timeline.pod_at(peer, at));
    (explain(attempt, failed.as_ref()), failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt {
            seq: 0,
            stream: 0,
            intended: secs(10),
            sent: secs(10),
            finished: secs(11),
            outcome,
            status: None,
            peer: Some("127.1.1.1:5000".parse().expect("an address")),
            reused: outcome == Outcome::ResetReused,
            retryable: false,
            version: None,
            instance: None,
            proxied: None,
            bytes_in: 0,
            bytes_out: 0,
            error: None,
        }
    }

    fn pod(phase: PodPhase, deleted: Option<u64>) -> PodState {
        PodState {
            pod: "pod".into(),
            version: "v1".into(),
            phase,
            ready: false,
            deleted: deleted.map(secs),
            hook: None,
            sigterm: None,
            sigkill: None,
            restarted: None,
        }
    }

    #[test]
    fn every_loss_is_attributed_to_what_happened_to_its_pod() {
        let terminating = pod(PodPhase::Terminating { since: secs(9) }, Some(9));
        let dead = |since, exit| pod(PodPhase::Dead { since: secs(since), exit }, Some(9));
        let crashed = pod(PodPhase::Dead { since: secs(10), exit: Exit::Code(1) }, None);
        let gone = pod(PodPhase::SandboxGone { since: secs(10) }, Some(9));
        let running = pod(PodPhase::Running, None);
        let after_a_kill = PodState { restarted: Some(true), ..running.clone() };
        let after_a_crash = PodState { restarted: Some(false), ..running.clone() };
        let asked = PodState { sigterm: Some(secs(9)), ..crashed.clone() };
        let cases = [
            (Outcome::Refused, &terminating, Cause::ClosedListener),
            (Outcome::Refused, &dead(9, Exit::Code(0)), Cause::DeadPod),
            (Outcome::Refused, &crashed, Cause::Crash),
            (Outcome::Refused, &running, Cause::Unexplained),
            (Outcome::Refused, &after_a_kill, Cause::DeadPod),
            (Outcome::Refused, &after_a_crash, Cause::Crash),
            (Outcome::Refused, &asked, Cause::DeadPod),
            (Outcome::ConnectTimeout, &gone, Cause::GoneAddress),
            (Outcome::ConnectTimeout, &running, Cause::TooSlow),
            (Outcome::ResetReused, &terminating, Cause::IdleClosed),
            (Outcome::Reset, &terminating, Cause::AcceptQueue),
            (Outcome::Truncated, &dead(10, Exit::Signal(9)), Cause::CutAtKill),
            (Outcome::Reset, &dead(10, Exit::Code(143)), Cause::CutAtExit),
            (Outcome::Reset, &dead(10, Exit::Code(3)), Cause::CutAtDeadline),
            (Outcome::Reset, &dead(9, Exit::Code(0)), Cause::DeadPod),
            (Outcome::ResetReused, &dead(9, Exit::Code(0)), Cause::IdleClosed),
            (Outcome::Reset, &crashed, Cause::Crash),
            (Outcome::TlsReset, &terminating, Cause::AcceptQueue),
            (Outcome::TlsReset, &dead(10, Exit::Code(143)), Cause::CutAtExit),
            (Outcome::TlsTimeout, &gone, Cause::GoneAddress),
            (Outcome::TlsTimeout, &running, Cause::TooSlow),
            (Outcome::TlsUntrusted, &running, Cause::Tls),
            (Outcome::TlsFailed, &terminating, Cause::Tls),
            (Outcome::Timeout, &running, Cause::TooSlow),
            (Outcome::Timeout, &gone, Cause::GoneAddress),
            (Outcome::Status(503), &terminating, Cause::RefusedByLeavingPod),
            (Outcome::Status(500), &running, Cause::ErrorStatus),
        ];
        for (outcome, pod, expected) in cases {
            assert_eq!(explain(&attempt(outcome), Some(pod)), expected, "{outcome} {pod:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_proxy_the_pod_that_it_names_explains_its_failures() {
        use crate::timeline::What;
        use websample_load::Proxied;

        let timeline = Timeline::new(tokio::time::Instant::now());
        let address: std::net::SocketAddr = "127.1.1.2:5000".parse().expect("an address");
        let name: Arc<str> = "pod".into();
        timeline.created(&name, &"v1".into(), address);
        timeline.record(&name, What::Started);
        tokio::time::advance(secs(9)).await;
        timeline.record(&name, What::Deleted);
        let named = Some(address);
        let said = |upstream, failure| Some(Proxied { upstream, failure });
        for (outcome, proxied, expected) in [
            (Outcome::ResetReused, None, Cause::ProxyClosed),
            (Outcome::Reset, None, Cause::Proxy),
            (Outcome::Timeout, None, Cause::TooSlow),
            (Outcome::Status(503), said(None, Some(ProxyFailure::NoUpstream)), Cause::NoEndpoint),
            (Outcome::Status(502), said(named, Some(ProxyFailure::Connect)), Cause::ClosedListener),
            (Outcome::Status(502), said(named, Some(ProxyFailure::Aborted)), Cause::IdleClosed),
            (Outcome::Status(400), said(None, Some(ProxyFailure::Other)), Cause::Proxy),
            (Outcome::Status(503), said(named, None), Cause::RefusedByLeavingPod),
            (Outcome::Truncated, said(named, None), Cause::CutAtExit),
        ] {
            let lost = Attempt { proxied, ..attempt(outcome) };
            let (cause, pod) = explain_with(&lost, &timeline);
            assert_eq!(cause, expected, "{outcome} {proxied:?}");
            let has_pod = proxied.is_some_and(|proxied| proxied.upstream.is_some());
            assert_eq!(pod.is_some(), has_pod, "{outcome} {proxied:?}");
        }
    }

    #[test]
    fn a_refusal_without_a_pod_means_that_there_was_no_endpoint() {
        let refused = Attempt { peer: None, ..attempt(Outcome::Refused) };
        assert_eq!(explain(&refused, None), Cause::NoEndpoint);
    }
}
