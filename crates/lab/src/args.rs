//! What `websample rollout` is asked.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use websample_load::{Accepted, Mix, results::Encoding};

use super::{
    cluster::{
        kubernetes::KubernetesArgs,
        local::{IntOrPercent, PreStop, PropagationArg},
    },
    disruption::Disruption,
    gate::Condition,
    plan::Preset,
    through::{Retries, Through, Upstream},
};

/// The command line of `websample rollout`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  websample rollout
      All four modes side by side, in about a minute.
  websample rollout --modes graceful,graceful+sleep:5s,drain --propagation ingress
      Does a sleep in the preStop hook help? Behind an ingress?
  websample rollout --modes drain --repeat 5 --fail-on-loss drain
      A gate for continuous integration: exit code 1 if anything is lost.
  websample rollout --modes drain --fail-on 'lost>0,p99>6s,replaced>60s'
      The same with more conditions.
  websample rollout --through nginx --modes graceful,drain
      The same with a real proxy between client and pods, that keeps connections to them.
  websample rollout --target kubernetes --url http://web.example.org/ --record timings.json
  websample rollout --propagation timings.json
      Here with the propagation, starts and ends of pods that were measured there.
  websample rollout --event update,delete-all,node-drain,liveness --modes graceful,drain
      Every way in which pods go, one after the other.
  websample rollout --metrics 127.0.0.1:9900
      Watched by Prometheus: scripts/observe starts one beside it.
  websample rollout --target kubernetes --context kind-kind
      The same on a cluster that has the images websample:v1 and websample:v2.
  websample rollout --target kubernetes --deployment web -n shop --image web:v2 --undo
      Somebody's own Deployment, under 10 requests/s from a Job; it asks before it changes anything.
  websample rollout -- ./my-server --host {host} --port {port}
      Somebody else's server; {version} is v1, then v2. The same is in the environment
      as HOST, PORT and VERSION.
  websample rollout --tls --modes graceful,drain
      With TLS between client and pods, by certificates that the lab makes and removes.
  websample rollout --tls -- ./my-server --port {port} --cert {cert} --key {key}
      Somebody else's server, with the lab's certificate; with --ca FILE it has its own.
  websample rollout --preset uvicorn --modes app,app+sleep:5s -- main:app
      A server whose command line is known, as it is and with a hook that sleeps.

Exit codes: 0 done; 1 --fail-on-loss found a loss, or --fail-on what must not be; 64 usage;
69 the rollout could not be run, such as a server that does not start; 75 with --fail-on,
the load generator did not keep up; 130 interrupted.")]
pub struct RolloutArgs {
    /// Where it happens: on this machine, or on a Kubernetes cluster
    #[arg(long, value_enum, default_value_t)]
    pub target: GroundKind,

    /// What a cluster is told
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,

    /// What to compare: ignore, immediate, graceful, drain; a hook of its own after a plus, as in
    /// graceful+sleep:5s
    #[arg(long, value_delimiter = ',', value_name = "MODE[+HOOK],…")]
    pub modes: Vec<String>,

    /// What happens to the pods: a rolling update, or another way in which pods go; several make a
    /// table of events and modes
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "update",
        value_name = "EVENT,…"
    )]
    pub event: Vec<Disruption>,

    /// Pods of the Deployment
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub replicas: u32,

    /// maxSurge, a number or a percentage of the replicas
    #[arg(long, default_value = "25%")]
    pub max_surge: IntOrPercent,

    /// maxUnavailable, a number or a percentage of the replicas
    #[arg(long, default_value = "25%")]
    pub max_unavailable: IntOrPercent,

    /// minReadySeconds
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub min_ready: Duration,

    /// terminationGracePeriodSeconds
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub grace: Duration,

    /// The preStop hook: http, http:/path, sleep:5s or none [default: http, or none for a COMMAND]
    #[arg(long, value_name = "HOOK")]
    pub pre_stop: Option<PreStop>,

    /// How fast a change of the endpoints reaches the proxy: proxy (0-1.2 s), ingress (0-4.3 s),
    /// cloud (10-20 s), a range such as 500ms..2s, or a file of times that --record has written
    /// elsewhere, which are replayed
    #[arg(long, default_value = "proxy")]
    pub propagation: PropagationArg,

    /// What is between the load and the pods: the Service, or a real proxy (the program on the
    /// PATH) that keeps its connections to the pods
    #[arg(long, value_enum, default_value_t, value_name = "PROXY")]
    pub through: Through,

    /// Whether the proxy sends a request again that failed, as its ingress controller has it;
    /// without it every failure of a pod is counted
    #[arg(long, value_enum, default_value_t, value_name = "ON|OFF")]
    pub proxy_retries: Retries,

    /// What the proxy speaks to the pods
    #[arg(long, value_enum, default_value_t, value_name = "PROTOCOL")]
    pub proxy_upstream: Upstream,

    /// The pods speak TLS, and so does the load. This project's server, and a COMMAND that names
    /// {cert} and {key}, get a certificate that the lab makes; http: probes and hooks are asked over
    /// https, whatever the certificate
    #[arg(long)]
    pub tls: bool,

    /// COMMAND has a certificate of its own, by one of these authorities: a PEM file
    #[arg(long, requires = "tls", value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// What the certificate is for, and the load calls the server [default: localhost]
    #[arg(long, requires = "tls", value_name = "NAME")]
    pub server_name: Option<String>,

    /// The readiness probe: http:/path, tcp or none [default: http:/readiness, or tcp for a
    /// COMMAND]
    #[arg(long, value_name = "PROBE")]
    pub readiness: Option<String>,

    /// The liveness probe, likewise [default: http:/liveness, or none for a COMMAND]
    #[arg(long, value_name = "PROBE")]
    pub liveness: Option<String>,

    /// The startup probe, likewise
    #[arg(long, default_value = "none", value_name = "PROBE")]
    pub startup: String,

    /// How often the readiness and startup probes ask
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub probe_period: Duration,

    /// So many failed readiness probes in a row take a pod out
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub failure_threshold: u32,

    /// Requests a second; slow requests come on top, 4 for every 200 [default: 200]
    #[arg(long)]
    pub rate: Option<f64>,

    /// The streams, instead of the default mix, such as '100/s new GET /, 50/s keep-alive POST
    /// /echo body=256'
    #[arg(long, conflicts_with = "rate")]
    pub mix: Option<Mix>,

    /// The statuses that count as success, such as 200-299|404
    #[arg(long, value_name = "STATUSES", value_parser = accepted)]
    pub expect: Option<Accepted>,

    /// Run every comparison this often, one after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub repeat: u32,

    /// Everything random follows from it: delays, balancing, names [default: drawn, and printed]
    #[arg(long)]
    pub seed: Option<u64>,

    /// Exit with 1 if one of these modes lost a request
    #[arg(long, value_delimiter = ',', value_name = "MODE,…")]
    pub fail_on_loss: Vec<String>,

    /// Exit with 1 if any of these is so, in any repeat: lost>0, lost>0.1%, p99>500ms, replaced>20s,
    /// killed, hook-failed, restarted, oom-killed, probe-failed, no-endpoint, …; of one mode with its
    /// name, as in drain:lost>0. Exit with 75 if the load generator did not keep up, so that the result
    /// says nothing
    #[arg(long, value_delimiter = ',', value_name = "CONDITION,…")]
    pub fail_on: Vec<Condition>,

    /// Also write a JUnit file: a case for each mode and repeat, which fails by --fail-on and
    /// --fail-on-loss
    #[arg(long, value_name = "FILE.xml")]
    pub junit: Option<PathBuf>,

    /// Also write a SARIF file, for code scanning: why requests were lost, and what --fail-on found
    #[arg(long, value_name = "FILE.sarif")]
    pub sarif: Option<PathBuf>,

    /// Also write how long things took, for --propagation: propagation with whatever --url goes
    /// through, and starts, readiness and ends of pods
    #[arg(long, value_name = "FILE.json")]
    pub record: Option<PathBuf>,

    /// Where report.json goes
    #[arg(long, default_value = "websample-rollout", value_name = "DIR")]
    pub out: PathBuf,

    /// Also write every single result, for vegeta's report and plot: a file a mode and repeat in
    /// DIR
    #[arg(long, value_name = "csv|json")]
    pub results: Option<Encoding>,

    /// Keep the pods' output in DIR/logs
    #[arg(long)]
    pub logs: bool,

    /// Serve what the clients saw for Prometheus at this address (/metrics), and the pods as its
    /// targets (/targets); see deploy/prometheus/prometheus.yml
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,

    /// Where the Grafana is that shows them, for the link to the panels of this run
    #[arg(long, value_name = "URL", requires = "metrics", default_value = "http://127.0.0.1:3000")]
    pub grafana: String,

    /// Also let curl and the like reach the Service of the first mode, at this address
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,

    /// A server whose command line is known; COMMAND is then what it serves, such as app:app
    #[arg(long, value_enum, value_name = "SERVER", requires = "command")]
    pub preset: Option<Preset>,

    /// Somebody else's server and its arguments: {host}, {port}, {version}, {mode} are filled
    /// in; with --tls {cert} and {key}, files; {dir}, an empty directory of the pod's own
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl RolloutArgs {
    /// Requests a second to this project's server.
    pub(crate) fn rate(&self) -> f64 {
        self.rate.unwrap_or(200.0)
    }
}

/// Where a rollout happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum GroundKind {
    /// On this machine, on an emulated cluster.
    #[default]
    Local,
    /// On a Kubernetes cluster.
    Kubernetes,
}

pub(crate) fn accepted(text: &str) -> Result<Accepted, String> {
    // The rule is the mix's: read through a stream that has nothing else to say.
    let mix: Mix = format!("1/s new GET / expect={text}")
        .parse()
        .map_err(|error: websample_load::MixError| error.to_string())?;
    Ok(mix.streams()[0].expect.clone())
}
