//! What a result has to be: the conditions of `--fail-on`, and whether a run says anything at all.
//!
//! One grammar for every rollout, of our own and of somebody else's: `[MODE:]MEASURE[SIGN LIMIT]`. A measure
//! that counts something stands for itself where nothing of it may be: `killed` is `killed>0`.

mod seen;

use std::{fmt, str::FromStr, time::Duration};

use websample_load::Outcome;

use self::seen::Seen;
use super::report::RunReport;

/// Where the generator sent 1 % of the requests later than this, it did not keep its rate, and what was
/// measured is as much its own doing as the server's.
const SEND_DELAY: Duration = Duration::from_millis(250);

/// A condition under which a result is not good enough, such as `lost>0`, `drain:p99>500ms` or `killed`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The mode that it is about; `None` for all.
    mode: Option<String>,
    measure: Measure,
    comparison: Comparison,
    limit: f64,
    /// As it was written.
    text: String,
}

/// The measures, for whoever wrote none.
const MEASURES: &str = "measures are lost, lost_with_retries, killed, hook-failed, restarted, oom-killed, \
                        probe-failed, no-endpoint, replaced, p50, p90, p95, p99, max and send_delay_p50 to \
                        send_delay_max";

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Lost,
    /// Percent of the requests.
    LostShare,
    LostWithRetries,
    /// Pods that something was seen of.
    Pods(Seen),
    /// Times at which the Service had no ready endpoint left.
    NoEndpoint,
    /// A quantile of the latency, in seconds.
    Latency(Quantile),
    /// A quantile of the delay between the intended and the real send, in seconds.
    SendDelay(Quantile),
    /// How long the update, or another event, took, in seconds.
    Replaced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantile {
    P50,
    P90,
    P95,
    P99,
    Max,
}

/// What a measure may be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Count,
    Time,
}

const QUANTILES: [(&str, Quantile); 5] = [
    ("p50", Quantile::P50),
    ("p90", Quantile::P90),
    ("p95", Quantile::P95),
    ("p99", Quantile::P99),
    ("max", Quantile::Max),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The longer ones first: `>=` begins like `>`.
const COMPARISONS: [(&str, Comparison); 4] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

impl Measure {
    fn named(name: &str) -> Option<Self> {
        let quantile = |name: &str| QUANTILES.iter().find(|(n, _)| *n == name).map(|(_, q)| *q);
        // Both are written, in files and in commands.
        let name = name.replace('-', "_");
        Some(match name.as_str() {
            "lost" | "loss" => Self::Lost,
            "lost_with_retries" => Self::LostWithRetries,
            "no_endpoint" => Self::NoEndpoint,
            "replaced" => Self::Replaced,
            name => match (Seen::named(name), name.strip_prefix("send_delay_")) {
                (Some(seen), _) => Self::Pods(seen),
                (None, Some(name)) => Self::SendDelay(quantile(name)?),
                (None, None) => Self::Latency(quantile(name)?),
            },
        })
    }

    /// Whether it is of requests, so that it says nothing where none are sent.
    const fn is_of_requests(self) -> bool {
        !matches!(self, Self::Pods(_) | Self::NoEndpoint | Self::Replaced)
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Lost
            | Self::LostShare
            | Self::LostWithRetries
            | Self::Pods(_)
            | Self::NoEndpoint => Kind::Count,
            Self::Latency(_) | Self::SendDelay(_) | Self::Replaced => Kind::Time,
        }
    }

    /// What it comes to of what happened after `from`.
    fn of(self, run: &RunReport, from: Duration) -> f64 {
        let seconds = |latency: &super::report::Latency, quantile| {
            let millis = match quantile {
                Quantile::P50 => latency.p50,
                Quantile::P90 => latency.p90,
                Quantile::P95 => latency.p95,
                Quantile::P99 => latency.p99,
                Quantile::Max => latency.max,
            };
            millis / 1e3
        };
        match self {
            Self::Lost => run.lost as f64,
            Self::LostShare => 100.0 * run.lost as f64 / run.requests.max(1) as f64,
            Self::LostWithRetries => run.lost_with_retries as f64,
            Self::Pods(seen) => seen.pods(&run.pods, from).len() as f64,
            Self::NoEndpoint => seen::without_endpoint(&run.pods, from).len() as f64,
            Self::Latency(quantile) => seconds(&run.latency_ms, quantile),
            Self::SendDelay(quantile) => seconds(&run.send_delay_ms, quantile),
            Self::Replaced => run.rollout_seconds,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::LostShare => format!("{value:.3}%"),
            Self::Lost | Self::LostWithRetries | Self::Pods(_) | Self::NoEndpoint => {
                format!("{value:.0}")
            }
            Self::Latency(_) | Self::SendDelay(_) => format!("{:.1}ms", value * 1e3),
            Self::Replaced => format!("{value:.1}s"),
        }
    }
}

/// A condition that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no condition: {why}")]
pub struct NoCondition {
    text: String,
    why: String,
}

impl FromStr for Condition {
    type Err = NoCondition;

    fn from_str(text: &str) -> Result<Self, NoCondition> {
        let fail = |why: &str| Err(NoCondition { text: text.to_owned(), why: why.to_owned() });
        let found = COMPARISONS.iter().find_map(|(sign, comparison)| {
            let (left, right) = text.split_once(sign)?;
            Some((left.trim(), *comparison, right.trim()))
        });
        let alone = (text.trim(), Comparison::Above, "");
        let (left, comparison, right) = found.unwrap_or(alone);
        // A mode may have colons of its own, as in drain+sleep:5s.
        let (mode, name) = match left.rsplit_once(':') {
            Some((mode, name)) => (Some(mode.trim().to_owned()), name.trim()),
            None => (None, left),
        };
        let Some(mut measure) = Measure::named(name) else {
            return fail(MEASURES);
        };
        let limit = match measure.kind() {
            // Nothing of it may be.
            Kind::Count if found.is_none() => 0.0,
            Kind::Time if found.is_none() => {
                return fail("write one of > >= < <= and a time behind it, such as p99>500ms");
            }
            Kind::Time => match humantime::parse_duration(right) {
                Ok(limit) => limit.as_secs_f64(),
                Err(_) => return fail("the limit is a time, such as 500ms or 20s"),
            },
            Kind::Count => {
                let (number, share) = match right.strip_suffix('%') {
                    Some(number) if measure == Measure::Lost => (number.trim(), true),
                    _ => (right, false),
                };
                if share {
                    measure = Measure::LostShare;
                }
                match number.parse::<f64>() {
                    Ok(limit) if limit.is_finite() && limit >= 0.0 => limit,
                    _ => {
                        return fail(
                            "the limit is a number, such as 0, or of lost a share, as 0.1%",
                        );
                    }
                }
            }
        };
        Ok(Self { mode, measure, comparison, limit, text: text.to_owned() })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    /// The mode that it is about, if it is about one.
    pub fn mode(&self) -> Option<&str> {
        self.mode.as_deref()
    }

    /// Whether it is of requests, so that it says nothing where none are sent.
    pub fn is_of_requests(&self) -> bool {
        self.measure.is_of_requests()
    }

    /// What of a run is as it must not be, if it is about this run and holds.
    pub fn met(&self, run: &RunReport) -> Option<String> {
        let what = self.seen(run, Duration::ZERO)?;
        Some(format!("{self}: {} has {what} in repeat {}", run.mode, run.repeat))
    }

    /// What of it was seen in a run after `from`, if it is about this run and holds.
    pub fn seen(&self, run: &RunReport, from: Duration) -> Option<String> {
        if self.mode.as_ref().is_some_and(|mode| !is_called(&run.mode, mode)) {
            return None;
        }
        let value = self.measure.of(run, from);
        let met = match self.comparison {
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
        };
        met.then(|| self.shown(value, run, from))
    }

    /// A value, with what it is made of.
    fn shown(&self, value: f64, run: &RunReport, from: Duration) -> String {
        let shown = self.measure.show(value);
        match self.measure {
            Measure::Lost => format!("{shown} of {} requests", run.requests),
            Measure::Pods(seen) if value > 0.0 => {
                format!("{shown} ({})", seen.pods(&run.pods, from).join(", "))
            }
            Measure::NoEndpoint if value > 0.0 => {
                let times = seen::without_endpoint(&run.pods, from);
                let times: Vec<_> =
                    times.iter().map(|at| format!("{:.1} s", at.as_secs_f64())).collect();
                format!("no ready endpoint {} after the beginning", times.join(", "))
            }
            _ => shown,
        }
    }
}

/// Whether a run is of this mode: where several events were compared, its label says more.
fn is_called(label: &str, mode: &str) -> bool {
    label == mode || label.strip_prefix(mode).is_some_and(|rest| rest.starts_with(" ("))
}

/// Why nothing follows from these runs, if it does not: the generator did not send what it should.
pub fn invalid(runs: &[RunReport]) -> Option<String> {
    runs.iter().find_map(|run| {
        let unsent = run.outcomes.get(&Outcome::Unsent).copied().unwrap_or(0);
        let delay = run.send_delay_ms.p99;
        if unsent > 0 {
            return Some(format!(
                "{}: {unsent} of {} requests were not sent",
                run.mode, run.requests
            ));
        }
        let limit = SEND_DELAY.as_secs_f64() * 1e3;
        (delay > limit).then(|| {
            format!("{}: 1 % of the requests were sent more than {delay:.0} ms late", run.mode)
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn run(mode: &str, lost: u64) -> RunReport {
        let zeros = r#"{"p50":1,"p90":2,"p95":3,"p99":400,"max":5000}"#;
        let text = format!(
            r#"{{"mode":"{mode}","repeat":0,"seed":1,"pre_stop":"none","requests":1000,"lost":{lost},
                "outcomes":{{}},"lost_with_retries":0,"latency_ms":{zeros},"send_delay_ms":{zeros},
                "rollout_began":2,"rollout_seconds":12.5,"killed":4,"causes":[],"streams":[],"pods":[],
                "losses":[],"seconds":[]}}"#
        );
        serde_json::from_str(&text).expect("a run")
    }

    fn met(condition: &str, runs: &[RunReport]) -> usize {
        let condition: Condition = condition.parse().expect(condition);
        runs.iter().filter_map(|run| condition.met(run)).count()
    }

    #[test]
    fn conditions_hold_of_the_runs_they_are_about() {
        let runs = [run("graceful", 12), run("drain", 0), run("drain (evict)", 1)];
        for (condition, expected) in [
            ("lost>0", 2),
            ("lost >= 12", 1),
            ("lost>1%", 1),
            ("lost<1", 1),
            ("drain:lost>0", 1),
            ("drain (evict):lost>0", 1),
            ("graceful:lost>0", 1),
            ("p99>399ms", 3),
            ("p99>400ms", 0),
            ("max<=5s", 3),
            ("send_delay_p50>2ms", 0),
            ("replaced>12s", 3),
            ("replaced>20s", 0),
            ("killed>0", 0),
            ("lost", 2),
            ("loss", 2),
            ("drain:lost", 1),
            ("killed", 0),
        ] {
            assert_eq!(met(condition, &runs), expected, "{condition}");
        }
        let condition: Condition = "graceful:lost>0.1%".parse().expect("one");
        let said = condition.met(&runs[0]);
        assert_eq!(said.as_deref(), Some("graceful:lost>0.1%: graceful has 1.200% in repeat 0"));
    }

    #[test]
    fn a_mode_may_have_colons() {
        let condition: Condition = "api+sleep:5s:lost>0".parse().expect("one");
        assert_eq!(condition.mode(), Some("api+sleep:5s"));
    }

    #[test]
    fn what_is_no_condition_is_told_with_what_would_be_one() {
        for (text, expected) in [
            ("misses", "measures are lost,"),
            ("misses>0", "measures are lost,"),
            ("p99", "such as p99>500ms"),
            ("replaced", "such as p99>500ms"),
            ("p99>5", "the limit is a time"),
            ("lost>many", "the limit is a number"),
            ("killed>1%", "the limit is a number"),
            ("lost>-1", "the limit is a number"),
        ] {
            let error = text.parse::<Condition>().expect_err(text).to_string();
            assert!(error.contains(expected) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_generator_that_did_not_keep_up_makes_a_run_worthless() {
        assert!(invalid(&[run("drain", 0)]).is_some_and(|why| why.contains("400 ms late")));
        let mut good = run("drain", 0);
        good.send_delay_ms.p99 = 1.0;
        assert_eq!(invalid(std::slice::from_ref(&good)), None);
        good.outcomes.insert(Outcome::Unsent, 3);
        assert_eq!(invalid(&[good]).as_deref(), Some("drain: 3 of 1000 requests were not sent"));
    }
}
