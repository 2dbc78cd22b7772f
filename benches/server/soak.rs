//! Servers that are drained while clients keep coming: nothing that was accepted may be lost.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    client::Response,
    server::{Kind, Programs, Settings},
    table::{Row, Table},
};

/// Clients of each sort.
const CLIENTS: usize = 64;

/// How long they are served before the signal comes, and how long the lame duck lasts.
const BEFORE_SIGNAL: Duration = Duration::from_millis(300);
const DELAY: Duration = Duration::from_millis(200);

/// No answer takes longer. A client that is turned away learns it after a second or three.
const LIMIT: Duration = Duration::from_secs(10);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
const POST: &[u8] = b"POST /echo HTTP/1.1\r\nHost: bench\r\nContent-Length: 5\r\n\r\nhello";

/// What the clients of one server have seen.
#[derive(Debug, Default)]
struct Tally {
    answered: u64,
    lost: Vec<String>,
}

pub(crate) fn measure(programs: &Programs, soaks: usize, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut total = Tally::default();
    let mut failed = 0;
    for _ in 0..soaks {
        let settings = Settings { delay: DELAY, ..Settings::new(Kind::Websample) };
        let server = settings.start(programs)?;
        let address = server.address;
        let exit = runtime.block_on(async {
            let keeping = (0..CLIENTS).map(|_| tokio::spawn(keep_alive(address)));
            let coming = (0..CLIENTS).map(|_| tokio::spawn(newcomer(address)));
            let clients: Vec<_> = keeping.chain(coming).collect();
            sleep(BEFORE_SIGNAL).await;
            server.terminate()?;
            let ending = server.watch();
            for tally in join_all(clients).await {
                let tally = tally?;
                total.answered += tally.answered;
                total.lost.extend(tally.lost);
            }
            ending.wait()
        })?;
        if exit.status.code() != Some(0) {
            eprintln!("bench: a server ended with {}", exit.status);
            failed += 1;
        }
    }
    for lost in &total.lost {
        eprintln!("bench: lost: {lost}");
    }
    let lost = total.lost.len();
    table.push(Row {
        what: format!(
            "{soaks} drains, {CLIENTS} + {CLIENTS} clients each: lost of {} requests, failed exits",
            total.answered + lost as u64
        ),
        websample: format!("{lost}, {failed}"),
        target: "0, 0".to_owned(),
        met: Some(lost == 0 && failed == 0),
        ..Row::default()
    });
    ensure!(lost == 0 && failed == 0, "{lost} requests lost, {failed} exits not clean");
    Ok(())
}

/// Asks again and again on one connection, until an answer says that it is the last.
async fn keep_alive(address: SocketAddr) -> Tally {
    let mut tally = Tally::default();
    let mut stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => {
            tally.lost.push(format!("no connection before the drain: {error}"));
            return tally;
        }
    };
    loop {
        match ask(&mut stream, tally.answered).await {
            Ok(closes) => {
                tally.answered += 1;
                if closes {
                    return tally;
                }
            }
            Err(error) => {
                tally
                    .lost
                    .push(format!("request {} of a kept connection: {error}", tally.answered));
                return tally;
            }
        }
    }
}

/// Asks once on a new connection, again and again, until it is refused one.
async fn newcomer(address: SocketAddr) -> Tally {
    let mut tally = Tally::default();
    let began = Instant::now();
    loop {
        let mut stream = match timeout(LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return tally,
            failed => {
                tally.lost.push(format!("a connection {:?} in: {failed:?}", began.elapsed()));
                return tally;
            }
        };
        match ask(&mut stream, tally.answered).await {
            Ok(_) => tally.answered += 1,
            Err(error) => {
                tally
                    .lost
                    .push(format!("request of a connection {:?} in: {error}", began.elapsed()));
            }
        }
    }
}

/// Sends a request and reads its answer; tells whether the server closes the connection.
async fn ask(stream: &mut TcpStream, turn: u64) -> io::Result<bool> {
    let exchange = async {
        stream.write_all(if turn.is_multiple_of(2) { GET } else { POST }).await?;
        let mut received = Vec::with_capacity(512);
        loop {
            if stream.read_buf(&mut received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(response) = Response::parse(&received)
                && received.len() >= response.length
            {
                return match response.status {
                    201 => Ok(response.closes),
                    other => Err(io::Error::other(format!("status {other}"))),
                };
            }
        }
    };
    timeout(LIMIT, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
