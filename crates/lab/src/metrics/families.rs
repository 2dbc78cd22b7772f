//! The metrics themselves: their names, labels and help, and what is 0 from the start.

use std::collections::HashMap;

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::Collector,
};
use websample_lifecycle::Mode;
use websample_load::Outcome;

use super::state::State;
use crate::{
    causes::Cause,
    recorder::NO_VERSION,
    versions::{FROM, TO},
};

/// Edges on the objectives, and close ones just above the five seconds of the mix's slow requests:
/// with the next one at 10 s, their quantiles would be read as anything in between.
const REQUEST_EDGES: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 5.01, 5.05, 5.25, 10.0, 30.0];

/// Edges on the delay, the deadline and the grace period of the defaults.
const TERMINATION_EDGES: [f64; 11] = [0.1, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 28.0, 30.0, 35.0];

/// Every metric of the lab.
#[derive(Debug, Clone)]
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) requests: IntCounterVec,
    pub(super) due: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) termination: HistogramVec,
    pub(super) pods: IntGaugeVec,
    pub(super) began: GaugeVec,
    pub(super) ended: GaugeVec,
    pub(super) deletion: HistogramVec,
    pub(super) causes: IntCounterVec,
    pub(super) took: GaugeVec,
    pub(super) latency: GaugeVec,
}

/// The percentiles that the report has, as their label says them.
pub(super) const PERCENTILES: [&str; 4] = ["p50", "p90", "p95", "p99"];

impl Families {
    /// Makes and registers every family; each series carries the run's name.
    ///
    /// # Panics
    /// Never: they are well-formed and registered once.
    pub(super) fn new(run: &str) -> Self {
        let run = HashMap::from([("run".to_owned(), run.to_owned())]);
        let counter = |name, help, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("a well-formed family")
        };
        let gauge = |name, help, labels: &[&str]| {
            GaugeVec::new(Opts::new(name, help), labels).expect("a well-formed family")
        };
        let histogram = |name, help, edges: &[f64], labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(edges.to_vec());
            HistogramVec::new(opts, labels).expect("a well-formed family")
        };
        let families = Self {
            registry: Registry::new_custom(None, Some(run)).expect("no empty prefix"),
            requests: counter(
                "websample_lab_requests_total",
                "Requests ended, as a client that never retries saw them: by the version that \
                 answered (none without an answer) and the outcome. Lost are all but ok, unsent \
                 and abandoned.",
                &["mode", "version", "outcome"],
            ),
            due: counter(
                "websample_lab_requests_due_total",
                "Requests whose intended send time has come, whatever became of them.",
                &["mode"],
            ),
            duration: histogram(
                "websample_lab_request_duration_seconds",
                "From the intended send time of a request to its end: what a user waits, stalls \
                 included.",
                &REQUEST_EDGES,
                &["mode"],
            ),
            termination: histogram(
                "websample_lab_termination_duration_seconds",
                "From SIGTERM to the end of a pod's process, seen from outside, by its exit code \
                 (137: SIGKILL).",
                &TERMINATION_EDGES,
                &["mode", "exit"],
            ),
            pods: IntGaugeVec::new(
                Opts::new("websample_lab_pods", "Pods that exist, by version and state."),
                &["mode", "version", "state"],
            )
            .expect("a well-formed family"),
            began: gauge(
                "websample_lab_rollout_began_timestamp_seconds",
                "Unix time at which the update began, 0 if it has not yet.",
                &["mode"],
            ),
            ended: gauge(
                "websample_lab_rollout_ended_timestamp_seconds",
                "Unix time at which the last old pod was gone, 0 if it is not yet.",
                &["mode"],
            ),
            deletion: histogram(
                "websample_lab_pod_deletion_duration_seconds",
                "From the deletion of a pod to the end of its process: hook, lame duck and drain, \
                 whatever the mode has of them.",
                &TERMINATION_EDGES,
                &["mode"],
            ),
            causes: counter(
                "websample_lab_losses_total",
                "Lost requests by their cause, which is known once a repeat is over.",
                &["mode", "cause"],
            ),
            took: gauge(
                "websample_lab_rollout_duration_seconds",
                "From the beginning of the update until the last old pod was gone, of the slowest \
                 repeat that is over; 0 before.",
                &["mode"],
            ),
            latency: gauge(
                "websample_lab_request_latency_seconds",
                "Percentiles of the time from intended send to end, of the slowest repeat that is \
                 over; 0 before. The report's, to the millisecond.",
                &["mode", "percentile"],
            ),
        };
        let all: [Box<dyn Collector>; 11] = [
            Box::new(families.requests.clone()),
            Box::new(families.due.clone()),
            Box::new(families.duration.clone()),
            Box::new(families.termination.clone()),
            Box::new(families.pods.clone()),
            Box::new(families.began.clone()),
            Box::new(families.ended.clone()),
            Box::new(families.deletion.clone()),
            Box::new(families.causes.clone()),
            Box::new(families.took.clone()),
            Box::new(families.latency.clone()),
        ];
        for family in all {
            families.registry.register(family).expect("registered once");
        }
        #[cfg(target_os = "linux")]
        {
            let process = websample_metrics::Process::of_this();
            families.registry.register(Box::new(process)).expect("registered once");
        }
        families
    }

    /// Exports what is known to come of a mode as 0, so that the first one is an increase.
    pub(super) fn export(&self, label: &str, mode: Option<Mode>) {
        for (version, outcome) in known_outcomes() {
            self.requests.with_label_values(&[label, version, &outcome.to_string()]);
        }
        for exit in known_exits(mode) {
            self.termination.with_label_values(&[label, &exit.to_string()]);
        }
        for version in [FROM, TO] {
            for state in State::ALL {
                self.pods.with_label_values(&[label, version, state.name()]);
            }
        }
        self.due.with_label_values(&[label]);
        self.duration.with_label_values(&[label]);
        self.began.with_label_values(&[label]);
        self.ended.with_label_values(&[label]);
        self.deletion.with_label_values(&[label]);
        self.took.with_label_values(&[label]);
        for cause in Cause::ALL {
            self.causes.with_label_values(&[label, cause.name()]);
        }
        for percentile in PERCENTILES {
            self.latency.with_label_values(&[label, percentile]);
        }
    }
}

/// Which versions go with which outcome: no answer, no version.
fn known_outcomes() -> impl Iterator<Item = (&'static str, Outcome)> {
    let answered = [Outcome::Ok, Outcome::Truncated, Outcome::Status(503)];
    let unanswered = [
        Outcome::Refused,
        Outcome::ConnectTimeout,
        Outcome::TlsReset,
        Outcome::TlsTimeout,
        Outcome::TlsFailed,
        Outcome::TlsUntrusted,
        Outcome::Reset,
        Outcome::ResetReused,
        Outcome::Timeout,
        Outcome::Unsent,
        Outcome::Abandoned,
    ];
    let by_version = answered.into_iter().flat_map(|outcome| [(FROM, outcome), (TO, outcome)]);
    by_version.chain(unanswered.map(|outcome| (NO_VERSION, outcome)))
}

/// How the processes of a mode end.
const fn known_exits(mode: Option<Mode>) -> &'static [i32] {
    match mode {
        Some(Mode::Ignore) => &[137],
        Some(Mode::Immediate) => &[143],
        Some(Mode::Graceful | Mode::Drain) => &[0, 3],
        None => &[0, 137],
    }
}
