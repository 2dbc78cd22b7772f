//! What a scrape takes, and whether load makes it wait.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    client, load,
    server::{Kind, Programs, Settings},
    table::{Row, Spread, Table},
};

/// As many as make a 99th percentile.
const SCRAPES: usize = 2_000;

/// Between two scrapes: more of them than any Prometheus would send, so that it takes no minutes,
/// and few enough to be no load themselves.
const GAP: Duration = Duration::from_millis(2);

/// Requests of one run of the load, which is repeated for as long as is scraped.
const REQUESTS: u64 = 60_000;

/// Milliseconds from the first byte of a question to the last of its answer.
struct Times {
    scrapes: Spread,
    /// The same of a question that costs next to nothing, asked in turn with the scrapes: what of
    /// a scrape's time is the wait for a processor.
    liveness: Spread,
    /// Length of what is scraped.
    bytes: usize,
}

pub(crate) fn measure(programs: &Programs, table: &mut Table) -> Result<()> {
    let server = Settings::new(Kind::Websample).start(programs)?;
    let before = server.cpu()?;
    let idle = ask_in_turn(server.admin)?;
    let micros = (server.cpu()? - before) as f64 / 1e3 / SCRAPES as f64;
    table.push(Row {
        what: "a scrape and a /liveness: CPU µs".to_owned(),
        websample: format!("{micros:.0}"),
        ..Row::default()
    });
    push(table, "idle", &idle);
    server.stop()?;
    for workers in [1, 2] {
        let server = Settings::new(Kind::Websample).workers(workers).start(programs)?;
        let (times, rates) = under_load(server.address, server.admin)?;
        let threads = if workers == 1 { "1 worker" } else { "2 workers" };
        push(table, &format!("at {:.0} requests/s, {threads}", rates.median()), &times);
        server.stop()?;
    }
    Ok(())
}

fn push(table: &mut Table, when: &str, times: &Times) {
    let shown = |times: &Spread| {
        let [middle, last, most] = [0.5, 0.99, 1.0].map(|part| times.quantile(part));
        format!("{middle:.2}, {last:.2}, {most:.2}")
    };
    table.push(Row {
        what: format!(
            "a scrape of {} bytes, {when}: ms, median, p99, longest of {}",
            times.bytes,
            times.scrapes.count()
        ),
        websample: shown(&times.scrapes),
        target: "p99 ≤ 2".to_owned(),
        met: Some(times.scrapes.quantile(0.99) <= 2.0),
        ..Row::default()
    });
    table.push(Row {
        what: format!("/liveness in turn with it, {when}: the same"),
        websample: shown(&times.liveness),
        ..Row::default()
    });
}

/// Scrapes while h2load keeps every worker busy; also gives how many requests a second it sent.
fn under_load(traffic: SocketAddr, admin: SocketAddr) -> Result<(Times, Spread)> {
    let scraped = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut rates = Vec::new();
            while !scraped.load(Ordering::Relaxed) {
                rates.push(load::GET.run(traffic, REQUESTS, &[])?);
            }
            anyhow::Ok(rates)
        });
        let times = ask_in_turn(admin);
        scraped.store(true, Ordering::Relaxed);
        let rates = load.join().expect("it does not panic")?;
        Ok((times?, Spread::of(rates)))
    })
}

/// On one connection, as Prometheus keeps one.
fn ask_in_turn(admin: SocketAddr) -> Result<Times> {
    let mut stream = client::send(admin, "/metrics")?;
    client::receive(&mut stream)?;
    let mut times = [const { Vec::new() }; 2];
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        for (path, times) in ["/metrics", "/liveness"].into_iter().zip(&mut times) {
            thread::sleep(GAP);
            let began = Instant::now();
            let length = ask(&mut stream, path)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            bytes = bytes.max(length);
        }
    }
    let [scrapes, liveness] = times.map(Spread::of);
    Ok(Times { scrapes, liveness, bytes })
}

/// Asks, and reads the answer to its end; the length of its body.
fn ask(stream: &mut TcpStream, path: &str) -> Result<usize> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection was closed under {path}");
        received.extend_from_slice(&buffer[..count]);
        if let Some(response) = client::Response::parse(&received)
            && received.len() >= response.length
        {
            ensure!(response.status == 200, "{path} was answered with {}", response.status);
            let head = received.windows(4).position(|end| end == b"\r\n\r\n");
            return Ok(response.length - head.context("it has a head")? - 4);
        }
    }
}
