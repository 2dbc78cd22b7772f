//! Servers that do what a test says, and runs that return every attempt.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;
use websample_load::{Attempt, Bounds, Connect, Direct, Engine, LoadReport, Mix, Outcome, Tls};

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A run that hangs is a failed test, long before the test runner's patience ends.
const HANG: Duration = Duration::from_secs(30);

/// Serves every connection with `script`, which gets its number, from 0 on.
pub(crate) async fn serve<F>(script: impl Fn(TcpStream, usize) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.expect("a connection");
            tokio::spawn(script(socket, number));
        }
    });
    address
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// Reads up to the end of a request's head and the body that it announces; false at the end
/// of the connection.
pub(crate) async fn read_request(socket: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    let head = String::from_utf8(head).expect("a head in ASCII").to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().expect("a length"));
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.is_ok()
}

/// Writes; a client that is gone does not matter.
pub(crate) async fn write(socket: &mut TcpStream, bytes: &[u8]) {
    let _ = socket.write_all(bytes).await;
}

/// Closes with RST instead of FIN.
pub(crate) fn reset(socket: &TcpStream) {
    socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)).expect("a live socket");
}

/// Stays open until the client closes.
pub(crate) async fn hold(mut socket: TcpStream) {
    let _ = socket.read_to_end(&mut Vec::new()).await;
}

/// A run under construction.
pub(crate) struct Run {
    engine: Engine,
    attempts: mpsc::UnboundedReceiver<Attempt>,
}

impl Run {
    pub(crate) fn of(mix: &str, connect: impl Connect, bounds: Bounds) -> Self {
        let mix: Mix = mix.parse().expect("a valid mix");
        let (sender, attempts) = mpsc::unbounded_channel();
        let engine = Engine::new(mix, Arc::new(connect), bounds).on_attempt(move |attempt| {
            let _ = sender.send(attempt);
        });
        Self { engine, attempts }
    }

    /// Calls this for every request as it becomes due.
    pub(crate) fn on_due(mut self, due: impl FnMut() + Send + 'static) -> Self {
        self.engine = self.engine.on_due(due);
        self
    }

    /// With TLS.
    pub(crate) fn over(self, tls: Tls) -> Self {
        Self { engine: self.engine.tls(Some(tls)), ..self }
    }

    /// Runs for this long and returns the report and the attempts in the schedule's order.
    pub(crate) async fn finish(mut self, duration: Duration) -> (LoadReport, Vec<Attempt>) {
        let run = self.engine.run(Some(duration), CancellationToken::new());
        let report =
            tokio::time::timeout(HANG, run).await.expect("the run ends").expect("the run works");
        let mut attempts = Vec::new();
        while let Some(attempt) = self.attempts.recv().await {
            attempts.push(attempt);
        }
        attempts.sort_by_key(|attempt| attempt.seq);
        assert!(attempts.iter().enumerate().all(|(n, attempt)| attempt.seq == n as u64));
        assert_eq!(report.total.requests, attempts.len() as u64);
        (report, attempts)
    }

    pub(crate) fn into_parts(self) -> (Engine, mpsc::UnboundedReceiver<Attempt>) {
        (self.engine, self.attempts)
    }
}

/// Sends `count` requests of one stream, 150 ms apart, so that each finds the traces of the
/// one before.
pub(crate) async fn attempts(address: SocketAddr, stream: &str, count: u32) -> Vec<Attempt> {
    report(address, stream, count).await.1
}

/// The same, with the report.
pub(crate) async fn report(
    address: SocketAddr,
    stream: &str,
    count: u32,
) -> (LoadReport, Vec<Attempt>) {
    const APART: Duration = Duration::from_millis(150);
    let mix = format!("{}/s {stream}", 1.0 / APART.as_secs_f64());
    // Ends between two requests, so that rounding cannot let in one more.
    let duration = APART.mul_f64(f64::from(count) - 0.5);
    let done = Run::of(&mix, Direct(address), Bounds::default()).finish(duration).await;
    assert_eq!(done.1.len(), count as usize);
    done
}

/// The one attempt of a run of one request.
pub(crate) async fn attempt(address: SocketAddr, stream: &str) -> Attempt {
    attempts(address, stream, 1).await.remove(0)
}

pub(crate) fn outcomes(attempts: &[Attempt]) -> Vec<Outcome> {
    attempts.iter().map(|attempt| attempt.outcome).collect()
}
