//! Throughput, and CPU time a request.

use anyhow::Result;

use super::{
    load::{self, Load},
    server::{Kind, Programs, Settings},
    table::{Row, Spread, Table},
};

/// Requests of one run: a second or two of a worker's time.
const REQUESTS: u64 = 60_000;

/// Requests before those that are measured.
const WARM_UP: u64 = 6_000;

/// What one run gave.
pub(crate) struct Run {
    /// Requests a second.
    rate: f64,
    /// Microseconds of CPU time a request, in the kernel as well.
    pub(crate) cpu: f64,
}

/// A load, and how many threads bear it.
const LOADS: [(Load, usize); 4] = [(load::GET, 1), (load::POST, 1), (load::H2C, 1), (load::GET, 2)];

pub(crate) fn measure(programs: &Programs, rounds: usize, table: &mut Table) -> Result<()> {
    for (load, workers) in LOADS {
        let [websample, plain] =
            alternate(programs, [Kind::Websample, Kind::Plain], load, workers, rounds)?;
        let threads = if workers == 1 { "1 worker" } else { "2 workers" };
        let rates = ratios(&websample, &plain, |run| run.rate);
        table.push(Row {
            what: format!("{}, {threads}: requests/s", load.name),
            websample: format!("{:.0}", median(&websample, |run| run.rate)),
            plain: format!("{:.0}", median(&plain, |run| run.rate)),
            ratio: format!("{rates:.3}"),
            target: "≥ 0.97".to_owned(),
            met: Some(rates.median() >= 0.97),
        });
        let limit = if load.is_http2() { 1.05 } else { 1.03 };
        let cpu = ratios(&websample, &plain, |run| run.cpu);
        table.push(Row {
            what: format!("{}, {threads}: CPU µs/request", load.name),
            websample: format!("{:.2}", median(&websample, |run| run.cpu)),
            plain: format!("{:.2}", median(&plain, |run| run.cpu)),
            ratio: format!("{cpu:.3}"),
            target: format!("≤ {limit}"),
            met: Some(cpu.median() <= limit),
        });
    }
    Ok(())
}

/// Runs both servers in turns, each a fresh process every time, the first one by turns first.
pub(crate) fn alternate(
    programs: &Programs,
    kinds: [Kind; 2],
    load: Load,
    workers: usize,
    rounds: usize,
) -> Result<[Vec<Run>; 2]> {
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let server = Settings::new(kinds[which]).workers(workers).start(programs)?;
            load.run(server.address, WARM_UP, &[])?;
            let before = server.cpu()?;
            let rate = load.run(server.address, REQUESTS, &[])?;
            let cpu = (server.cpu()? - before) as f64 / 1e3 / REQUESTS as f64;
            runs[which].push(Run { rate, cpu });
            server.stop()?;
        }
    }
    Ok(runs)
}

pub(crate) fn median(runs: &[Run], number: impl Fn(&Run) -> f64) -> f64 {
    Spread::of(runs.iter().map(number)).median()
}

/// Of runs that followed each other, so that what disturbed both is in neither ratio.
pub(crate) fn ratios(ours: &[Run], theirs: &[Run], number: impl Fn(&Run) -> f64) -> Spread {
    Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| number(ours) / number(theirs)))
}
