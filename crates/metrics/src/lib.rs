//! Prometheus metrics of a server.
//!
//! Requests are counted as they end; everything else is read off the lifecycle at the moment of
//! a scrape, so that it costs a request nothing.

#[cfg(target_os = "linux")]
mod process;

#[cfg(target_os = "linux")]
pub use process::Process;

use std::{collections::HashMap, io, time::SystemTime};

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use websample_lifecycle::{Lifecycle, Phase, Signal};

/// Edges on the service objectives and on the drain's budgets, in seconds; and one just above 5 s,
/// without which a request of a little more would be read as anything up to the next one.
const DURATION_EDGES: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 5.1, 10.0, 30.0];

/// The phases in which requests and scrapes come.
const ANSWERING: [Phase; 4] = [Phase::Serving, Phase::LameDuck, Phase::Draining, Phase::Drained];

/// Who this server is, on `websample_build_info`.
#[derive(Debug, Clone, Default)]
pub struct BuildInfo {
    /// The version that is being rolled out.
    pub version: String,
    /// The source revision it was built from, if known.
    pub revision: String,
}

/// The metrics of one server.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: Histogram,
    scrapes: IntCounterVec,
}

impl Metrics {
    /// Makes and registers every family.
    ///
    /// `known` lists routes with the status that they usually answer: their counters are
    /// exported as 0 from the start, so that the first request is an increase.
    ///
    /// They are registered in `registry`, which may hold an application's own families too.
    ///
    /// # Panics
    /// Where the registry has a family of one of these names already.
    pub fn new(
        lifecycle: &Lifecycle,
        build: &BuildInfo,
        known: &[(&str, u16)],
        registry: Registry,
    ) -> Self {
        let requests = IntCounterVec::new(
            Opts::new(
                "websample_http_requests_total",
                "Requests finished, by the phase in which they arrived.",
            ),
            &["route", "code", "phase"],
        )
        .expect("a well-formed family");
        let duration = Histogram::with_opts(
            HistogramOpts::new(
                "websample_http_request_duration_seconds",
                "From the head of a request to the end of its response's body.",
            )
            .buckets(DURATION_EDGES.to_vec()),
        )
        .expect("a well-formed family");
        let scrapes = IntCounterVec::new(
            Opts::new("websample_scrapes_total", "Scrapes answered completely, by phase."),
            &["phase"],
        )
        .expect("a well-formed family");
        for phase in ANSWERING {
            scrapes.with_label_values(&[phase.name()]);
            if phase != Phase::Drained {
                for (route, code) in known {
                    requests.with_label_values(&[route, code.to_string().as_str(), phase.name()]);
                }
            }
        }
        let all: [Box<dyn Collector>; 4] = [
            Box::new(requests.clone()),
            Box::new(duration.clone()),
            Box::new(scrapes.clone()),
            Box::new(Observed::new(lifecycle.clone(), build)),
        ];
        for collector in all {
            registry.register(collector).expect("every family is registered once");
        }
        #[cfg(target_os = "linux")]
        {
            registry.register(Box::new(Process::of_this())).expect("registered once");
        }
        Self { registry, requests, duration, scrapes }
    }

    /// The registry, for an application's own metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Writes every metric in Prometheus' text format.
    ///
    /// # Errors
    /// When a collector of the application made something that cannot be written.
    pub fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        TextEncoder::new().encode(&self.registry.gather(), out).map_err(io::Error::other)
    }

    /// The counter of requests with these labels, to be kept by those who count often.
    pub fn requests(&self, route: &str, code: u16, phase: Phase) -> IntCounter {
        self.requests.with_label_values(&[route, code.to_string().as_str(), phase.name()])
    }

    /// How long requests took, in seconds.
    pub fn duration(&self) -> &Histogram {
        &self.duration
    }

    /// Counts a scrape that was answered completely in this phase.
    pub fn scraped(&self, phase: Phase) {
        self.scrapes.with_label_values(&[phase.name()]).inc();
    }
}

/// What the lifecycle publishes, read at each scrape.
struct Observed {
    lifecycle: Lifecycle,
    build: BuildInfo,
    descs: Vec<Desc>,
}

/// Name, help and kind of what is read off the lifecycle.
const OBSERVED: [(&str, &str, MetricType); 9] = [
    ("websample_build_info", "The version and the revision of this server.", MetricType::GAUGE),
    (
        "websample_drain_budget_seconds",
        "Configured limit of each stage of a termination.",
        MetricType::GAUGE,
    ),
    ("websample_lifecycle_phase", "1 for the current phase, 0 for the others.", MetricType::GAUGE),
    (
        "websample_lifecycle_phase_entered_timestamp_seconds",
        "Unix time at which the phase last began, 0 if it never did.",
        MetricType::GAUGE,
    ),
    ("websample_termination_signals_total", "Termination signals received.", MetricType::COUNTER),
    (
        "websample_http_requests_in_flight",
        "Requests being served, to the last byte of their response.",
        MetricType::GAUGE,
    ),
    (
        "websample_http_requests_cut_off_total",
        "Requests, connections and background work abandoned at the deadline.",
        MetricType::COUNTER,
    ),
    ("websample_connections_open", "Open connections on the traffic listeners.", MetricType::GAUGE),
    (
        "websample_drain_last_arrival_seconds",
        "From the start of the lame duck to the last new request, 0 if none came.",
        MetricType::GAUGE,
    ),
];

impl Observed {
    fn new(lifecycle: Lifecycle, build: &BuildInfo) -> Self {
        let descs = OBSERVED.iter().map(|(name, help, _)| {
            Desc::new((*name).to_owned(), (*help).to_owned(), Vec::new(), HashMap::new())
                .expect("a well-formed family")
        });
        Self { lifecycle, build: build.clone(), descs: descs.collect() }
    }

    /// The series of a family: their labels and values.
    fn series(&self, name: &str) -> Vec<(Vec<(&'static str, String)>, f64)> {
        let lifecycle = &self.lifecycle;
        let policy = lifecycle.policy();
        let in_flight = lifecycle.in_flight();
        let plain = |value: f64| vec![(Vec::new(), value)];
        let by_phase = |value: &dyn Fn(Phase) -> f64| {
            Phase::ALL.map(|p| (vec![("phase", p.name().to_owned())], value(p))).to_vec()
        };
        match name {
            "websample_build_info" => {
                let BuildInfo { version, revision } = &self.build;
                vec![(vec![("revision", revision.clone()), ("version", version.clone())], 1.0)]
            }
            "websample_drain_budget_seconds" => [
                ("delay_min", policy.delay.min),
                ("delay_max", policy.delay.max),
                ("deadline", policy.deadline()),
                ("grace_period", policy.grace_period),
            ]
            .map(|(stage, limit)| (vec![("stage", stage.to_owned())], limit.as_secs_f64()))
            .to_vec(),
            "websample_lifecycle_phase" => {
                let current = lifecycle.phase();
                by_phase(&|phase| f64::from(u8::from(phase == current)))
            }
            "websample_lifecycle_phase_entered_timestamp_seconds" => {
                let history = lifecycle.history();
                by_phase(&|phase| {
                    let last = history.iter().rev().find(|entered| entered.phase == phase);
                    last.and_then(|e| e.wall.duration_since(SystemTime::UNIX_EPOCH).ok())
                        .map_or(0.0, |since| since.as_secs_f64())
                })
            }
            "websample_termination_signals_total" => Signal::ALL
                .map(|s| (vec![("signal", s.name().to_owned())], lifecycle.signals(s) as f64))
                .to_vec(),
            "websample_http_requests_in_flight" => plain(in_flight.requests.get() as f64),
            "websample_http_requests_cut_off_total" => plain(lifecycle.cut_total() as f64),
            "websample_connections_open" => plain(in_flight.connections.get() as f64),
            "websample_drain_last_arrival_seconds" => {
                plain(lifecycle.last_arrival().map_or(0.0, |last| last.as_secs_f64()))
            }
            _ => Vec::new(),
        }
    }
}

impl Collector for Observed {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let family = |(name, help, kind): &(&str, &str, MetricType)| {
            let metrics = self.series(name).into_iter().map(|(labels, value)| {
                let mut metric = Metric::default();
                let pairs = labels.into_iter().map(|(name, value)| {
                    let mut pair = LabelPair::default();
                    pair.set_name(name.to_owned());
                    pair.set_value(value);
                    pair
                });
                metric.set_label(pairs.collect());
                if *kind == MetricType::COUNTER {
                    let mut counter = Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                } else {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value);
                    metric.set_gauge(gauge);
                }
                metric
            });
            let mut family = MetricFamily::default();
            family.set_name((*name).to_owned());
            family.set_help((*help).to_owned());
            family.set_field_type(*kind);
            family.set_metric(metrics.collect());
            family
        };
        OBSERVED.iter().map(family).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use websample_lifecycle::Policy;

    fn scraped(metrics: &Metrics) -> String {
        let mut out = Vec::new();
        metrics.write(&mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[tokio::test]
    async fn every_family_is_there_before_anything_happened() {
        let (lifecycle, _drain) = Lifecycle::new(Policy::default()).unwrap();
        let metrics = Metrics::new(
            &lifecycle,
            &BuildInfo::default(),
            &[("/sleep/{n}", 201)],
            Registry::new(),
        );
        let text = scraped(&metrics);
        for line in [
            "websample_http_requests_total{code=\"201\",phase=\"lame_duck\",route=\"/sleep/{n}\"} 0",
            "websample_http_request_duration_seconds_bucket{le=\"30\"} 0",
            "websample_scrapes_total{phase=\"drained\"} 0",
            "websample_lifecycle_phase{phase=\"starting\"} 1",
            "websample_lifecycle_phase_entered_timestamp_seconds{phase=\"drained\"} 0",
            "websample_termination_signals_total{signal=\"SIGTERM\"} 0",
            "websample_drain_budget_seconds{stage=\"deadline\"} 28",
            "websample_http_requests_in_flight 0",
            "websample_http_requests_cut_off_total 0",
            "websample_connections_open 0",
            "websample_drain_last_arrival_seconds 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn what_is_in_flight_is_read_at_the_scrape() {
        let (lifecycle, _drain) = Lifecycle::new(Policy::default()).unwrap();
        let metrics = Metrics::new(&lifecycle, &BuildInfo::default(), &[], Registry::new());
        let request = lifecycle.request(Phase::Serving);
        assert!(scraped(&metrics).contains("\nwebsample_http_requests_in_flight 1\n"));
        drop(request);
        assert!(scraped(&metrics).contains("\nwebsample_http_requests_in_flight 0\n"));
    }
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
