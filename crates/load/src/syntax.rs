//! The text form of a mix: read, checked and written.
//!
//! Streams are separated by commas; a stream is
//! `RATE PROTOCOL [METHOD] PATH [OPTION…]`:
//!
//! ```text
//! 100/s new GET /, 50/s keep-alive POST /echo body=256, 30/m websocket /ws
//! ```
//!
//! | part | is |
//! |---|---|
//! | `RATE` | `N/s` or `N/m`, decimals allowed |
//! | `PROTOCOL` | `new` (a connection a request), `keep-alive`, `http2` (prior knowledge, or chosen by TLS), `websocket` (connect, send, expect the echo, close) |
//! | `METHOD` | in upper case; left out for `websocket` |
//! | `PATH` | begins with `/`; a comma in it is written `%2C` |
//! | `body=N` | a request body of N bytes; for `websocket` the text's length |
//! | `connections=N` | how many connections `keep-alive` keeps in rotation (8) or `http2` multiplexes on (2) |
//! | `stale-check=no` | `keep-alive` sends without looking whether the server has closed (`yes`) |
//! | `alpn=yes` | over TLS the server may choose HTTP/2 for `new` and `keep-alive` (`no`) |
//! | `expect=A-B\|C` | the statuses that count as success (`200-399`) |
//! | `timeout=10s` | the time limit of one request, instead of the run's |

use std::{fmt, str::FromStr};

use hyper::Method;

use super::{
    invalid::{MixError, parse_path, parse_rate},
    mix::{Accepted, Mix, Payload, Protocol, StreamSpec},
};

/// The largest request body that the text form makes up.
const MAX_FILLER: usize = 64 << 20;
const MAX_CONNECTIONS: usize = 10_000;

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        if text.trim().is_empty() {
            return Err(MixError::Empty);
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, spec) in self.0.iter().enumerate() {
            write!(f, "{}{spec}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl FromStr for StreamSpec {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut words = text.split_whitespace();
        let mut word = |what| {
            words.next().ok_or_else(|| MixError::Missing { what, stream: text.trim().to_owned() })
        };
        let rate = parse_rate(word("the rate")?)?;
        let protocol = parse_protocol(word("the protocol")?)?;
        let method = match protocol {
            Protocol::WebSocket => Method::GET,
            _ => parse_method(word("the method")?)?,
        };
        let mut spec = Self::new(rate, protocol, method, parse_path(word("the path")?)?);
        for option in words {
            spec.set(option)?;
        }
        Ok(spec)
    }
}

impl StreamSpec {
    fn set(&mut self, option: &str) -> Result<(), MixError> {
        let wrong = |right| MixError::Option { option: option.to_owned(), right };
        let Some((name, value)) = option.split_once('=') else {
            return Err(MixError::UnknownOption(option.to_owned()));
        };
        match name {
            "body" => {
                self.body = value
                    .parse()
                    .ok()
                    .filter(|len| *len <= MAX_FILLER)
                    .map(Payload::Filler)
                    .ok_or_else(|| wrong("a number of bytes up to 67108864, such as body=256"))?;
            }
            "connections" if !self.protocol.keeps_connections() => {
                return Err(wrong("only keep-alive and http2 keep connections: leave it out"));
            }
            "connections" => {
                self.connections = value
                    .parse()
                    .ok()
                    .filter(|count| (1..=MAX_CONNECTIONS).contains(count))
                    .ok_or_else(|| wrong("a number from 1 to 10000, such as connections=8"))?;
            }
            "stale-check" if self.protocol != Protocol::KeepAlive => {
                return Err(wrong("only keep-alive looks before it sends: leave it out"));
            }
            "stale-check" => {
                self.stale_check = match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(wrong("yes or no")),
                };
            }
            "alpn" if !matches!(self.protocol, Protocol::New | Protocol::KeepAlive) => {
                return Err(wrong("only new and keep-alive leave the choice: leave it out"));
            }
            "alpn" => {
                self.alpn = match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(wrong("yes or no")),
                };
            }
            "expect" => self.expect = value.parse()?,
            "timeout" => {
                self.timeout = humantime::parse_duration(value)
                    .ok()
                    .filter(|timeout| !timeout.is_zero())
                    .map(Some)
                    .ok_or_else(|| wrong("a time with its unit, such as timeout=10s"))?;
            }
            _ => return Err(MixError::UnknownOption(option.to_owned())),
        }
        Ok(())
    }
}

impl fmt::Display for StreamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::new(self.rate, self.protocol, self.method.clone(), "");
        write!(f, "{}/s {}", self.rate, self.name())?;
        if self.body.len() != plain.body.len() {
            write!(f, " body={}", self.body.len())?;
        }
        if self.connections != plain.connections {
            write!(f, " connections={}", self.connections)?;
        }
        if self.stale_check != plain.stale_check {
            f.write_str(" stale-check=no")?;
        }
        if self.alpn {
            f.write_str(" alpn=yes")?;
        }
        if self.expect != plain.expect {
            write!(f, " expect={}", self.expect)?;
        }
        if let Some(timeout) = self.timeout {
            let text = humantime::format_duration(timeout).to_string().replace(' ', "");
            write!(f, " timeout={text}")?;
        }
        Ok(())
    }
}

impl FromStr for Accepted {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let wrong = || MixError::Option {
            option: format!("expect={text}"),
            right: "statuses and ranges from 100 to 599, separated by `|`, such as 200-299|404",
        };
        let status = |part: &str| {
            part.parse().ok().filter(|code| (100..=599).contains(code)).ok_or_else(wrong)
        };
        text.split('|')
            .map(|part| {
                let (low, high) = part.split_once('-').unwrap_or((part, part));
                let (low, high) = (status(low)?, status(high)?);
                if low > high { Err(wrong()) } else { Ok((low, high)) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "|" };
            if low == high {
                write!(f, "{separator}{low}")?;
            } else {
                write!(f, "{separator}{low}-{high}")?;
            }
        }
        Ok(())
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, MixError> {
    Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.to_string() == text)
        .ok_or_else(|| MixError::Protocol(text.to_owned()))
}

fn parse_method(text: &str) -> Result<Method, MixError> {
    let wrong = || MixError::Method(text.to_owned());
    // A path where the method belongs would parse as an extension method otherwise.
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_uppercase()) || text == "CONNECT" {
        return Err(wrong());
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn streams_are_read_with_their_options() {
        let mix: Mix = "100/s new GET /, 30/m keep-alive POST /echo?a=b body=256 connections=4 \
                        expect=200-299|404 timeout=1m30s,2.5/s websocket /ws"
            .parse()
            .expect("a valid mix");
        let [new, post, socket] = mix.streams() else { panic!("three streams, not {mix}") };
        assert_eq!(*new, StreamSpec::new(100.0, Protocol::New, Method::GET, "/"));
        assert_eq!((post.rate, post.protocol), (0.5, Protocol::KeepAlive));
        assert_eq!((&post.method, post.path.as_str()), (&Method::POST, "/echo?a=b"));
        assert_eq!((post.body.len(), post.connections), (256, 4));
        assert_eq!(post.timeout, Some(Duration::from_secs(90)));
        assert!(post.expect.contains(404) && !post.expect.contains(302));
        assert_eq!((socket.protocol, socket.rate), (Protocol::WebSocket, 2.5));
        assert!((mix.rate() - 103.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same() {
        for mix in [
            Mix::default_at(200.0),
            Mix::default_at(37.7),
            "1/m new GET /".parse().expect("valid"),
            "7/s http2 PUT /x body=1 connections=9 expect=201|300-301 timeout=1m30s"
                .parse()
                .expect("valid"),
            "0.1/s websocket /ws body=0 timeout=1500ms".parse().expect("valid"),
        ] {
            assert_eq!(mix.to_string().parse(), Ok(mix));
        }
    }

    #[test]
    fn the_default_mix_is_the_measured_one() {
        assert_eq!(
            Mix::default_at(200.0).to_string(),
            "100/s new GET /, 50/s keep-alive GET / connections=2 stale-check=no, \
             50/s keep-alive POST /echo body=256 connections=2 stale-check=no, 4/s new GET /sleep/5"
        );
    }

    #[test]
    fn errors_name_what_was_wrong_and_what_would_be_right() {
        for (text, wrong, right) in [
            ("", "empty", "100/s new GET /"),
            ("100/s new GET /,", "the rate is missing", "100/s new GET /"),
            ("100/s new GET", "the path is missing", "100/s new GET /"),
            ("fast new GET /", "`fast`", "100/s"),
            ("0/s new GET /", "`0/s`", "above 0"),
            ("-1/s new GET /", "`-1/s`", "above 0"),
            ("NaN/s new GET /", "`NaN/s`", "above 0"),
            ("9e9/s new GET /", "`9e9/s`", "1000000"),
            ("5/h new GET /", "`5/h`", "30/m"),
            ("1/s http3 GET /", "`http3`", "keep-alive, http2"),
            ("1/s new get /", "`get`", "upper case"),
            ("1/s new /", "`/`", "GET"),
            ("1/s new GET sleep", "`sleep`", "/sleep/5"),
            ("1/s websocket GET /ws", "`GET`", "/sleep/5"),
            ("1/s new GET / body=lots", "`body=lots`", "body=256"),
            ("1/s new GET / connections=2", "`connections=2`", "leave it out"),
            ("1/s http2 GET / connections=0", "`connections=0`", "1 to 10000"),
            ("1/s keep-alive GET / stale-check=maybe", "`stale-check=maybe`", "yes or no"),
            ("1/s new GET / stale-check=no", "`stale-check=no`", "leave it out"),
            ("1/s new GET / alpn=h2", "`alpn=h2`", "yes or no"),
            ("1/s http2 GET / alpn=yes", "`alpn=yes`", "leave it out"),
            ("1/s new GET / expect=2xx", "`expect=2xx`", "200-299|404"),
            ("1/s new GET / expect=300-200", "`expect=300-200`", "200-299|404"),
            ("1/s new GET / timeout=5", "`timeout=5`", "timeout=10s"),
            ("1/s new GET / retries=3", "`retries=3`", "expect="),
            ("1/s new GET / now", "`now`", "timeout="),
        ] {
            let error = text.parse::<Mix>().expect_err(text).to_string();
            assert!(error.contains(wrong) && error.contains(right), "{text}: {error}");
        }
    }
}
