//! What a server costs while it has nothing to do, and how soon it comes and goes.

use std::{
    fs,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    client,
    server::{Kind, Programs, Server, Settings},
    table::{Row, Spread, Table},
};

/// How often each time is taken; plain's exits last up to a second.
const TIMES: usize = 50;
const TIMES_PLAIN: usize = 25;

const MIB: f64 = 1024.0 * 1024.0;

/// The request in flight at SIGTERM, and how long it has been then.
const SLOW: &str = "/sleep/0.3";
const BEFORE_SIGNAL: Duration = Duration::from_millis(100);

/// Idle is who had no connection for this long: within a second of one the server waits 20 ms for
/// handshakes under way.
const IDLE: Duration = Duration::from_millis(1200);

/// Servers that are idle at the same time.
const BATCH: usize = 10;

/// Connections that are kept, as many as a shell's limit of open files allows.
const CONNECTIONS: usize = 900;

/// For threads to have touched what they touch first.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn measure(programs: &Programs, table: &mut Table) -> Result<()> {
    let both = |measure: fn(Server) -> Result<f64>| -> Result<[Spread; 2]> {
        let series = |kind, times| -> Result<Spread> {
            let values: Result<Vec<f64>> =
                (0..times).map(|_| measure(Settings::new(kind).start(programs)?)).collect();
            Ok(Spread::of(values?))
        };
        Ok([series(Kind::Websample, TIMES)?, series(Kind::Plain, TIMES_PLAIN)?])
    };
    table.push(times("start to first 200 on /readiness", &both(ready)?, 50.0));
    let idle = [
        idle_exits(programs, Kind::Websample, TIMES)?,
        idle_exits(programs, Kind::Plain, TIMES_PLAIN)?,
    ];
    table.push(times("idle, no delay: SIGTERM to exit", &idle, 10.0));
    table.push(times("last byte of the last response to exit", &both(last_byte_exit)?, 5.0));

    let [websample, plain] = both(resident)?;
    table.push(Row {
        what: "resident memory when idle, MiB".to_owned(),
        websample: format!("{:.1}", websample.median()),
        plain: format!("{:.1}", plain.median()),
        ratio: format!("{:.2}", websample.median() / plain.median()),
        target: "≤ 12".to_owned(),
        met: Some(websample.median() <= 12.0),
    });
    let [websample, plain] = both(of_connections)?;
    let ratio = websample.median() / plain.median();
    table.push(Row {
        what: format!("memory of an idle kept connection, of {CONNECTIONS}: KiB"),
        websample: format!("{websample:.2}"),
        plain: format!("{plain:.2}"),
        ratio: format!("{ratio:.3}"),
        target: "≤ 1.02".to_owned(),
        met: Some(ratio <= 1.02),
    });
    let size = |path| -> Result<f64> {
        let file = fs::metadata(path).context("a server's binary")?;
        Ok(file.len() as f64 / MIB)
    };
    let [websample, plain] = [size(&programs.websample)?, size(&programs.plain)?];
    table.push(Row {
        what: "server-only binary, stripped, MiB".to_owned(),
        websample: format!("{websample:.1}"),
        plain: format!("{plain:.1}"),
        ratio: format!("{:.2}", websample / plain),
        target: "≤ 4.5".to_owned(),
        met: Some(websample <= 4.5),
    });
    Ok(())
}

fn times(what: &str, [websample, plain]: &[Spread; 2], limit: f64) -> Row {
    Row {
        what: format!("{what}, ms (median of {})", websample.count()),
        websample: format!("{websample:.1}"),
        plain: format!("{plain:.1}"),
        target: format!("≤ {limit}"),
        met: Some(websample.median() <= limit),
        ..Row::default()
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn ready(server: Server) -> Result<f64> {
    let after = server.ready_after;
    server.stop()?;
    Ok(millis(after))
}

/// Starts several servers at once, since each has to be left alone for a while first.
fn idle_exits(programs: &Programs, kind: Kind, times: usize) -> Result<Spread> {
    let mut values = Vec::new();
    while values.len() < times {
        let batch = BATCH.min(times - values.len());
        let servers: Result<Vec<Server>> =
            (0..batch).map(|_| Settings::new(kind).start(programs)).collect();
        thread::sleep(IDLE);
        for server in servers? {
            let began = Instant::now();
            let exit = server.stop()?;
            ensure!(exit.status.success(), "a server ended with {}", exit.status);
            values.push(millis(exit.at.saturating_duration_since(began)));
        }
    }
    Ok(Spread::of(values))
}

fn last_byte_exit(server: Server) -> Result<f64> {
    let mut stream = client::send(server.address, SLOW)?;
    thread::sleep(BEFORE_SIGNAL);
    server.terminate()?;
    let ending = server.watch();
    let status = client::receive(&mut stream)?;
    let last_byte = Instant::now();
    ensure!(status == 201, "the request in flight was answered with {status}");
    // As the response says; a client that stays is waited for, for two seconds.
    drop(stream);
    let exit = ending.wait()?;
    ensure!(exit.status.success(), "a server ended with {}", exit.status);
    Ok(millis(exit.at.saturating_duration_since(last_byte)))
}

fn resident(server: Server) -> Result<f64> {
    thread::sleep(SETTLE);
    let kib = server.resident()?;
    server.stop()?;
    Ok(kib as f64 / 1024.0)
}

/// What a connection adds that was used once and is kept.
fn of_connections(server: Server) -> Result<f64> {
    thread::sleep(SETTLE);
    let before = server.resident()?;
    let kept: Result<Vec<TcpStream>> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = client::send(server.address, "/")?;
            client::receive(&mut stream)?;
            Ok(stream)
        })
        .collect();
    let kept = kept?;
    thread::sleep(SETTLE);
    let after = server.resident()?;
    drop(kept);
    server.stop()?;
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64)
}
