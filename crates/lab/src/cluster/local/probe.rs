//! Probes: what they are told, and when a row of results changes a pod's state (facts section 1).

use std::time::Duration;

/// One of a pod's listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Port {
    /// The application's.
    #[default]
    App,
    /// The admin listener's.
    Admin,
}

/// What is spoken to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// With TLS; the kubelet takes any certificate.
    Https,
}

impl Scheme {
    /// As it is written in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// How a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAction {
    /// A GET; 200 to 399 is success (facts 1.6).
    HttpGet {
        /// The path.
        path: String,
        /// The listener.
        port: Port,
        /// What it speaks.
        scheme: Scheme,
    },
    /// A connection that is established is success.
    TcpSocket {
        /// The listener.
        port: Port,
    },
}

/// A probe, with Kubernetes' defaults (facts 1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// How it asks.
    pub action: ProbeAction,
    /// Not before the container has run this long.
    pub initial_delay: Duration,
    /// From one probe to the next.
    pub period: Duration,
    /// No answer for this long is a failure.
    pub timeout: Duration,
    /// So many successes in a row make it good.
    pub success_threshold: u32,
    /// So many failures in a row make it bad.
    pub failure_threshold: u32,
    /// For a container that this probe kills: its own grace period (facts 1.11).
    pub grace: Option<Duration>,
}

impl Probe {
    /// A probe with Kubernetes' defaults: every 10 s, 1 s to answer, good after one success, bad
    /// after three failures.
    pub fn new(action: ProbeAction) -> Self {
        Self {
            action,
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
            grace: None,
        }
    }

    /// A GET of this path on the application's listener.
    pub fn http(path: impl Into<String>) -> Self {
        let (port, scheme) = (Port::App, Scheme::Http);
        Self::new(ProbeAction::HttpGet { path: path.into(), port, scheme })
    }

    /// A connection to the application's listener.
    pub fn tcp() -> Self {
        Self::new(ProbeAction::TcpSocket { port: Port::App })
    }

    /// The same with this scheme, where it speaks HTTP.
    #[must_use]
    pub fn over(mut self, over: Scheme) -> Self {
        if let ProbeAction::HttpGet { scheme, .. } = &mut self.action {
            *scheme = over;
        }
        self
    }

    /// The same, every `period`.
    #[must_use]
    pub fn every(self, period: Duration) -> Self {
        Self { period, ..self }
    }
}

/// The probes of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    /// Blocks the other two until it has succeeded.
    pub startup: Option<Probe>,
    /// Decides the Ready condition.
    pub readiness: Option<Probe>,
    /// Restarts the container.
    pub liveness: Option<Probe>,
}

impl Default for Probes {
    /// The sample's: `/readiness` every second, `/liveness` every ten.
    fn default() -> Self {
        Self {
            startup: None,
            readiness: Some(Probe::http("/readiness").every(Duration::from_secs(1))),
            liveness: Some(Probe::http("/liveness")),
        }
    }
}

impl Probes {
    /// Refuses what Kubernetes' validation would.
    pub fn validate(&self) -> Result<(), String> {
        use ProbeKind::{Liveness, Readiness, Startup};
        let all =
            [(Startup, &self.startup), (Readiness, &self.readiness), (Liveness, &self.liveness)];
        for (kind, probe) in all {
            let Some(probe) = probe else { continue };
            let name = kind.name();
            if probe.period.is_zero() || probe.timeout.is_zero() {
                return Err(format!("the {name} probe's period and timeout must be over 0s"));
            }
            if probe.success_threshold == 0 || probe.failure_threshold == 0 {
                return Err(format!("the {name} probe's thresholds must be at least 1"));
            }
            if kind != Readiness && probe.success_threshold != 1 {
                return Err(format!("the {name} probe's success threshold must be 1"));
            }
            if let ProbeAction::HttpGet { path, .. } = &probe.action
                && (!path.starts_with('/') || path.parse::<hyper::Uri>().is_err())
            {
                return Err(format!("the {name} probe's path '{path}' is not a path"));
            }
        }
        Ok(())
    }
}

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// Has it started?
    Startup,
    /// Shall it get traffic?
    Readiness,
    /// Shall it live?
    Liveness,
}

impl ProbeKind {
    /// Its name in events and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }

    /// What counts before the first result (facts 1.4); a startup probe's is open.
    fn initial(self) -> Option<bool> {
        match self {
            Self::Startup => None,
            Self::Readiness => Some(false),
            Self::Liveness => Some(true),
        }
    }
}

/// Turns a row of results into changes of state: the thresholds.
#[derive(Debug)]
pub struct Gauge {
    success_threshold: u32,
    failure_threshold: u32,
    state: Option<bool>,
    last: Option<bool>,
    run: u32,
}

impl Gauge {
    /// For a container that has just started.
    pub fn new(kind: ProbeKind, probe: &Probe) -> Self {
        Self {
            success_threshold: probe.success_threshold,
            failure_threshold: probe.failure_threshold,
            state: kind.initial(),
            last: None,
            run: 0,
        }
    }

    /// What counts now.
    pub fn state(&self) -> Option<bool> {
        self.state
    }

    /// Takes a result; the new state, where it changes it.
    pub fn observe(&mut self, success: bool) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.success_threshold } else { self.failure_threshold };
        if self.run < threshold || self.state == Some(success) {
            return None;
        }
        self.state = Some(success);
        Some(success)
    }
}

/// How long a container that ended stays down before its next start: not at all the first time,
/// then 10 s, 20 s, … up to five minutes (`CrashLoopBackOff`).
pub fn restart_backoff(restarts: u32) -> Duration {
    match restarts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(300.min(10 << doublings.min(8))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(kind: ProbeKind, probe: &Probe, results: &str) -> String {
        let mut gauge = Gauge::new(kind, probe);
        let observed = results.chars().map(|result| gauge.observe(result == '+'));
        observed
            .map(|change| match change {
                None => '.',
                Some(true) => '+',
                Some(false) => '-',
            })
            .collect()
    }

    #[test]
    fn rules_1_1_1_4_and_1_5_thresholds() {
        use ProbeKind::{Liveness, Readiness, Startup};
        let default = Probe::http("/");
        let patient = Probe { success_threshold: 2, failure_threshold: 2, ..default.clone() };
        let table = [
            // Readiness begins as a failure: three more change nothing.
            (Readiness, &default, "---+", "...+"),
            // Ready to NotReady takes three in a row.
            (Readiness, &default, "+--+---+", "+.....-+"),
            (Readiness, &patient, "+-++--+", "...+.-."),
            // Liveness begins as a success.
            (Liveness, &default, "++--+---", ".......-"),
            // A startup probe has no state until it has one.
            (Startup, &default, "--+", "..+"),
            (Startup, &default, "---", "..-"),
        ];
        for (kind, probe, results, expected) in table {
            assert_eq!(changes(kind, probe, results), expected, "{kind:?} {results}");
        }
    }

    #[test]
    fn crash_loop_back_off() {
        let seconds = |restarts| restart_backoff(restarts).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 99].map(seconds), [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn impossible_probes_are_refused() {
        let with = |probe| Probes { startup: Some(probe), ..Probes::default() }.validate();
        assert!(with(Probe::http("/startup")).is_ok());
        assert!(with(Probe::http("startup")).unwrap_err().contains("'startup' is not a path"));
        assert!(with(Probe::tcp().every(Duration::ZERO)).unwrap_err().contains("over 0s"));
        let twice = Probe { success_threshold: 2, ..Probe::tcp() };
        assert!(with(twice).unwrap_err().contains("must be 1"));
    }
}
