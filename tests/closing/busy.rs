//! Drain after drain under clients that always have a request on its way and never try again.
//!
//! A client moves to the next server when it is told: by `Connection: close`, or by GOAWAY.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::common::{count, server::Server, tls};

/// Everyday runs are short; the others are what the promise is measured by.
fn drains() -> usize {
    count(4, 200)
}

fn clients() -> usize {
    count(40, 100)
}

/// Requests between two drains.
fn requests() -> u64 {
    count(200, 2_600) as u64
}

/// What the clients share.
struct Field {
    target: Mutex<SocketAddr>,
    stop: AtomicBool,
    answered: AtomicU64,
    lost: Mutex<Vec<String>>,
}

impl Field {
    fn target(&self) -> SocketAddr {
        *self.target.lock().expect("nobody panics with it")
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self, why: impl std::fmt::Display) {
        self.lost.lock().expect("nobody panics with it").push(why.to_string());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// A connection for each request.
    Once,
    Http2,
    Http1Tls,
    Http2Tls,
}

impl Protocol {
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }
}

const ALPN_H1: &[&[u8]] = &[b"http/1.1"];
const ALPN_H2: &[&[u8]] = &[b"h2"];

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

async fn connect(field: &Field, protocol: Protocol) -> std::io::Result<Box<dyn Io>> {
    let tcp = TcpStream::connect(field.target()).await?;
    tcp.set_nodelay(true)?;
    let alpn = match protocol {
        Protocol::Http1 | Protocol::Once | Protocol::Http2 => return Ok(Box::new(tcp)),
        Protocol::Http1Tls => ALPN_H1,
        Protocol::Http2Tls => ALPN_H2,
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(tls::client_config(alpn));
    Ok(Box::new(connector.connect(name, tcp).await?))
}

/// The body of every second request, which is a POST.
fn body(number: u64) -> Option<String> {
    (number % 2 == 1).then(|| format!("this is request {number}"))
}

/// One client of HTTP/1.1.
async fn http1(field: Arc<Field>, protocol: Protocol) {
    let mut number = 0;
    'connections: while !field.is_over() {
        let mut io = match connect(&field, protocol).await {
            Ok(io) => io,
            Err(error) => {
                field.lost(format!("connecting: {error}"));
                continue;
            }
        };
        let mut unread = Vec::new();
        while !field.is_over() {
            number += 1;
            match ask(&mut io, &mut unread, body(number).as_deref()).await {
                Ok(told) => {
                    field.answered();
                    if told || protocol == Protocol::Once {
                        continue 'connections;
                    }
                }
                Err(why) => {
                    field.lost(why);
                    continue 'connections;
                }
            }
        }
    }
}

/// Sends a request and checks its answer; tells whether the server wants the client to leave.
async fn ask(
    io: &mut Box<dyn Io>,
    unread: &mut Vec<u8>,
    body: Option<&str>,
) -> Result<bool, String> {
    let request = match body {
        None => "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        Some(body) => format!(
            "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    io.write_all(request.as_bytes()).await.map_err(|error| format!("sending: {error}"))?;
    let end = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(io, unread).await?;
    };
    let head: Vec<u8> = unread.drain(..end).collect();
    let head = String::from_utf8_lossy(&head).to_lowercase();
    if !head.starts_with("http/1.1 201 ") {
        return Err(format!("answered: {head}"));
    }
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    while unread.len() < length {
        more(io, unread).await?;
    }
    let answer: Vec<u8> = unread.drain(..length).collect();
    if answer != body.unwrap_or_default().as_bytes() {
        return Err(format!("echoed: {answer:?}"));
    }
    Ok(header("connection:") == Some("close"))
}

async fn more(io: &mut Box<dyn Io>, unread: &mut Vec<u8>) -> Result<(), String> {
    match io.read_buf(unread).await {
        Ok(0) => Err(format!("ended after {} bytes of the answer", unread.len())),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("reading: {error}")),
    }
}

/// Streams of one client of HTTP/2 at a time.
const STREAMS: usize = 5;

/// One client of HTTP/2.
async fn http2(field: Arc<Field>, protocol: Protocol) {
    while !field.is_over() {
        let opened = match connect(&field, protocol).await {
            Ok(io) => h2::client::handshake(io).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let (client, connection) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                field.lost(format!("connecting: {error}"));
                continue;
            }
        };
        // Its end comes after GOAWAY, which the streams see too.
        let connection = tokio::spawn(connection);
        join_all((0..STREAMS).map(|_| streams(&field, client.clone()))).await;
        drop(client);
        if let Ok(Err(error)) = connection.await {
            // Everything that was asked was answered; how it ends is still worth a look.
            if !error.is_go_away() {
                field.lost(format!("the end of the connection: {error}"));
            }
        }
    }
}

/// Stream after stream until the connection takes no more.
async fn streams(field: &Field, client: h2::client::SendRequest<Bytes>) {
    let mut number = 0;
    while !field.is_over() {
        // Told to leave: nothing has been asked yet.
        let Ok(mut ready) = client.clone().ready().await else { return };
        number += 1;
        let body = body(number);
        let request = http(body.is_some());
        let Ok((response, mut send)) = ready.send_request(request, body.is_none()) else { return };
        let answer = async {
            if let Some(body) = &body {
                send.send_data(Bytes::from(body.clone()), true)?;
            }
            let response = response.await?;
            let status = response.status().as_u16();
            let mut answer = Vec::new();
            let mut stream = response.into_body();
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                stream.flow_control().release_capacity(chunk.len())?;
                answer.extend_from_slice(&chunk);
            }
            Ok::<_, h2::Error>((status, answer))
        };
        match answer.await {
            Ok((201, echo)) if echo == body.unwrap_or_default().as_bytes() => field.answered(),
            Ok(other) => field.lost(format!("{other:?}")),
            Err(error) => {
                field.lost(error);
                return;
            }
        }
    }
}

fn http(post: bool) -> hyper::http::Request<()> {
    let (method, uri) = if post { ("POST", "http://x/echo") } else { ("GET", "http://x/") };
    hyper::http::Request::builder().method(method).uri(uri).body(()).expect("a request")
}

/// Clients that ask all the time.
pub(crate) struct Load {
    field: Arc<Field>,
    runtime: Runtime,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins to ask this server.
    pub(crate) fn begin(protocol: Protocol, target: SocketAddr) -> Self {
        let field = Arc::new(Field {
            target: Mutex::new(target),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            lost: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let tasks = match protocol {
            Protocol::Http1 | Protocol::Http1Tls | Protocol::Once => {
                (0..clients()).map(|_| runtime.spawn(http1(Arc::clone(&field), protocol))).collect()
            }
            Protocol::Http2 | Protocol::Http2Tls => (0..clients() / STREAMS)
                .map(|_| runtime.spawn(http2(Arc::clone(&field), protocol)))
                .collect(),
        };
        Self { field, runtime, tasks }
    }

    /// Waits until so many were answered, or something is lost.
    pub(crate) fn until(&self, answered: u64) {
        crate::common::eventually("enough requests", || {
            self.answered() >= answered
                || !self.field.lost.lock().expect("nobody panics with it").is_empty()
        });
    }

    /// How many were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.field.answered.load(Ordering::Relaxed)
    }

    /// Whoever is told to leave goes there.
    fn moves_to(&self, target: SocketAddr) {
        *self.field.target.lock().expect("nobody panics with it") = target;
    }

    /// Stops asking; how many were answered, and what was lost.
    pub(crate) fn end(self) -> (u64, Vec<String>) {
        self.field.stop.store(true, Ordering::Relaxed);
        self.runtime.block_on(async {
            for task in self.tasks {
                tokio::time::timeout(Duration::from_secs(10), task)
                    .await
                    .expect("an end")
                    .expect("no panic");
            }
        });
        let answered = self.field.answered.load(Ordering::Relaxed);
        (answered, std::mem::take(&mut *self.field.lost.lock().expect("nobody panics with it")))
    }
}

/// Drains one server after the other under these clients; returns requests and losses.
fn drain_under(protocol: Protocol, drains: usize, flags: &[&str]) -> (u64, Vec<String>) {
    let pair = tls::Pair::new("busy");
    let flags = if protocol.is_tls() { pair.flags(flags) } else { flags.to_vec() };
    let mut server = Server::start(&flags);
    let load = Load::begin(protocol, server.app);
    let start = Instant::now();
    for number in 1..=drains as u64 {
        load.until(number * requests());
        let next = Server::start(&flags);
        load.moves_to(next.app);
        let ended = std::mem::replace(&mut server, next).stop();
        // The naive modes end in other ways, which are not looked at here.
        if !flags.contains(&"--mode") {
            ended.clean();
        }
    }
    let (answered, lost) = load.end();
    println!(
        "{protocol:?}: {drains} drains, {} clients, {answered} requests, {} lost, {:.0} s",
        clients(),
        lost.len(),
        start.elapsed().as_secs_f64(),
    );
    (answered, lost)
}

#[track_caller]
fn nothing_is_lost(protocol: Protocol) {
    let (answered, lost) = drain_under(protocol, drains(), &[]);
    let some = &lost[..lost.len().min(5)];
    assert!(lost.is_empty(), "{} of {answered} lost: {some:?} …", lost.len());
    assert!(answered >= drains() as u64 * requests());
}

#[test]
fn http1_clients_that_move_when_told_lose_nothing() {
    nothing_is_lost(Protocol::Http1);
}

#[test]
fn http2_clients_that_move_when_told_lose_nothing() {
    nothing_is_lost(Protocol::Http2);
}

#[test]
fn http1_tls_clients_that_move_when_told_lose_nothing() {
    nothing_is_lost(Protocol::Http1Tls);
}

#[test]
fn http2_tls_clients_that_move_when_told_lose_nothing() {
    nothing_is_lost(Protocol::Http2Tls);
}

/// These clients would see it if something were lost.
#[test]
fn a_server_that_just_stops_does_lose_requests() {
    let (_, lost) = drain_under(Protocol::Http1, 1, &["--mode", "immediate"]);
    assert!(!lost.is_empty());
}
