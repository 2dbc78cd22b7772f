//! The client of one stream: its protocol, and the request it sends.

use std::{sync::Arc, time::Duration};

use hyper::{
    HeaderMap, Method, Request, Uri,
    header::{HOST, HeaderValue},
    http::uri::{Authority, PathAndQuery, Scheme},
};
use tokio::time::timeout;

use super::{
    exchange::{Dialer, Known, Template, Versions},
    failure::{Failure, FailureKind, is_replayable},
    http1::{Fresh, Pool, Reusable},
    http2::Multiplexed,
    mix::{Accepted, Protocol, StreamSpec},
    tls::{Offer, Tls},
    websocket::{Echo, Parting},
};

/// How long a connection may take to settle after its answer before it is dropped.
const SETTLE: Duration = Duration::from_secs(5);

/// Sends the requests of one stream.
pub(super) struct Client {
    transport: Transport,
    template: Template,
    versions: Arc<Versions>,
    expect: Accepted,
    timeout: Duration,
    pub(super) replayable: bool,
    pub(super) body_len: u64,
}

enum Transport {
    Fresh(Fresh),
    Pool(Pool),
    Multiplexed(Multiplexed),
    Echo(Echo),
}

/// What is left to do after an attempt is recorded.
pub(super) enum Afterwards {
    Nothing,
    Reuse(Reusable),
    Part(Box<Parting>),
}

impl Client {
    pub(super) fn new(
        spec: &StreamSpec,
        authority: &Authority,
        headers: &HeaderMap,
        dialer: Dialer,
        tls: Option<&Tls>,
        versions: Arc<Versions>,
        default_timeout: Duration,
    ) -> Self {
        let dialer = Dialer { tls: tls.map(|tls| tls.offering(offer(spec))), ..dialer };
        let transport = match spec.protocol {
            Protocol::New => Transport::Fresh(Fresh { dialer }),
            Protocol::KeepAlive => {
                Transport::Pool(Pool::new(dialer, spec.connections, spec.stale_check))
            }
            Protocol::Http2 => Transport::Multiplexed(Multiplexed::new(dialer, spec.connections)),
            Protocol::WebSocket => Transport::Echo(Echo { dialer }),
        };
        let template = template(spec, authority, headers, tls.is_some());
        Self {
            transport,
            replayable: is_replayable(&spec.method, template.head.headers()),
            body_len: template.body.len() as u64,
            template,
            versions,
            expect: spec.expect.clone(),
            timeout: spec.timeout.unwrap_or(default_timeout),
        }
    }

    /// One request within the time limit.
    pub(super) async fn exchange(&self, known: &mut Known) -> Result<Afterwards, Failure> {
        match timeout(self.timeout, self.untimed(known)).await {
            Ok(Ok(afterwards)) => self.judge(known).map(|()| afterwards),
            Ok(Err(failure)) => Err(failure),
            Err(_) if known.connected => Err(Failure::timeout()),
            Err(_) if known.handshaking => Err(Failure::handshake_timeout()),
            Err(_) => Err(Failure::connect_timeout()),
        }
    }

    /// What keeps a connection usable, or ends it well; no request waits for it.
    pub(super) async fn after(&self, afterwards: Afterwards) {
        let done = async {
            match (afterwards, &self.transport) {
                (Afterwards::Reuse(connection), Transport::Pool(pool)) => {
                    pool.settle(connection).await;
                }
                (Afterwards::Part(socket), _) => socket.close().await,
                _ => {}
            }
        };
        // A server that does not even close has nothing to tell.
        let _ = timeout(SETTLE, done).await;
    }

    async fn untimed(&self, known: &mut Known) -> Result<Afterwards, Failure> {
        let (template, versions) = (&self.template, &*self.versions);
        Ok(match &self.transport {
            Transport::Fresh(fresh) => {
                fresh.exchange(template, versions, known).await?;
                Afterwards::Nothing
            }
            Transport::Pool(pool) => pool
                .exchange(template, versions, known)
                .await?
                .map_or(Afterwards::Nothing, Afterwards::Reuse),
            Transport::Multiplexed(multiplexed) => {
                multiplexed.exchange(template, versions, known).await?;
                Afterwards::Nothing
            }
            Transport::Echo(echo) => {
                Afterwards::Part(Box::new(echo.exchange(template, versions, known).await?))
            }
        })
    }

    fn judge(&self, known: &Known) -> Result<(), Failure> {
        match known.status {
            // An echo that came back is the success of an upgrade, whatever `expect` says.
            Some(101) if matches!(self.transport, Transport::Echo(_)) => Ok(()),
            Some(status) if !self.expect.contains(status) => Err(Failure {
                kind: FailureKind::Status(status),
                text: hyper::StatusCode::from_u16(status)
                    .map_or_else(|_| status.to_string(), |status| status.to_string()),
            }),
            _ => Ok(()),
        }
    }
}

fn offer(spec: &StreamSpec) -> Offer {
    match spec.protocol {
        Protocol::Http2 => Offer::Http2,
        Protocol::New | Protocol::KeepAlive if spec.alpn => Offer::Both,
        Protocol::New | Protocol::KeepAlive | Protocol::WebSocket => Offer::Http1,
    }
}

fn template(
    spec: &StreamSpec,
    authority: &Authority,
    headers: &HeaderMap,
    secure: bool,
) -> Template {
    let path: PathAndQuery = spec.path.parse().unwrap_or_else(|_| PathAndQuery::from_static("/"));
    // HTTP/1.1 sends the path alone, HTTP/2 the whole, and the WebSocket library wants its
    // own scheme, which is not sent.
    let scheme = match spec.protocol {
        Protocol::WebSocket => "ws".parse().ok(),
        Protocol::New | Protocol::KeepAlive | Protocol::Http2 => None,
    };
    let http2 = if secure { Scheme::HTTPS } else { Scheme::HTTP };
    let head = |scheme: Option<Scheme>, host: bool| {
        let mut uri = Uri::from(path.clone()).into_parts();
        if scheme.is_some() {
            uri.authority = Some(authority.clone());
            uri.scheme = scheme;
        }
        let mut head = Request::new(());
        *head.method_mut() = match spec.protocol {
            Protocol::WebSocket => Method::GET,
            _ => spec.method.clone(),
        };
        *head.uri_mut() = Uri::from_parts(uri).unwrap_or_else(|_| Uri::from(path.clone()));
        if host && let Ok(value) = HeaderValue::from_str(authority.as_str()) {
            head.headers_mut().insert(HOST, value);
        }
        if headers.contains_key(HOST) {
            head.headers_mut().remove(HOST);
        }
        for (name, value) in headers {
            if host || name != HOST {
                head.headers_mut().append(name, value.clone());
            }
        }
        head
    };
    Template {
        head: head(scheme, true),
        http2: head(Some(http2), false),
        body: spec.body.to_bytes(),
    }
}
