//! What a line of the access log costs.

use anyhow::Result;

use super::{
    instructions::Counter,
    load,
    requests::{alternate, median, ratios},
    server::{Kind, Programs},
    table::{Row, Table},
};

/// Microseconds of CPU time a line as JSON, at most.
const LIMIT: f64 = 0.8;

pub(crate) fn measure(programs: &Programs, rounds: usize, table: &mut Table) -> Result<()> {
    let counter = Counter::choose()?;
    let silent = counter.per_request(programs, Kind::Websample, load::GET)?;
    for format in ["json", "human"] {
        let logging = counter.per_request(programs, Kind::Logging(format), load::GET)?;
        table.push(Row {
            what: format!("access log as {format}: instructions/request more"),
            websample: format!("{:.0}", logging - silent),
            ratio: format!("{:.3}", logging / silent),
            ..Row::default()
        });
    }
    for format in ["json", "human"] {
        let kinds = [Kind::Logging(format), Kind::Websample];
        let [logging, silent] = alternate(programs, kinds, load::GET, 1, rounds)?;
        let more = median(&logging, |run| run.cpu) - median(&silent, |run| run.cpu);
        let has_limit = format == "json";
        table.push(Row {
            what: format!("access log as {format}: CPU µs/request more"),
            websample: format!("{more:.2}"),
            ratio: format!("{:.3}", ratios(&logging, &silent, |run| run.cpu)),
            target: if has_limit { format!("≤ {LIMIT}") } else { String::new() },
            met: has_limit.then_some(more <= LIMIT),
            ..Row::default()
        });
    }
    Ok(())
}
