//! The load generator as an instrument: held against what can be computed by hand, not against itself.
//!
//!     cargo bench -p websample-load --bench instrument              # everything, a minute
//!     cargo bench -p websample-load --bench instrument -- stall     # one section
//!
//! The server it measures is a process of its own, on the loopback interface. Where `oha` is on the
//! PATH (`cargo install oha`), it runs over the same stall, with and without latency correction.

mod measured;
mod oha;
mod server;
mod stall;

use std::{
    env,
    error::Error,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use websample_load::{Bounds, Direct, Engine, LoadReport, Mix, raise_file_limit};

use self::{
    measured::{Row, Table, cpu_time, resident},
    server::Server,
};

const USAGE: &str = "\
usage: cargo bench -p websample-load --bench instrument [-- SECTION…]

Sections, all of them by default:
  stall        counts and percentiles over a server that stalls for a second
  rate         20,000 requests a second: how late they are sent, what one costs
  connections  10,000 kept connections
  memory       what 100,000 and 400,000 requests leave behind";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|given| given != "--bench").collect();
    // `cargo test --all-targets` runs this too, and measures nothing.
    if arguments.is_empty() && !env::args().any(|given| given == "--bench") {
        return ExitCode::SUCCESS;
    }
    let done = match arguments.first().map(String::as_str) {
        Some("--serve") => server::serve(&arguments[1..]),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        _ => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instrument: {error}");
            ExitCode::FAILURE
        }
    }
}

type Section = fn(&mut Table) -> Result<(), Box<dyn Error>>;

const SECTIONS: [(&str, Section); 4] =
    [("stall", stall::measure), ("rate", rate), ("connections", connections), ("memory", memory)];

fn measure(names: &[String]) -> Result<(), Box<dyn Error>> {
    if let Some(name) = names.iter().find(|name| SECTIONS.iter().all(|(known, _)| known != name)) {
        return Err(format!("unknown section '{name}'; the sections are:\n\n{USAGE}").into());
    }
    raise_file_limit();
    let mut table = Table::default();
    for (name, section) in SECTIONS {
        if names.is_empty() || names.iter().any(|asked| asked == name) {
            eprintln!("instrument: {name}");
            section(&mut table)?;
        }
    }
    println!("{table}");
    Ok(())
}

/// Sends a mix for so long.
fn send(mix: &str, server: &Server, duration: Duration) -> Result<LoadReport, Box<dyn Error>> {
    let mix: Mix = mix.parse()?;
    let bounds = Bounds { in_flight: 12_000, ..Bounds::default() };
    let engine = Engine::new(mix, Arc::new(Direct(server.address)), bounds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(engine.run(Some(duration), CancellationToken::new()))?)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The schedule is kept at a high rate, by one core.
fn rate(table: &mut Table) -> Result<(), Box<dyn Error>> {
    let server = Server::start(&[])?;
    let (began, cpu_before) = (Instant::now(), cpu_time()?);
    let report = send("20000/s keep-alive GET / connections=64", &server, Duration::from_secs(5))?;
    let (elapsed, cpu) = (began.elapsed(), cpu_time()?.saturating_sub(cpu_before));
    let total = &report.total;
    let late = milliseconds(total.send_delay.quantile(0.99));
    table
        .push(Row::new("20,000 requests/s for 5 s: sent", total.requests as f64, "").of(100_000.0));
    table.push(Row::new("their send delay, p99", late, "ms").below(1.0));
    let busy = cpu.as_secs_f64() / elapsed.as_secs_f64();
    table.push(Row::new("processors that took", busy, "").below(1.0));
    table.push(Row::new("lost", total.lost as f64, "").of(0.0));
    Ok(())
}

/// Connections that are kept are kept, and all of them are used.
fn connections(table: &mut Table) -> Result<(), Box<dyn Error>> {
    let server = Server::start(&[])?;
    let mix = "2000/s keep-alive GET / connections=10000";
    let report = send(mix, &server, Duration::from_secs(10))?;
    table.push(
        Row::new("10,000 connections, each used twice: lost", report.total.lost as f64, "").of(0.0),
    );
    let accepted = server.accepted()?;
    table.push(Row::new("connections that the server saw", accepted as f64, "").of(10_000.0));
    Ok(())
}

/// What was sent is counted, not kept.
fn memory(table: &mut Table) -> Result<(), Box<dyn Error>> {
    let server = Server::start(&[])?;
    let mix = "10000/s keep-alive GET / connections=64";
    send(mix, &server, Duration::from_secs(10))?;
    let few = resident()?;
    send(mix, &server, Duration::from_secs(40))?;
    let many = resident()?;
    let grown = many.saturating_sub(few) as f64 / f64::from(1 << 20);
    table
        .push(Row::new("memory that 400,000 requests take after 100,000", grown, "MiB").below(1.0));
    Ok(())
}
