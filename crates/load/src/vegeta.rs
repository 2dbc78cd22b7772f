//! Reports in vegeta's layout, with the lines that only this generator can write.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    attempt::{Outcome, Version},
    report::{Distribution, LoadReport, Tally},
};

/// Vegeta's text report: the same labels, units and columns, so that what reads the one reads
/// the other.
///
/// Between `Status Codes` and `Error Set` stand three lines that vegeta does not have:
/// outcomes, losses, and the delay between intended and real send.
#[derive(Debug, Clone, Copy)]
pub struct TextReport<'a>(pub &'a LoadReport);

impl fmt::Display for TextReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.0.total;
        let rates = Rates::of(tally);
        let (duration, wait) = (tally.duration(), tally.wait());
        let latency = &tally.latency;
        let mut line =
            |label: &str, unit: &str, value: &str| writeln!(f, "{label:<14}{unit:<34}{value}");
        line(
            "Requests",
            "[total, rate, throughput]",
            &format!("{}, {:.2}, {:.2}", tally.requests, rates.rate, rates.throughput),
        )?;
        line("Duration", "[total, attack, wait]", &list([duration + wait, duration, wait]))?;
        line(
            "Latencies",
            "[min, mean, 50, 90, 95, 99, max]",
            &list([
                latency.min(),
                latency.mean(),
                latency.quantile(0.50),
                latency.quantile(0.90),
                latency.quantile(0.95),
                latency.quantile(0.99),
                latency.max(),
            ]),
        )?;
        for (label, total) in [("Bytes In", tally.bytes_in), ("Bytes Out", tally.bytes_out)] {
            let mean = mean(total, tally.requests);
            line(label, "[total, mean]", &format!("{total}, {mean:.2}"))?;
        }
        line("Success", "[ratio]", &format!("{:.2}%", tally.success() * 100.0))?;
        line("Status Codes", "[code:count]", &pairs(&tally.status_codes))?;
        line("Outcomes", "[name:count]", &pairs(&tally.outcomes))?;
        line(
            "Lost",
            "[total, with retries]",
            &format!("{}, {}", tally.lost, tally.lost_with_retries),
        )?;
        let delay = &tally.send_delay;
        line(
            "Send Delay",
            "[50, 99, max]",
            &list([delay.quantile(0.50), delay.quantile(0.99), delay.max()]),
        )?;
        writeln!(f, "Error Set:")?;
        for error in tally.errors.keys() {
            writeln!(f, "{error}")?;
        }
        if tally.other_errors > 0 {
            writeln!(f, "and {} of other kinds", tally.other_errors)?;
        }
        Ok(())
    }
}

/// Vegeta's JSON report, durations in nanoseconds, and our own members after it.
#[derive(Debug, Clone, Serialize)]
pub struct JsonReport {
    latencies: Latencies,
    bytes_in: Bytes,
    bytes_out: Bytes,
    earliest: String,
    latest: String,
    end: String,
    duration: u64,
    wait: u64,
    requests: u64,
    rate: f64,
    throughput: f64,
    success: f64,
    status_codes: BTreeMap<u16, u64>,
    errors: Vec<String>,
    outcomes: BTreeMap<Outcome, u64>,
    lost: u64,
    lost_with_retries: u64,
    versions: BTreeMap<Version, u64>,
    send_delay: Delays,
    peak_in_flight: usize,
    mix: String,
}

#[derive(Debug, Clone, Serialize)]
struct Latencies {
    total: u64,
    mean: u64,
    #[serde(rename = "50th")]
    p50: u64,
    #[serde(rename = "90th")]
    p90: u64,
    #[serde(rename = "95th")]
    p95: u64,
    #[serde(rename = "99th")]
    p99: u64,
    max: u64,
    min: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Bytes {
    total: u64,
    mean: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Delays {
    #[serde(rename = "50th")]
    p50: u64,
    #[serde(rename = "99th")]
    p99: u64,
    max: u64,
}

impl From<&LoadReport> for JsonReport {
    fn from(report: &LoadReport) -> Self {
        let tally = &report.total;
        let rates = Rates::of(tally);
        let bytes = |total| Bytes { total, mean: mean(total, tally.requests) };
        let first = report.started + tally.first.unwrap_or_default();
        Self {
            latencies: Latencies::of(&tally.latency),
            bytes_in: bytes(tally.bytes_in),
            bytes_out: bytes(tally.bytes_out),
            earliest: timestamp(first),
            latest: timestamp(report.started + tally.last),
            end: timestamp(report.started + tally.end),
            duration: nanos(tally.duration()),
            wait: nanos(tally.wait()),
            requests: tally.requests,
            rate: rates.rate,
            throughput: rates.throughput,
            success: tally.success(),
            status_codes: tally.status_codes.clone(),
            errors: tally.errors.keys().map(ToString::to_string).collect(),
            outcomes: tally.outcomes.clone(),
            lost: tally.lost,
            lost_with_retries: tally.lost_with_retries,
            versions: tally.versions.clone(),
            send_delay: Delays {
                p50: nanos(tally.send_delay.quantile(0.50)),
                p99: nanos(tally.send_delay.quantile(0.99)),
                max: nanos(tally.send_delay.max()),
            },
            peak_in_flight: report.peak_in_flight,
            mix: report.mix.to_string(),
        }
    }
}

impl Latencies {
    fn of(latency: &Distribution) -> Self {
        Self {
            total: nanos(latency.total()),
            mean: nanos(latency.mean()),
            p50: nanos(latency.quantile(0.50)),
            p90: nanos(latency.quantile(0.90)),
            p95: nanos(latency.quantile(0.95)),
            p99: nanos(latency.quantile(0.99)),
            max: nanos(latency.max()),
            min: nanos(latency.min()),
        }
    }
}

/// Requests a second, by vegeta's definitions.
struct Rates {
    /// All requests over the time in which they were sent.
    rate: f64,
    /// Successes over that time and the wait for the last answer.
    throughput: f64,
}

impl Rates {
    fn of(tally: &Tally) -> Self {
        let mut rate = tally.requests as f64;
        let mut throughput = tally.count(Outcome::Ok) as f64;
        let seconds = tally.duration().as_secs_f64();
        // A single request takes no time to send: vegeta then shows the counts.
        if seconds > 0.0 {
            rate /= seconds;
            throughput /= seconds + tally.wait().as_secs_f64();
        }
        Self { rate, throughput }
    }
}

/// A duration as Go prints it, rounded by vegeta to the unit below its own.
#[derive(Debug, Clone, Copy)]
pub struct GoDuration(pub Duration);

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MICRO: u64 = 1_000;
        const MILLI: u64 = 1_000 * MICRO;
        const SECOND: u64 = 1_000 * MILLI;
        const MINUTE: u64 = 60 * SECOND;
        const HOUR: u64 = 60 * MINUTE;
        let exact = nanos(self.0);
        let step = match exact {
            HOUR.. => MINUTE,
            MINUTE.. => SECOND,
            SECOND.. => MILLI,
            MILLI.. => MICRO,
            _ => 1,
        };
        let value = (exact + step / 2) / step * step;
        match value {
            0 => f.write_str("0s"),
            1..MICRO => write!(f, "{value}ns"),
            MICRO..MILLI => write!(f, "{}µs", decimal(value, MICRO)),
            MILLI..SECOND => write!(f, "{}ms", decimal(value, MILLI)),
            SECOND..MINUTE => write!(f, "{}s", decimal(value, SECOND)),
            MINUTE..HOUR => write!(f, "{}m{}s", value / MINUTE, decimal(value % MINUTE, SECOND)),
            _ => {
                let (hours, rest) = (value / HOUR, value % HOUR);
                write!(f, "{hours}h{}m{}s", rest / MINUTE, decimal(rest % MINUTE, SECOND))
            }
        }
    }
}

/// `value / unit` in decimals, without trailing zeros; the unit is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn list<const N: usize>(durations: [Duration; N]) -> String {
    durations.map(|duration| GoDuration(duration).to_string()).join(", ")
}

fn pairs<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    counts.iter().fold(String::new(), |mut text, (name, count)| {
        // Writing into a string does not fail.
        let _ = write!(text, "{name}:{count}  ");
        text
    })
}

fn mean(total: u64, requests: u64) -> f64 {
    if requests == 0 { 0.0 } else { total as f64 / requests as f64 }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_nanos(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (1_234_567, "1.235ms"),
            (10_000_000, "10ms"),
            (9_899_999_999, "9.9s"),
            (59_999_900_000, "1m0s"),
            (90_500_000_000, "1m31s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_400_000_000_000, "1h30m0s"),
        ] {
            assert_eq!(GoDuration(Duration::from_nanos(nanos)).to_string(), text, "{nanos}");
        }
    }
}
