//! The kubelet's HTTP: a probe's GET on a connection of its own, a hook's on one that stays.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use websample_load::{Tls, Trust};

use super::probe::Scheme;

/// The version this kubelet says it is.
const VERSION: &str = "1.36";
/// Go's limit of redirects.
const MAX_REDIRECTS: usize = 10;
/// So much of a probe's answer is read.
const MAX_BODY: usize = 10 * 1024;

/// A connection with its driver; closed when dropped.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    _driver: JoinSet<()>,
}

impl Connection {
    async fn open(address: SocketAddr, scheme: Scheme) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|e| format!("connect: {e}"))?;
        // As every connection of a Go program.
        let _ = stream.set_nodelay(true);
        match scheme {
            Scheme::Http => Self::over(stream).await,
            Scheme::Https => {
                let stream = kubelets_tls()?.secure(stream).await;
                Self::over(stream.map_err(|error| error.to_string())?).await
            }
        }
    }

    async fn over<S>(stream: S) -> Result<Self, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How it ends shows in the request's result, if there is one.
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: driver })
    }

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, String> {
        self.sender.send_request(request).await.map_err(|error| {
            use std::error::Error as _;
            error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        })
    }
}

/// TLS as the kubelet speaks it: it takes any certificate, and names no server, whose address is all
/// that it has. HTTP/2, which it would take from a server that has it, is not offered here.
fn kubelets_tls() -> Result<Arc<Tls>, String> {
    static TLS: OnceLock<Arc<Tls>> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(Arc::clone(tls));
    }
    let tls = Tls::new(&Trust::Anybody, "127.0.0.1").map_err(|error| error.to_string())?;
    Ok(Arc::clone(TLS.get_or_init(|| Arc::new(tls))))
}

/// A probe's GET: a new connection, no gzip, `Connection: close`, redirects on the same host
/// followed (facts 1.6 to 1.8). The error says what made it a failure.
pub(super) async fn probe(
    address: SocketAddr,
    scheme: Scheme,
    path: &str,
    limit: Duration,
) -> Result<(), String> {
    match timeout(limit, follow(address, scheme, path)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {}", humantime::format_duration(limit))),
    }
}

/// Establishes a connection, as a tcpSocket probe does.
pub(super) async fn probe_tcp(address: SocketAddr, limit: Duration) -> Result<(), String> {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(result) => result.map(drop).map_err(|e| format!("connect: {e}")),
        Err(_) => Err(format!("no connection within {}", humantime::format_duration(limit))),
    }
}

async fn follow(mut address: SocketAddr, mut scheme: Scheme, path: &str) -> Result<(), String> {
    let mut target: Uri = path.parse().map_err(|e| format!("path '{path}': {e}"))?;
    for _ in 0..=MAX_REDIRECTS {
        let request = Request::get(path_of(&target))
            .header(header::HOST, address.to_string())
            .header(header::USER_AGENT, format!("kube-probe/{VERSION}"))
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .map_err(|e| e.to_string())?;
        let mut connection = Connection::open(address, scheme).await?;
        let response = connection.send(request).await?;
        let status = response.status();
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|value| value.to_str().ok()).map(str::to_owned);
        read_some(response).await?;
        match location.filter(|_| is_redirect(status)) {
            Some(location) => match redirect((address, scheme), &target, &location)? {
                Some((next, uri)) => ((address, scheme), target) = (next, uri),
                // To another host: not followed, and 3xx is success.
                None => return Ok(()),
            },
            None if (200..400).contains(&status.as_u16()) => return Ok(()),
            None => return Err(format!("status {}", status.as_u16())),
        }
    }
    Err(format!("stopped after {MAX_REDIRECTS} redirects"))
}

/// A preStop hook's GET: HTTP/1.1, keep-alive, no time limit (facts 2.6 and 2.7). The status is
/// not looked at. The connection that comes back is idle and stays open as long as it is kept.
pub(super) async fn pre_stop(
    address: SocketAddr,
    scheme: Scheme,
    path: &str,
) -> Result<Connection, String> {
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, format!("kube-lifecycle/{VERSION}"))
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Empty::new())
        .map_err(|e| e.to_string())?;
    let mut connection = Connection::open(address, scheme).await?;
    let response = connection.send(request).await?;
    // A body that breaks off is no transport error of the request any more.
    let _ = read_some(response).await;
    Ok(connection)
}

async fn read_some(response: Response<Incoming>) -> Result<(), String> {
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| format!("body: {e}"))?;
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_BODY {
            break;
        }
    }
    Ok(())
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn path_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str)
}

/// An address, and what is spoken there.
type Listener = (SocketAddr, Scheme);

/// Where a redirect leads on the same host; `None` where it leads to another one.
fn redirect(
    from: Listener,
    target: &Uri,
    location: &str,
) -> Result<Option<(Listener, Uri)>, String> {
    let bad = |e: hyper::http::uri::InvalidUri| format!("redirect to '{location}': {e}");
    if !location.starts_with('/') && !location.contains("://") {
        // Relative to the directory of the path before.
        let directory = target.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        let uri = format!("{directory}/{location}").parse().map_err(bad)?;
        return Ok(Some((from, uri)));
    }
    let uri: Uri = location.parse().map_err(bad)?;
    match (uri.scheme_str(), uri.host()) {
        (None, None) => Ok(Some((from, uri))),
        (Some(scheme @ ("http" | "https")), Some(host)) if host == from.0.ip().to_string() => {
            let (scheme, usual) =
                if scheme == "http" { (Scheme::Http, 80) } else { (Scheme::Https, 443) };
            let port = uri.port_u16().unwrap_or(usual);
            Ok(Some(((SocketAddr::new(from.0.ip(), port), scheme), uri)))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
