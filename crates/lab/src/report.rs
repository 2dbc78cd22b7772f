//! `report.json`: everything that was seen, for programs and for later.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use websample_load::{Distribution, Outcome, Tally};

use super::{
    advice::Advice,
    cluster::kubernetes::clock::ClockReport,
    disruption::Disruption,
    ground::Ground,
    losses::{CauseCount, Loss},
    plan::Plan,
    recorder::Second,
    through::{Program, Retries, Upstream},
    timeline::PodRecord,
    timings::Reached,
};

/// The name of the file.
pub const FILE: &str = "report.json";

/// Quantiles of a time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the requests took no longer.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
    /// All.
    pub max: f64,
}

impl Latency {
    /// The quantiles of a distribution.
    pub fn of(distribution: &Distribution) -> Self {
        let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        Self {
            p50: millis(distribution.quantile(0.5)),
            p90: millis(distribution.quantile(0.9)),
            p95: millis(distribution.quantile(0.95)),
            p99: millis(distribution.quantile(0.99)),
            max: millis(distribution.max()),
        }
    }
}

/// Requests whose latency lay in one part of the scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The part's upper end, in milliseconds; ten parts to a decade.
    pub upto_ms: f64,
    /// How many.
    pub count: u64,
}

impl Bucket {
    /// The parts of a distribution that hold anything.
    pub fn of(distribution: &Distribution) -> Vec<Self> {
        const PER_DECADE: f64 = 10.0;
        let mut parts: BTreeMap<i32, u64> = BTreeMap::new();
        for value in distribution.histogram().iter_recorded() {
            let millis = (value.value_iterated_to() as f64 / 1e6).max(1e-3);
            let part = (millis.log10() * PER_DECADE).ceil() as i32;
            *parts.entry(part).or_default() += value.count_at_value();
        }
        let end = |part: i32| 10_f64.powf(f64::from(part) / PER_DECADE);
        parts
            .into_iter()
            .map(|(part, count)| Self { upto_ms: (end(part) * 1e3).round() / 1e3, count })
            .collect()
    }
}

/// One stream of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Its name, such as `keep-alive POST /echo`.
    pub name: Arc<str>,
    /// Requests that were due.
    pub requests: u64,
    /// Those that were lost.
    pub lost: u64,
    /// How all of them ended.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// From the intended send to the end.
    pub latency_ms: Latency,
}

impl StreamReport {
    /// A stream's part of the results.
    pub fn new(name: &Arc<str>, tally: &Tally) -> Self {
        Self {
            name: Arc::clone(name),
            requests: tally.requests,
            lost: tally.lost,
            outcomes: tally.outcomes.clone(),
            latency_ms: Latency::of(&tally.latency),
        }
    }
}

/// One rolling update under load. Times are seconds from the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The mode, with its hook if it has one of its own, or the foreign server's name; with the event
    /// where several were compared.
    pub mode: String,
    /// What happened to the pods.
    #[serde(default, skip_serializing_if = "Disruption::is_update")]
    pub event: Disruption,
    /// Which repeat, from 0.
    pub repeat: u32,
    /// The seed that repeats it.
    pub seed: u64,
    /// The preStop hook.
    pub pre_stop: String,
    /// Requests that were due.
    pub requests: u64,
    /// Those that a client which never retries lost.
    pub lost: u64,
    /// How all of them ended.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Those that a client which retries as Go's net/http does would have lost, too.
    pub lost_with_retries: u64,
    /// From the intended send to the end.
    pub latency_ms: Latency,
    /// From the intended to the real send: how well the generator kept its rate.
    pub send_delay_ms: Latency,
    /// The distribution that `latency_ms` is taken from, shortest first.
    #[serde(default)]
    pub latency_histogram: Vec<Bucket>,
    /// When the update, or another event, began.
    pub rollout_began: f64,
    /// From there until every old pod was gone, or all was steady again.
    pub rollout_seconds: f64,
    /// Pods that SIGKILL had to end.
    pub killed: usize,
    /// Why requests were lost, the most frequent cause first.
    pub causes: Vec<CauseCount>,
    /// Each stream's part.
    pub streams: Vec<StreamReport>,
    /// Every pod's history.
    pub pods: Vec<PodRecord>,
    /// Every lost request.
    pub losses: Vec<Loss>,
    /// Requests that ended, by second.
    pub seconds: Vec<Second>,
    /// The new connections that each pod answered, where answers tell who gave them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reached: BTreeMap<Arc<str>, Reached>,
    /// How well times are known where they were not all taken by one clock; `None` on one machine.
    #[serde(default)]
    pub clock: Option<ClockReport>,
}

/// Where and how it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// This program's version.
    pub websample: String,
    /// The operating system and processor family.
    pub platform: String,
    /// CPUs that were shared by everything.
    pub cpus: usize,
    /// Unix time, in seconds, at which it began.
    pub started: f64,
    /// The command that repeats it, with its seed.
    pub command: Vec<String>,
    /// What was sent.
    pub mix: String,
    /// Requests a second.
    pub rate: f64,
    /// Pods of the Deployment.
    pub replicas: u32,
    /// The propagation of endpoint changes.
    pub propagation: String,
    /// The grace period, in seconds.
    pub grace_seconds: f64,
    /// The real proxy between load and pods, if there was one.
    #[serde(default)]
    pub proxy: Option<ProxyUsed>,
    /// The Kubernetes cluster; `None` for the emulated one.
    #[serde(default)]
    pub cluster: Option<ClusterUsed>,
}

/// A Kubernetes cluster that a rollout ran on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterUsed {
    /// Its context and its server.
    pub name: String,
    /// Its version, such as `v1.36.1`.
    pub version: String,
    /// The namespace.
    pub namespace: String,
    /// The images, the first version's first.
    pub images: [String; 2],
    /// Where the load was sent to from outside; `None` if from inside to the Service.
    pub url: Option<String>,
}

impl fmt::Display for ClusterUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.url.is_some() { "outside" } else { "inside" };
        write!(f, "Kubernetes {}, load from {from}", self.version)
    }
}

/// A proxy that requests went through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxyUsed {
    /// The program: nginx, haproxy, envoy.
    pub program: String,
    /// Its version, in its own words.
    pub version: String,
    /// Whether it sent again what failed.
    pub retries: Retries,
    /// What it spoke to the pods.
    pub upstream: Upstream,
}

impl fmt::Display for ProxyUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "through {} {}", self.program, self.version)?;
        if self.upstream == Upstream::Http2 {
            f.write_str(" (HTTP/2 to the pods)")?;
        }
        if self.retries == Retries::Off {
            f.write_str(" without retries")?;
        }
        Ok(())
    }
}

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Every run, repeats one after the other, each in the order of the modes.
    pub runs: Vec<RunReport>,
    /// Where and how it was measured.
    pub environment: Environment,
    /// What somebody's own manifest has to do with it, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

impl Environment {
    /// The environment of a plan that begins now, with the proxy that it needs; `arguments` are
    /// the ones it was called with.
    pub fn new(plan: &Plan, ground: &Ground, arguments: Vec<String>) -> Self {
        let (proxy, on) = match ground {
            Ground::Local { proxy, .. } => (proxy.as_ref(), None),
            Ground::Kubernetes(session) => (None, Some(&**session)),
        };
        let mut command = arguments;
        // A real cluster draws its own delays.
        if on.is_none() && !command.iter().any(|a| a == "--seed" || a.starts_with("--seed=")) {
            let at = command.iter().position(|a| a == "--").unwrap_or(command.len());
            command.splice(at..at, ["--seed".to_owned(), plan.seed.to_string()]);
        }
        let cluster = plan.variants.first().map(|variant| &variant.cluster);
        Self {
            websample: env!("CARGO_PKG_VERSION").to_owned(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            started: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
            command,
            mix: plan.mix.to_string(),
            rate: plan.mix.rate(),
            replicas: cluster.map_or(0, |cluster| cluster.replicas),
            propagation: match on {
                Some(_) => "as the cluster does".to_owned(),
                None => cluster.map_or_else(String::new, |c| c.propagation.to_string()),
            },
            grace_seconds: cluster.map_or(0.0, |cluster| cluster.grace.as_secs_f64()),
            proxy: plan.proxy.zip(proxy).map(|(options, installed)| ProxyUsed {
                program: Program::name(installed.program).to_owned(),
                version: installed.version.clone(),
                retries: options.retries,
                upstream: options.upstream,
            }),
            cluster: on.map(|session| ClusterUsed {
                name: session.cluster.name.to_string(),
                version: session.cluster.version.clone(),
                namespace: session.cluster.namespace.clone(),
                images: [session.options.images.v1.clone(), session.options.images.v2.clone()],
                url: session.options.url.clone(),
            }),
        }
    }
}

impl Report {
    /// Writes `report.json` into a directory, which is made if need be.
    ///
    /// # Errors
    /// Names the path that cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        let named = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
        };
        std::fs::create_dir_all(directory).map_err(|error| named(directory, error))?;
        let path = directory.join(FILE);
        let json = serde_json::to_vec(self).map_err(io::Error::other)?;
        // Whole or not at all: somebody may be reading the one from before.
        let partial = directory.join(format!(".{FILE}.{}", std::process::id()));
        std::fs::write(&partial, json)
            .and_then(|()| std::fs::rename(&partial, &path))
            .map_err(|error| named(&path, error))?;
        Ok(path)
    }
}
