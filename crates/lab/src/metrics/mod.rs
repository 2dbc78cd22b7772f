//! The lab as a Prometheus target: what the clients saw, and which pods there are to scrape.
//!
//! A server cannot count the requests that never reached it, so the lab exports what its own
//! clients saw. Requests are counted as they end; pods and their terminations are read off the
//! timeline at the moment of a scrape.
//!
//! | file | its subject |
//! |---|---|
//! | `families` | the metrics: names, labels, help, what is 0 from the start |
//! | `pods`, `state` | what a pod's history adds up to: its state, its terminations |
//! | `discovery` | the pods as targets, in Prometheus' HTTP service discovery |
//! | `endpoint` | the listener behind `--metrics`, and the wait for its last scrape |
//! | `run` | the name of a run, and the link to its panels |
//! | `found` | the wait until whoever scrapes has found the pods |

mod discovery;
mod endpoint;
mod families;
mod found;
mod pods;
mod run;
mod state;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use prometheus::{Encoder as _, Gauge, TextEncoder};

pub use self::{
    discovery::{AdminAddress, TargetGroup},
    endpoint::{Endpoint, EndpointError},
};
use self::{
    families::{Families, PERCENTILES},
    pods::Live,
};
use super::{
    recorder::NO_VERSION,
    report::{Latency, RunReport},
    timeline::Timeline,
    versions::{FROM, TO},
};
use websample_lifecycle::Mode;
use websample_load::{Attempt, Version};

/// The metrics of a comparison. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    run: Arc<str>,
    began: SystemTime,
    families: Families,
    /// The experiments that have pods, by their labels.
    live: Arc<Mutex<BTreeMap<Arc<str>, Live>>>,
}

impl Metrics {
    /// The metrics of a comparison of these, each with its drain mode where it is one. Their
    /// known series are there from the start, and carry the name of the run that began then.
    pub fn new<'a>(
        began: SystemTime,
        compared: impl IntoIterator<Item = (&'a str, Option<Mode>)>,
    ) -> Self {
        let run = run::name(began);
        let families = Families::new(&run);
        for (label, mode) in compared {
            families.export(label, mode);
        }
        Self { run, began, families, live: Arc::default() }
    }

    /// The part of one of those that are compared.
    pub fn of(&self, label: &str) -> ModeMetrics {
        ModeMetrics { label: label.into(), metrics: self.clone() }
    }

    /// Writes every metric in Prometheus' text format.
    ///
    /// # Errors
    /// None is known: every family is well-formed.
    pub fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        for (label, experiment) in &mut *self.lock() {
            experiment.read(label, &self.families);
        }
        TextEncoder::new().encode(&self.families.registry.gather(), out).map_err(io::Error::other)
    }

    /// The pods whose processes live now and have an admin listener.
    pub fn targets(&self) -> Vec<TargetGroup> {
        let live = self.lock();
        live.iter().flat_map(|(label, live)| live.targets(&self.run, label)).collect()
    }

    /// The panels of this run in the Grafana at `grafana`: until so long after now, or for as long
    /// as one looks.
    pub fn panels(&self, grafana: &str, longer: Option<Duration>) -> String {
        run::panels(grafana, &self.run, self.began, longer.map(|more| SystemTime::now() + more))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is measured of one of those that are compared. It adds up over repeats.
#[derive(Debug, Clone)]
pub struct ModeMetrics {
    label: Arc<str>,
    metrics: Metrics,
}

impl ModeMetrics {
    /// Counts attempts as they end; `timeline` knows the pods that answered.
    pub fn attempts(&self, timeline: Timeline) -> impl FnMut(&Attempt) + Send + 'static {
        let Self { label, metrics: Metrics { families, .. } } = self.clone();
        let duration = families.duration.with_label_values(&[&label]);
        // The load generator's thread looks the few counters that it needs up once.
        let mut counters = HashMap::new();
        move |attempt| {
            let version = version(attempt, &timeline);
            let outcome = attempt.outcome;
            let count =
                || families.requests.with_label_values(&[&*label, version, &outcome.to_string()]);
            counters.entry((version, outcome)).or_insert_with(count).inc();
            duration.observe(attempt.latency().as_secs_f64());
        }
    }

    /// Counts requests as they become due.
    pub fn due(&self) -> impl FnMut() + Send + 'static {
        let due = self.metrics.families.due.with_label_values(&[&self.label]);
        move || due.inc()
    }

    /// Shows the pods of this timeline until the guard is dropped.
    pub fn follow(&self, timeline: Timeline, admin: AdminAddress) -> Following {
        self.metrics.lock().insert(Arc::clone(&self.label), Live::new(timeline, admin));
        Following(self.clone())
    }

    /// The update begins now.
    pub fn rollout_began(&self) {
        let Families { began, ended, .. } = &self.metrics.families;
        began.with_label_values(&[&self.label]).set(unix_now());
        // That of the repeat before is over.
        ended.with_label_values(&[&self.label]).set(0.0);
    }

    /// The last old pod is gone.
    pub fn rollout_ended(&self) {
        self.metrics.families.ended.with_label_values(&[&self.label]).set(unix_now());
    }

    /// A repeat is over: what only its report tells, in the report's own numbers. Of the repeats
    /// the slowest counts, as in the table.
    pub fn measured(&self, report: &RunReport) {
        let Families { causes, took, latency, .. } = &self.metrics.families;
        for cause in &report.causes {
            causes.with_label_values(&[&*self.label, cause.cause.name()]).inc_by(cause.count);
        }
        let slowest = |gauge: Gauge, seconds: f64| gauge.set(gauge.get().max(seconds));
        slowest(took.with_label_values(&[&self.label]), report.rollout_seconds);
        let Latency { p50, p90, p95, p99, .. } = report.latency_ms;
        for (percentile, milliseconds) in PERCENTILES.into_iter().zip([p50, p90, p95, p99]) {
            slowest(latency.with_label_values(&[&*self.label, percentile]), milliseconds / 1e3);
        }
    }
}

/// Shows the pods of an experiment until it is dropped; what they have added up to stays.
#[derive(Debug)]
#[must_use = "the pods are shown until this is dropped"]
pub struct Following(ModeMetrics);

impl Drop for Following {
    fn drop(&mut self) {
        let ModeMetrics { label, metrics } = &self.0;
        if let Some(mut experiment) = metrics.lock().remove(label) {
            experiment.read(label, &metrics.families);
            Live::ended(label, &metrics.families);
        }
    }
}

/// The version that answered, or [`NO_VERSION`]; no other server's word becomes a label.
fn version(attempt: &Attempt, timeline: &Timeline) -> &'static str {
    let known = |name: &str| [FROM, TO].into_iter().find(|known| *known == name);
    let Some(said) = &attempt.version else { return NO_VERSION };
    if let Version::Named(name) = said
        && let Some(version) = known(name)
    {
        return version;
    }
    let upstream = attempt.proxied.and_then(|proxied| proxied.upstream);
    let pod = upstream.or(attempt.peer).and_then(|address| timeline.version_at(address));
    pod.as_deref().and_then(known).unwrap_or(NO_VERSION)
}

fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
