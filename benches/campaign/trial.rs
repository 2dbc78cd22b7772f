//! Everything that makes up one rollout.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use websample_lab::{disruption::Disruption, through::Program};

/// One rollout. Written as JSON of what differs from the default, so that a simpler trial is a shorter
/// line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Trial {
    /// The lab's own seed.
    pub(crate) seed: u64,
    pub(crate) event: Disruption,
    pub(crate) replicas: u32,
    pub(crate) surge: String,
    pub(crate) unavailable: String,
    pub(crate) grace: u64,
    pub(crate) margin_ms: u64,
    pub(crate) delay_min_ms: u64,
    pub(crate) delay_quiet_ms: u64,
    pub(crate) delay_max_ms: u64,
    pub(crate) close_spread_ms: u64,
    pub(crate) pre_stop: String,
    pub(crate) propagation: String,
    pub(crate) probe_period_ms: u64,
    pub(crate) failure_threshold: u32,
    pub(crate) on_drain: String,
    pub(crate) framework: String,
    /// Whether pods serve with TLS.
    pub(crate) tls: bool,
    /// `nginx`, `haproxy` or `envoy`.
    pub(crate) through: Option<String>,
    pub(crate) proxy_retries: bool,
    pub(crate) proxy_http2: bool,
    /// From a process's start to its listening.
    pub(crate) slow_start_ms: u64,
    /// Threads that take what processor time they can get meanwhile.
    pub(crate) spinners: u32,
    /// Streams as `--mix` has them.
    pub(crate) mix: Vec<String>,
    pub(crate) clients: Vec<Client>,
    pub(crate) signal: Option<Signal>,
    pub(crate) interrupt: Option<Interrupt>,
}

/// A client that misbehaves, straight at the pods, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    /// Sends half a head and waits.
    HalfHead,
    /// Sends half a body and waits.
    HalfBody,
    /// Asks, and resets before the answer.
    Reset,
    /// Asks, reads nothing and never closes, as one whose network is gone.
    Vanish,
    /// Connects and says nothing.
    Silent,
}

impl Client {
    pub(crate) const ALL: [Self; 5] =
        [Self::HalfHead, Self::HalfBody, Self::Reset, Self::Vanish, Self::Silent];

    /// Whether what it has asked for may be in flight until the deadline.
    pub(crate) fn may_be_cut(self) -> bool {
        matches!(self, Self::HalfHead | Self::HalfBody | Self::Vanish)
    }
}

/// A signal, or a call of the hook, that nobody expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signal {
    pub(crate) what: Unexpected,
    /// From the start of the load.
    pub(crate) after_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unexpected {
    /// SIGTERM to the process of a ready pod: the kubelet starts it again.
    Term,
    /// The same, and SIGTERM again so many milliseconds later.
    TermTwice(u64),
    /// The hook of a ready pod is called.
    Hook,
}

/// The lab itself is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interrupt {
    /// SIGTERM, else SIGINT.
    pub(crate) term: bool,
    /// From the start of the load.
    pub(crate) after_ms: u64,
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            seed: 0,
            event: Disruption::Update,
            replicas: 2,
            surge: "25%".to_owned(),
            unavailable: "25%".to_owned(),
            grace: 30,
            margin_ms: 2_000,
            delay_min_ms: 1_500,
            delay_quiet_ms: 500,
            delay_max_ms: 5_000,
            close_spread_ms: 0,
            pre_stop: "http".to_owned(),
            propagation: "0ms..1s".to_owned(),
            probe_period_ms: 1_000,
            failure_threshold: 3,
            on_drain: "fail".to_owned(),
            framework: "actix".to_owned(),
            tls: false,
            through: None,
            proxy_retries: true,
            proxy_http2: false,
            slow_start_ms: 0,
            spinners: 0,
            mix: vec!["100/s new GET /".to_owned()],
            clients: Vec::new(),
            signal: None,
            interrupt: None,
        }
    }
}

impl Trial {
    /// What differs from the default, as one line of JSON.
    pub(crate) fn line(&self) -> String {
        serde_json::Value::Object(self.changes()).to_string()
    }

    /// The same as an object.
    pub(crate) fn changes(&self) -> serde_json::Map<String, serde_json::Value> {
        let object = |trial: &Self| match serde_json::to_value(trial) {
            Ok(serde_json::Value::Object(object)) => object,
            other => unreachable!("a struct is an object: {other:?}"),
        };
        let mut own = object(self);
        for (key, value) in object(&Self::default()) {
            if own.get(&key) == Some(&value) {
                own.remove(&key);
            }
        }
        own
    }

    /// The command line of `websample`, whose report goes to `out`.
    pub(crate) fn arguments(&self, binary: &Path, out: &Path) -> Vec<String> {
        let mut line: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| line.extend(words.iter().map(|&word| word.to_owned()));
        add(&["rollout", "--modes", "drain", "--fail-on-loss", "drain", "--results", "json"]);
        add(&["--event", self.event.name(), "--seed", &self.seed.to_string()]);
        add(&["--replicas", &self.replicas.to_string()]);
        add(&["--max-surge", &self.surge, "--max-unavailable", &self.unavailable]);
        add(&["--grace", &format!("{}s", self.grace), "--pre-stop", &self.pre_stop]);
        add(&["--propagation", &self.propagation, "--mix", &self.mix.join(", ")]);
        add(&["--probe-period", &format!("{}ms", self.probe_period_ms)]);
        add(&["--failure-threshold", &self.failure_threshold.to_string()]);
        if let Some(proxy) = &self.through {
            add(&["--through", proxy, "--proxy-retries"]);
            add(&[if self.proxy_retries { "on" } else { "off" }]);
            add(&["--proxy-upstream", if self.proxy_http2 { "http2" } else { "http1" }]);
        }
        if self.tls {
            add(&["--tls"]);
        }
        add(&["--out", &out.to_string_lossy()]);
        if self.slow_start_ms > 0 {
            add(&["--readiness", "http:/readiness", "--liveness", "http:/liveness", "--", "sh"]);
            let slow = Duration::from_millis(self.slow_start_ms).as_secs_f64();
            add(&["-c", &format!("sleep {slow}; exec \"$0\" \"$@\""), &binary.to_string_lossy()]);
            add(&["serve", "--version", "{version}", "--mode", "drain", "--instance", "{pod}"]);
            add(&["--listen", "{host}:{port}", "--admin.listen", "{host}:{admin_port}"]);
            add(&["--grace_period", &format!("{}s", self.grace), "--log.level", "warn"]);
            add(&["--workers", "1"]);
            if self.tls {
                add(&["--tls.cert", "{cert}", "--tls.key", "{key}"]);
            }
        }
        line
    }

    /// The environment that the pods inherit.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let ms = |ms: u64| format!("{ms}ms");
        vec![
            ("WEBSAMPLE_FRAMEWORK", self.framework.clone()),
            ("WEBSAMPLE_MARGIN", ms(self.margin_ms)),
            ("WEBSAMPLE_DELAY__MIN", ms(self.delay_min_ms)),
            ("WEBSAMPLE_DELAY__QUIET", ms(self.delay_quiet_ms)),
            ("WEBSAMPLE_DELAY__MAX", ms(self.delay_max_ms)),
            ("WEBSAMPLE_CLOSE__SPREAD", ms(self.close_spread_ms)),
            ("WEBSAMPLE_READINESS__ON_DRAIN", self.on_drain.clone()),
            // The hook answers where the lab calls it.
            ("WEBSAMPLE_HOOK__ON_APP_LISTENER", "true".to_owned()),
        ]
    }

    /// Whether the proxy that it needs is on the PATH.
    pub(crate) fn proxies() -> [Program; 3] {
        [Program::Nginx, Program::Haproxy, Program::Envoy]
    }
}
