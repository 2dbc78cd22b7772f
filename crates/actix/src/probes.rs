//! What the kubelet asks: `/liveness`, `/readiness` and `/prestop`, on both listeners.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_http::{
    ConnectionType, Method, Request, Response, StatusCode,
    header::{self, HeaderValue},
};
use actix_web::body::BoxBody;
use websample_lifecycle::{Lifecycle, Phase};

use super::hook::{HookGuard, On};

/// Path of the liveness probe: 200 in every phase, so that nobody restarts a draining pod.
pub const LIVENESS: &str = "/liveness";
/// Path of the readiness probe: 200 while serving, else 503.
pub const READINESS: &str = "/readiness";
/// Path of the preStop hook: answers when traffic has had its time to move away.
pub const PRESTOP: &str = "/prestop";

/// What readiness answers once a termination has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDrain {
    /// 503.
    #[default]
    Fail,
    /// 200 still: for a Service that falls back to terminating pods when no other is left.
    Keep,
}

/// Answers probes and hooks.
#[derive(Debug, Clone)]
pub(super) struct Probes {
    pub(super) lifecycle: Lifecycle,
    pub(super) on_drain: OnDrain,
    pub(super) guard: Arc<HookGuard>,
    /// A listener has failed for good: nobody should be sent here any more.
    pub(super) failed: Arc<AtomicBool>,
}

/// An answer, at once or at the end of the lame duck.
pub(super) enum Answer {
    Now(Response<BoxBody>),
    Later(Pin<Box<dyn Future<Output = Response<BoxBody>>>>),
}

impl Probes {
    /// Answers a request that is for one of the three paths.
    #[inline]
    pub(super) fn answer(&self, request: &Request, on: On) -> Option<Answer> {
        let path = request.path();
        // Cheap for everything else: the lengths are 9, 10 and 8.
        if !matches!(path.len(), 8..=10) {
            return None;
        }
        let is_hook = match path {
            LIVENESS | READINESS => false,
            PRESTOP => true,
            _ => return None,
        };
        let method = request.method();
        // A HEAD is asked to change nothing (RFC 9110, section 9.2.1), and the kubelet sends GET.
        let allowed = if is_hook { "GET" } else { "GET, HEAD" };
        let answer = if method != Method::GET && (is_hook || method != Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            Answer::Now(refusal)
        } else if is_hook {
            self.hook(request, on)
        } else {
            let phase = self.lifecycle.phase();
            let ok = path == LIVENESS || self.is_ready(phase);
            let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Answer::Now(state(status, phase))
        };
        Some(answer)
    }

    fn is_ready(&self, phase: Phase) -> bool {
        if self.failed.load(Ordering::Relaxed) {
            return false;
        }
        phase.is_ready() || (phase == Phase::LameDuck && self.on_drain == OnDrain::Keep)
    }

    fn hook(&self, request: &Request, on: On) -> Answer {
        let checked = self.guard.check(request, on);
        self.guard.log(request, on, checked.err());
        if let Err((status, why)) = checked {
            return Answer::Now(text(status, why));
        }
        let lifecycle = self.lifecycle.clone();
        Answer::Later(Box::pin(async move {
            let phase = lifecycle.hook().await;
            let mut response = state(StatusCode::OK, phase);
            // The kubelet would keep the connection, idle, through the whole drain.
            response.head_mut().set_connection_type(ConnectionType::Close);
            response
        }))
    }
}

fn state(status: StatusCode, phase: Phase) -> Response<BoxBody> {
    let body = serde_json::json!({ "phase": phase }).to_string();
    json(status, body)
}

pub(super) fn json(status: StatusCode, body: String) -> Response<BoxBody> {
    let mut response = Response::with_body(status, BoxBody::new(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Response<BoxBody> {
    let mut response = Response::with_body(status, BoxBody::new(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
