//! Who may call the preStop hook.
//!
//! The hook takes a pod out of rotation, so a request that came in from the world must not reach
//! it. What decides is the listener: the admin one is not exposed. Headers are no proof, since a proxy
//! need not add any; where one did, the call is refused all the same.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_http::{Request, StatusCode, header};
use websample_connections::Token;

/// The header that carries the token.
pub const TOKEN_HEADER: &str = "x-prestop-token";

/// Calls are logged at most this often; those between are counted.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// The listener on which a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    App,
    Admin,
}

/// The rules for calling the hook.
#[derive(Debug, Default)]
pub(super) struct HookGuard {
    pub(super) token: Option<Token>,
    /// Whether the application's listener has it too.
    pub(super) on_app_listener: bool,
    /// Of calls that were allowed, and of those that were refused: many of one kind must not hide the
    /// other.
    logged: Mutex<[Logged; 2]>,
}

#[derive(Debug, Default)]
struct Logged {
    last: Option<Instant>,
    /// Calls since then that were not logged.
    since: u64,
}

/// Why a call of the hook was refused.
pub(super) type Refusal = (StatusCode, &'static str);

impl HookGuard {
    pub(super) fn new(token: Option<Token>, on_app_listener: bool) -> Self {
        Self { token, on_app_listener, logged: Mutex::default() }
    }

    /// Whether this call is allowed.
    ///
    /// # Errors
    /// The status and the text to refuse it with.
    pub(super) fn check(&self, request: &Request, on: On) -> Result<(), Refusal> {
        if on == On::App && !self.on_app_listener {
            return Err((StatusCode::FORBIDDEN, "the preStop hook is on the admin listener\n"));
        }
        let headers = &request.head().headers;
        let forwarded = [header::X_FORWARDED_FOR, header::FORWARDED, header::VIA]
            .iter()
            .any(|name| headers.contains_key(name));
        if forwarded {
            return Err((
                StatusCode::FORBIDDEN,
                "the preStop hook cannot be called through a proxy\n",
            ));
        }
        if let Some(token) = &self.token {
            let given = headers.get(TOKEN_HEADER).map_or(&[][..], |value| value.as_bytes());
            if !token.matches(given) {
                return Err((
                    StatusCode::FORBIDDEN,
                    "the preStop hook needs its token in X-Prestop-Token\n",
                ));
            }
        }
        Ok(())
    }

    /// Says who called, and how often: a stray hook is somebody's, who has to be found.
    pub(super) fn log(&self, request: &Request, on: On, refused: Option<Refusal>) {
        let now = Instant::now();
        let mut both = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let logged = &mut both[usize::from(refused.is_some())];
        if logged.last.is_some_and(|last| now - last < LOG_EVERY) {
            logged.since += 1;
            return;
        }
        let unlogged = std::mem::take(&mut logged.since);
        logged.last = Some(now);
        drop(both);
        let peer = request.peer_addr();
        let agent = request.head().headers.get(header::USER_AGENT);
        if let Some((_, why)) = refused {
            let why = why.trim();
            let text = "refused a call of the preStop hook";
            tracing::warn!(?peer, listener = ?on, ?agent, unlogged, why, "{text}");
        } else {
            tracing::info!(?peer, listener = ?on, ?agent, unlogged, "the preStop hook was called");
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_http::test::TestRequest;

    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    #[test]
    fn only_a_direct_call_with_the_token_is_allowed() {
        let open = HookGuard::new(None, true);
        let guarded = HookGuard::new(Some(Token::new("s3cret")), true);
        let admin_only = HookGuard::default();
        let cases: [(&HookGuard, Headers, bool); 9] = [
            (&admin_only, &[], false),
            (&open, &[], true),
            (&open, &[("x-forwarded-for", "1.2.3.4")], false),
            (&open, &[("forwarded", "for=1.2.3.4")], false),
            (&open, &[("via", "1.1 proxy")], false),
            (&guarded, &[], false),
            (&guarded, &[("x-prestop-token", "s3cre")], false),
            (&guarded, &[("x-prestop-token", "s3cret")], true),
            (&guarded, &[("x-prestop-token", "s3cret"), ("via", "1.1 proxy")], false),
        ];
        for (guard, headers, allowed) in cases {
            let mut request = TestRequest::default();
            for header in headers {
                request.insert_header(*header);
            }
            assert_eq!(
                guard.check(&request.finish(), On::App).is_ok(),
                allowed,
                "{guard:?} {headers:?}"
            );
        }
    }
}
