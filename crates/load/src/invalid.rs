//! What a mix must not be, and the parts of its text that are checked by themselves.

/// More than this in one stream is a typing error rather than a load.
pub(super) const MAX_RATE: f64 = 1_000_000.0;

/// Why a mix could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// No stream at all.
    #[error("the mix is empty: a stream is written such as `100/s new GET /`")]
    Empty,
    /// A stream ended too early.
    #[error("{what} is missing in `{stream}`: a stream is written such as `100/s new GET /`")]
    Missing {
        /// The part that was expected next.
        what: &'static str,
        /// The stream's text.
        stream: String,
    },
    /// Not a rate.
    #[error(
        "`{0}` is not a rate: write requests a second above 0 and up to 1000000, such as 100/s, or a minute, such as 30/m"
    )]
    Rate(String),
    /// Not a protocol.
    #[error("`{0}` is not a protocol: write new, keep-alive, http2 or websocket")]
    Protocol(String),
    /// Not a method.
    #[error(
        "`{0}` is not a method: write it in upper case, such as GET or POST (websocket takes none)"
    )]
    Method(String),
    /// Not a path.
    #[error("`{0}` is not a path: it begins with `/`, without spaces, such as /sleep/5")]
    Path(String),
    /// An option that does not exist.
    #[error(
        "`{0}` is not an option: there are body=, connections=, stale-check=, expect= and timeout="
    )]
    UnknownOption(String),
    /// An option's value is wrong.
    #[error("`{option}` is wrong: {right}")]
    Option {
        /// The option as it was written.
        option: String,
        /// What would be right.
        right: &'static str,
    },
}

/// Reads a rate such as `50/s` or `30/m`, in requests a second.
///
/// # Errors
/// A text that is none, or no rate above zero.
pub fn parse_rate(text: &str) -> Result<f64, MixError> {
    let (number, seconds) = match text.rsplit_once('/') {
        Some((number, "s")) => (number, 1.0),
        Some((number, "m")) => (number, 60.0),
        _ => return Err(MixError::Rate(text.to_owned())),
    };
    let number: f64 = number.parse().map_err(|_| MixError::Rate(text.to_owned()))?;
    check_rate(number / seconds, text)
}

pub(super) fn check_rate(rate: f64, text: &str) -> Result<f64, MixError> {
    if rate > 0.0 && rate <= MAX_RATE {
        return Ok(rate);
    }
    Err(MixError::Rate(text.to_owned()))
}

pub(super) fn parse_path(text: &str) -> Result<&str, MixError> {
    let valid = text.starts_with('/')
        && text.parse::<hyper::Uri>().is_ok_and(|uri| uri.authority().is_none());
    if valid { Ok(text) } else { Err(MixError::Path(text.to_owned())) }
}
