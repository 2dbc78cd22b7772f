//! A stall of a known second: what an open loop must see of it can be computed.
//!
//! Of `RATE` × `SECONDS` requests, one every 1 / `RATE` seconds, those that are due within the stall wait
//! for its end: the first for the whole second, the last for next to nothing, those in between for what
//! is left of it. A share q of all is above the latency at which (1 - x) / `SECONDS` = q.

use std::{error::Error, time::Duration};

use super::{
    measured::{Row, Table},
    milliseconds, oha, send,
    server::Server,
};

pub(crate) const RATE: u32 = 1_000;
pub(crate) const SECONDS: u32 = 5;
/// The stall begins with the request that is due then, in seconds from the start.
const BEGINS: u32 = 2;
const STALL: Duration = Duration::from_secs(1);

/// A server that stalls.
pub(crate) fn server() -> Result<Server, Box<dyn Error>> {
    let (after, lasts) = ((BEGINS * RATE).to_string(), STALL.as_millis().to_string());
    Server::start(&[&after, &lasts])
}

/// The latency that this share of the requests does not exceed, in milliseconds.
pub(crate) fn by_hand(quantile: f64) -> f64 {
    milliseconds(STALL) - (1.0 - quantile) * 1_000.0 * f64::from(SECONDS)
}

pub(crate) const QUANTILES: [f64; 3] = [0.90, 0.95, 0.99];

pub(crate) fn measure(table: &mut Table) -> Result<(), Box<dyn Error>> {
    for protocol in ["new", "keep-alive"] {
        let server = server()?;
        let mix = format!("{RATE}/s {protocol} GET /");
        let report = send(&mix, &server, Duration::from_secs(SECONDS.into()))?;
        let (total, named) = (&report.total, |what: &str| format!("{protocol}: {what}"));
        let all = f64::from(RATE * SECONDS);
        table.push(Row::new(named("requests"), total.requests as f64, "").of(all));
        table.push(Row::new(named("lost"), total.lost as f64, "").of(0.0));
        // Half of the stalled wait for more than half of the stall, and nobody else does.
        let half = milliseconds(STALL) / 2.0;
        let slower = total.latency.count_above(STALL / 2);
        let expected = f64::from(RATE) / 2.0;
        let row = Row::new(named(&format!("longer than {half} ms")), slower as f64, "");
        table.push(row.of(expected));
        for quantile in QUANTILES {
            let measured = milliseconds(total.latency.quantile(quantile));
            let row = Row::new(named(&format!("p{:.0}", quantile * 100.0)), measured, "ms");
            table.push(row.of(by_hand(quantile)));
        }
        let mean = milliseconds(total.latency.mean());
        // The rest takes a fraction of a millisecond, which by hand is nothing.
        let expected = milliseconds(STALL) / 2.0 / f64::from(SECONDS);
        table.push(Row::new(named("mean"), mean, "ms").of(expected));
        table.push(Row::new(named("max"), milliseconds(total.latency.max()), "ms").of(1_000.0));
    }
    oha::measure(table)
}
