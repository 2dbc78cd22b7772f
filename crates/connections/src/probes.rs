//! What the kubelet asks: `/liveness`, `/readiness` and `/prestop`, on both listeners.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use websample_lifecycle::{Lifecycle, Phase};

use super::{
    hook::{Call, HookGuard, On},
    readiness::Readiness,
};

/// Path of the liveness probe: 200 in every phase, so that nobody restarts a draining pod.
pub const LIVENESS: &str = "/liveness";
/// Path of the readiness probe: 200 while serving, else what [`Readiness`] says.
pub const READINESS: &str = "/readiness";
/// Path of the preStop hook: answers when traffic has had its time to move away.
pub const PRESTOP: &str = "/prestop";

/// Answers probes and hooks.
#[derive(Debug, Clone)]
pub struct Probes {
    /// Of whose phase they are asked.
    pub lifecycle: Lifecycle,
    /// Answers for readiness.
    pub readiness: Readiness,
    /// Who may call the hook.
    pub guard: Arc<HookGuard>,
    /// A listener has failed for good: nobody should be sent here any more.
    pub failed: Arc<AtomicBool>,
}

/// What to answer a probe or a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This status, and the phase as JSON.
    State(u16, Phase),
    /// 405, with the methods that are allowed.
    MethodNotAllowed(&'static str),
    /// 403, and why.
    Forbidden(&'static str),
    /// 200 with the phase that [`Lifecycle::hook`] returns, once it does. The kubelet would keep
    /// the connection, idle, through the whole drain: the answer says close.
    Hook,
}

impl Probes {
    /// What to answer a request that is for one of the three paths.
    #[inline]
    pub fn reply(&self, path: &str, method: &str, call: &impl Call, on: On) -> Option<Reply> {
        // Cheap for everything else: the lengths are 9, 10 and 8.
        if !matches!(path.len(), 8..=10) {
            return None;
        }
        let is_hook = match path {
            LIVENESS | READINESS => false,
            PRESTOP => true,
            _ => return None,
        };
        // A HEAD is asked to change nothing (RFC 9110, section 9.2.1), and the kubelet sends GET.
        if method != "GET" && (is_hook || method != "HEAD") {
            return Some(Reply::MethodNotAllowed(if is_hook { "GET" } else { "GET, HEAD" }));
        }
        if is_hook {
            return Some(match self.guard.admit(call, on) {
                Ok(()) => Reply::Hook,
                Err(why) => Reply::Forbidden(why),
            });
        }
        let phase = self.lifecycle.phase();
        let ok = path == LIVENESS
            || (self.readiness.is_ready(phase, &self.lifecycle, call)
                && !self.failed.load(Ordering::Relaxed));
        Some(Reply::State(if ok { 200 } else { 503 }, phase))
    }
}

/// The phase as probes and hooks are answered with it: JSON.
pub fn state(phase: Phase) -> String {
    format!("{{\"phase\":\"{}\"}}", phase.name())
}
