//! Where an attack goes: the URL, checked and resolved.

use std::{io, net::SocketAddr, str::FromStr};

use hyper::{Uri, http::uri::Authority};
use tokio::net::TcpStream;

use super::connect::{Connect, ConnectError, Connecting, Established};

/// An HTTP URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether it is https.
    pub secure: bool,
    /// The host, and its port where it is not the scheme's own.
    pub authority: Authority,
    /// Path and query; `/` where the URL has none.
    pub path: String,
}

/// Why a URL cannot be attacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a whole URL.
    #[error("`{0}` is not a URL: write it such as http://127.0.0.1:5000/path")]
    NoUrl(String),
    /// TLS, where whoever asked does not speak it.
    #[error(
        "`{0}` uses https, which is not spoken here: name the plain http port (behind TLS termination, or with TLS switched off)"
    )]
    Https(String),
    /// Something else than HTTP.
    #[error("`{url}` uses {scheme}, which the generator does not speak: only http and https")]
    Scheme {
        /// The URL.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A port that is none: left out, it would be the scheme's own.
    #[error(
        "`{0}` has no usable port: write one from 1 to 65535 behind the colon, or leave both out for 80, or 443 with https"
    )]
    Port(String),
    /// A part that is for browsers alone.
    #[error("`{0}` has a fragment, which is never sent: leave out what is behind `#`")]
    Fragment(String),
    /// Credentials.
    #[error("`{0}` holds a user name, which is not sent: use --header 'Authorization: …'")]
    User(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::NoUrl(url.to_owned()))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(TargetError::NoUrl(url.to_owned()));
        };
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => {
                return Err(TargetError::Scheme { url: url.to_owned(), scheme: scheme.to_owned() });
            }
        };
        if authority.as_str().contains('@') {
            return Err(TargetError::User(url.to_owned()));
        }
        if url.contains('#') {
            return Err(TargetError::Fragment(url.to_owned()));
        }
        let host = authority.host();
        let port = authority.as_str().strip_prefix(host).unwrap_or_default();
        if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(TargetError::Port(url.to_owned()));
        }
        if authority.host().is_empty() {
            return Err(TargetError::NoUrl(url.to_owned()));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { secure, authority: authority.clone(), path })
    }
}

impl Target {
    /// A URL that has to be plain HTTP.
    ///
    /// # Errors
    /// As for any URL, and where it is https.
    pub fn plain(url: &str) -> Result<Self, TargetError> {
        let target: Self = url.parse()?;
        if target.secure { Err(TargetError::Https(url.to_owned())) } else { Ok(target) }
    }

    /// The name or address in it, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// Its scheme.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Looks the host up once, so that no name server is measured.
    ///
    /// # Errors
    /// When it has no address.
    pub async fn resolve(&self) -> io::Result<Resolved> {
        let port = self.authority.port_u16().unwrap_or(if self.secure { 443 } else { 80 });
        let host = self.host();
        let addresses: Vec<_> = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{host}: {error}")))?
            .collect();
        if addresses.is_empty() {
            return Err(io::Error::other(format!("{host} has no address")));
        }
        Ok(Resolved(addresses))
    }
}

/// Connects to the first of a host's addresses that answers.
#[derive(Debug, Clone)]
pub struct Resolved(Vec<SocketAddr>);

impl Connect for Resolved {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            let mut failed = None;
            for &peer in &self.0 {
                match TcpStream::connect(peer).await {
                    Ok(stream) => return Ok(Established { stream, peer }),
                    Err(error) => failed = Some(ConnectError { peer: Some(peer), error }),
                }
            }
            Err(failed.unwrap_or_else(|| ConnectError {
                peer: None,
                error: io::Error::other("the host has no address"),
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, authority, path) in [
            ("http://127.0.0.1:5000", "127.0.0.1:5000", "/"),
            ("http://localhost/sleep/5?a=b", "localhost", "/sleep/5?a=b"),
            ("https://localhost:5443/", "localhost:5443", "/"),
            ("http://[::1]:80/", "[::1]:80", "/"),
        ] {
            let target: Target = url.parse().expect(url);
            assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path));
            assert_eq!(target.scheme(), url.split_once(':').expect("a scheme").0);
        }
    }

    #[test]
    fn https_is_refused_where_only_http_is_spoken() {
        let error = Target::plain("https://localhost/").expect_err("TLS").to_string();
        assert!(error.contains("https, which is not spoken here"), "{error}");
        assert!(Target::plain("http://localhost/").is_ok());
    }

    #[test]
    fn what_cannot_be_attacked_is_refused_with_its_reason() {
        for (url, word) in [
            ("ftp://localhost/", "ftp"),
            ("localhost:5000", "not a URL"),
            ("/sleep/5", "not a URL"),
            ("", "not a URL"),
            ("http://user@localhost/", "user name"),
            ("http://127.0.0.1:99999/", "usable port"),
            ("http://127.0.0.1:0/", "usable port"),
            ("http://127.0.0.1:/", "usable port"),
            ("http://[::1]:65536/", "usable port"),
            ("http://localhost/a#b", "fragment"),
        ] {
            let error = url.parse::<Target>().expect_err(url).to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
    }
}
