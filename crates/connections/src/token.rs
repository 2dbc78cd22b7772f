//! The hook's token.

use std::fmt;

/// A secret that does not show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Keeps a secret.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// Whether this is the token, in a time that does not tell how much of it is right.
    pub fn matches(&self, given: &[u8]) -> bool {
        let token = self.0.as_bytes();
        let differences = token.iter().zip(given).fold(0, |acc, (a, b)| acc | (a ^ b));
        token.len() == given.len() && std::hint::black_box(differences) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}
