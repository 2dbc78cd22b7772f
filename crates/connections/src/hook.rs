//! Who may call the preStop hook.
//!
//! The hook takes a pod out of rotation, so a request that came in from the world must not reach
//! it. What decides is the listener: the admin one is not exposed. Headers are no proof, since a proxy
//! need not add any; where one did, the call is refused all the same.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::token::Token;

/// The header that carries the token.
pub const TOKEN_HEADER: &str = "x-prestop-token";

/// What a proxy adds.
const FORWARDED: [&str; 3] = ["x-forwarded-for", "forwarded", "via"];

/// Calls are logged at most this often; those between are counted.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// The listener on which a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// One of the application's.
    App,
    /// One of the admin side's.
    Admin,
}

/// A call of the hook, as far as its guard looks at it.
pub trait Call {
    /// The first header of this name, which is in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;

    /// Who called.
    fn peer(&self) -> Option<SocketAddr>;
}

/// The rules for calling the hook.
#[derive(Debug, Default)]
pub struct HookGuard {
    token: Option<Token>,
    /// Whether the application's listener has it too.
    on_app_listener: bool,
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

impl HookGuard {
    /// Asks for a token, if there is one; `on_app_listener` says whether the application's listener
    /// has the hook too.
    pub fn new(token: Option<Token>, on_app_listener: bool) -> Self {
        Self { token, on_app_listener, logged: Mutex::default() }
    }

    /// Whether this call is allowed; logs it in either case.
    ///
    /// # Errors
    /// The text to refuse it with, as forbidden.
    pub fn admit(&self, call: &impl Call, on: On) -> Result<(), &'static str> {
        let checked = self.check(call, on);
        self.log(call, on, checked.err());
        checked
    }

    fn check(&self, call: &impl Call, on: On) -> Result<(), &'static str> {
        if on == On::App && !self.on_app_listener {
            return Err("the preStop hook is on the admin listener\n");
        }
        if FORWARDED.iter().any(|name| call.header(name).is_some()) {
            return Err("the preStop hook cannot be called through a proxy\n");
        }
        if let Some(token) = &self.token
            && !token.matches(call.header(TOKEN_HEADER).unwrap_or_default())
        {
            return Err("the preStop hook needs its token in X-Prestop-Token\n");
        }
        Ok(())
    }

    /// Says who called, and how often: a stray hook is somebody's, who has to be found.
    fn log(&self, call: &impl Call, on: On, refused: Option<&'static str>) {
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
        let peer = call.peer();
        let agent = call.header("user-agent").map(String::from_utf8_lossy);
        if let Some(why) = refused {
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
    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    struct Request(Headers);

    impl Call for Request {
        fn header(&self, name: &str) -> Option<&[u8]> {
            let header = self.0.iter().find(|(known, _)| *known == name);
            header.map(|(_, value)| value.as_bytes())
        }

        fn peer(&self) -> Option<SocketAddr> {
            None
        }
    }

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
            assert_eq!(
                guard.admit(&Request(headers), On::App).is_ok(),
                allowed,
                "{guard:?} {headers:?}"
            );
        }
    }
}
