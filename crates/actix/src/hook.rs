//! Who may call the preStop hook.
//!
//! The hook takes a pod out of rotation, so a request that came in from the world must not reach
//! it. The kubelet calls a pod directly; whatever came through a proxy says so in its headers.

use actix_http::{Request, StatusCode, header};

use super::token::Token;

/// The header that carries the token.
pub const TOKEN_HEADER: &str = "x-prestop-token";

/// The rules for calling the hook.
#[derive(Debug, Clone, Default)]
pub(super) struct HookGuard {
    pub(super) token: Option<Token>,
}

/// Why a call of the hook was refused.
pub(super) type Refusal = (StatusCode, &'static str);

impl HookGuard {
    /// Whether this call is allowed.
    ///
    /// # Errors
    /// The status and the text to refuse it with.
    pub(super) fn check(&self, request: &Request) -> Result<(), Refusal> {
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
}

#[cfg(test)]
mod tests {
    use actix_http::test::TestRequest;

    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    #[test]
    fn only_a_direct_call_with_the_token_is_allowed() {
        let open = HookGuard::default();
        let guarded = HookGuard { token: Some(Token::new("s3cret")) };
        let cases: [(&HookGuard, Headers, bool); 8] = [
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
            assert_eq!(guard.check(&request.finish()).is_ok(), allowed, "{guard:?} {headers:?}");
        }
    }
}
