//! What a server costs while it has nothing to do, and how soon it comes and goes.

use std::{fs, thread, time::Duration};

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
    table.push(times("idle, no delay: SIGTERM to exit", &both(idle_exit)?, 10.0));
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
        target: "≤ 8".to_owned(),
        met: Some(websample <= 8.0),
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

fn idle_exit(server: Server) -> Result<f64> {
    // What asked for readiness has closed its connection; the server may have yet to see it.
    thread::sleep(Duration::from_millis(50));
    let pid = server.terminate();
    let began = std::time::Instant::now();
    pid?;
    let exit = server.watch().wait()?;
    ensure!(exit.status.success(), "a server ended with {}", exit.status);
    Ok(millis(exit.at.saturating_duration_since(began)))
}

fn last_byte_exit(server: Server) -> Result<f64> {
    let mut stream = client::send(server.address, SLOW)?;
    thread::sleep(BEFORE_SIGNAL);
    server.terminate()?;
    let ending = server.watch();
    let status = client::receive(&mut stream)?;
    let last_byte = std::time::Instant::now();
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
