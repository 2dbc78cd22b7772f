//! What a local cluster is told: the Deployment, the pod's template, the emulation's choices.

use std::{fmt, ops::Range, path::PathBuf, str::FromStr, time::Duration};

use websample_kubernetes::{Fenceposts, IntOrPercent};

use super::{
    error::ClusterError,
    probe::{Port, Probes, Scheme},
    propagation::Propagation,
};

/// A Deployment on a local cluster.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// The Deployment's name; pods are named after it.
    pub name: String,
    /// The wanted number of pods.
    pub replicas: u32,
    /// `maxSurge`.
    pub max_surge: IntOrPercent,
    /// `maxUnavailable`.
    pub max_unavailable: IntOrPercent,
    /// `minReadySeconds`.
    pub min_ready: Duration,
    /// `progressDeadlineSeconds`; passing it is only reported (facts 3.7).
    pub progress_deadline: Duration,
    /// `terminationGracePeriodSeconds`.
    pub grace: Duration,
    /// The container's probes.
    pub probes: Probes,
    /// The container's preStop hook.
    pub pre_stop: PreStop,
    /// How endpoint changes reach the default consumer, the one behind the Service.
    pub propagation: Propagation,
    /// The program that a pod runs.
    pub command: CommandTemplate,
    /// Whether its processes may be told to hand over to a successor: each then has a `NOTIFY_SOCKET`, as
    /// from a service manager.
    pub hands_over: bool,
    /// The certificate and the key that pods are given.
    pub identity: Option<Identity>,
    /// Where each pod whose command names `{dir}` gets a directory of its own.
    pub directory: Option<PathBuf>,
    /// Where pods listen.
    pub addressing: Addressing,
    /// A pod that is not Ready this long after its creation, the first time, fails the cluster:
    /// Kubernetes would wait, a person at a terminal wants to know.
    pub ready_deadline: Duration,
    /// From a pod's creation to the start of its process: scheduling, sandbox, container.
    pub container_start: Range<Duration>,
    /// How often the kubelet begins a termination about a second late (facts 2.3).
    pub late_sync: f64,
    /// How long a connection attempt to an address that is gone takes to fail. Linux: 127 s.
    pub syn_timeout: Duration,
    /// A directory for the pods' output, one file each.
    pub logs: Option<PathBuf>,
    /// Everything random follows from it.
    pub seed: u64,
}

impl ClusterSpec {
    /// The defaults of the lab: four replicas, 25 %/25 %, a grace of 30 s, a readiness period of
    /// 1 s, no hook, kube-proxy's propagation.
    pub fn new(command: CommandTemplate) -> Self {
        Self {
            name: "websample".to_owned(),
            replicas: 4,
            max_surge: IntOrPercent::Percent(25),
            max_unavailable: IntOrPercent::Percent(25),
            min_ready: Duration::ZERO,
            progress_deadline: Duration::from_secs(600),
            grace: Duration::from_secs(30),
            probes: Probes::default(),
            pre_stop: PreStop::None,
            propagation: Propagation::Proxy,
            command,
            hands_over: false,
            identity: None,
            directory: None,
            addressing: Addressing::default(),
            ready_deadline: Duration::from_secs(30),
            container_start: Duration::from_millis(600)..Duration::from_millis(1_200),
            late_sync: 0.02,
            syn_timeout: Duration::from_secs(127),
            logs: None,
            seed: 0,
        }
    }

    /// The bounds of its rolling updates.
    pub fn bounds(&self) -> Fenceposts {
        Fenceposts::resolve(self.replicas, self.max_surge, self.max_unavailable)
    }

    /// Refuses what Kubernetes' validation would refuse, and what cannot run here.
    pub fn validate(&self) -> Result<(), ClusterError> {
        let error = |message: String| Err(ClusterError::Spec(message));
        if self.replicas == 0 || self.replicas > 100 {
            return error(format!("replicas is {}: use 1 to 100", self.replicas));
        }
        if self.name.is_empty() {
            return error("the Deployment's name is empty".to_owned());
        }
        if self.command.program.is_empty() {
            return error("the command is empty: name a program".to_owned());
        }
        if !(0.0..=1.0).contains(&self.late_sync) {
            return error(format!("late_sync is {}: use a share from 0 to 1", self.late_sync));
        }
        self.probes.validate().map_err(ClusterError::Spec)
    }
}

/// Files with what a server needs to prove who it is, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A program and its arguments, with placeholders for what differs between pods: `{host}`,
/// `{port}`, `{admin_port}`, `{version}` and `{pod}` (the pod's name); `{cert}` and `{key}` are files
/// where pods are given a certificate, and `{dir}` is an empty directory of the pod's own.
///
/// The same is in the environment as HOST, PORT, ADMIN_PORT, VERSION, POD_NAME, and `version`;
/// TLS_CERT and TLS_KEY.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandTemplate {
    /// The program: a path, or a name looked for in PATH.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// More environment; wins over the variables above. The lab's own environment is inherited.
    pub env: Vec<(String, String)>,
}

impl fmt::Display for CommandTemplate {
    /// As it would be written in a terminal, without what a shell would need quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

impl CommandTemplate {
    /// A program with arguments.
    pub fn new<A: Into<String>>(
        program: impl Into<String>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { program: program.into(), args, env: Vec::new() }
    }

    /// With one more environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Whether `{host}` is used anywhere, so that pods can be given addresses of their own.
    pub fn names_host(&self) -> bool {
        self.names("{host}")
    }

    /// Whether `{admin_port}` is used anywhere: there is an admin listener.
    pub fn names_admin_port(&self) -> bool {
        self.names("{admin_port}")
    }

    /// Whether `{dir}` is used anywhere, so that pods need directories.
    pub fn names_directory(&self) -> bool {
        self.names("{dir}")
    }

    fn names(&self, placeholder: &str) -> bool {
        let values = self.env.iter().map(|(_, value)| value);
        std::iter::once(&self.program)
            .chain(&self.args)
            .chain(values)
            .any(|text| text.contains(placeholder))
    }
}

/// Where pods listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// Like [`Self::PerPodIp`] with these ports where it works: on Linux, with a command that
    /// names `{host}`. Otherwise [`Self::PerPodPort`], for a program that is only told its port
    /// may listen on every address.
    Auto {
        /// The application's port.
        port: u16,
        /// The admin listener's port.
        admin_port: u16,
    },
    /// Each pod has a loopback address of its own, 127.x.y.z, and all have the same ports.
    PerPodIp {
        /// The application's port.
        port: u16,
        /// The admin listener's port.
        admin_port: u16,
    },
    /// All pods are at 127.0.0.1, each with free ports of its own.
    PerPodPort,
}

impl Default for Addressing {
    fn default() -> Self {
        Self::Auto { port: 5000, admin_port: 9000 }
    }
}

/// What the kubelet does before SIGTERM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreStop {
    /// Nothing.
    None,
    /// `sleep`: runs in full even where the process is gone (facts 2.9).
    Sleep(Duration),
    /// `httpGet`: its status is never checked, and its connection stays open (facts 2.6, 2.7).
    Http {
        /// The path.
        path: String,
        /// The listener.
        port: Port,
        /// What it speaks.
        scheme: Scheme,
    },
}

/// Why a text names no preStop hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no preStop hook: use none, sleep:5s, http, http:/path or https:/path")]
pub struct ParsePreStopError(String);

impl FromStr for PreStop {
    type Err = ParsePreStopError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParsePreStopError(text.to_owned());
        let http =
            |scheme, path: &str| Self::Http { path: path.to_owned(), port: Port::App, scheme };
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "http" => Ok(http(Scheme::Http, "/prestop")),
            Some(("sleep", duration)) => {
                humantime::parse_duration(duration).map(Self::Sleep).map_err(|_| error())
            }
            Some(("http", path)) if path.starts_with('/') => Ok(http(Scheme::Http, path)),
            Some(("https", path)) if path.starts_with('/') => Ok(http(Scheme::Https, path)),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for PreStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Sleep(duration) => write!(f, "sleep:{}", humantime::format_duration(*duration)),
            Self::Http { path, scheme: Scheme::Http, .. } if path == "/prestop" => {
                f.write_str("http")
            }
            Self::Http { path, scheme, .. } => write!(f, "{}:{path}", scheme.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_parse_and_print() {
        for text in ["none", "sleep:5s", "sleep:1m 30s", "http", "http:/bye?now=1", "https:/bye"] {
            assert_eq!(text.parse::<PreStop>().unwrap().to_string(), text);
        }
        for text in ["", "sleep", "sleep:", "sleep:5", "http:bye", "exec:/bin/true"] {
            let error = text.parse::<PreStop>().unwrap_err();
            assert!(error.to_string().contains("sleep:5s"), "{error}");
        }
    }

    #[test]
    fn a_spec_that_cannot_work_says_why() {
        let good = ClusterSpec::new(CommandTemplate::new("true", [""; 0]));
        assert!(good.validate().is_ok());
        let none = ClusterSpec { replicas: 0, ..good.clone() };
        assert!(none.validate().unwrap_err().to_string().contains("replicas is 0"));
        let empty = ClusterSpec { command: CommandTemplate::default(), ..good };
        assert!(empty.validate().unwrap_err().to_string().contains("command is empty"));
    }

    #[test]
    fn a_command_that_names_its_host_is_recognised() {
        let plain = CommandTemplate::new("server", ["--port", "{port}"]);
        assert!(!plain.names_host());
        assert!(CommandTemplate::new("server", ["--listen={host}:{port}"]).names_host());
        assert!(!plain.names_admin_port());
        assert!(plain.env("LISTEN", "{host}:{port}").names_host());
        assert!(CommandTemplate::new("server", ["--admin={admin_port}"]).names_admin_port());
    }
}
