//! Whether a pod gets traffic when it can serve, and only then.

use std::time::Duration;

use k8s_openapi::{api::core::v1::Probe, apimachinery::pkg::util::intstr::IntOrString};

use super::{super::rule::Rule, Findings, Subject, shown, whole_seconds};
use crate::{fix::Fix, hook::Hook, subject::Unit, traffic::asked};

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for unit in &subject.units {
        if unit.serving {
            readiness(subject, unit, found);
            liveness(subject, unit, found);
        }
        ports(subject, unit, found);
        datagrams(subject, unit, found);
        times(subject, unit, found);
    }
}

/// A probe's numbers, with the defaults of the API (facts 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Timing {
    initial_delay: Duration,
    period: Duration,
    timeout: Duration,
    failures: u32,
}

impl Timing {
    fn of(probe: &Probe) -> Self {
        let at_least_one = |value: Option<i32>, default| {
            // Zero is how the default is written too.
            value
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .unwrap_or(default)
        };
        let seconds = |value, default| Duration::from_secs(at_least_one(value, default).into());
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            failures: at_least_one(probe.failure_threshold, 3),
        }
    }

    /// How long a server may fail before it counts (facts 1.5: from (F-1)·P to F·P).
    fn patience(self) -> Duration {
        self.period * self.failures
    }

    /// When a container that never answers is given up, at the earliest.
    fn gives_up(self) -> Duration {
        self.initial_delay + self.period * (self.failures - 1)
    }
}

fn readiness(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let name = &unit.container.name;
    let Some(probe) = &unit.container.readiness_probe else {
        // A readiness gate is somebody else's probe, such as a load balancer's.
        if subject.pod.readiness_gates.as_ref().is_none_or(Vec::is_empty) {
            let message = format!(
                "container {name} has no readiness probe: a new pod counts as ready the moment its \
                 process starts, gets traffic before it listens, and the old pods are stopped for \
                 it; what comes until it listens is refused"
            );
            let fix = match unit.ports().first() {
                // Whether it listens can be asked of anybody.
                Some(port) => {
                    let number = || port.container_port.to_string();
                    let port = port.name.clone().unwrap_or_else(number);
                    let probe = format!(
                        "readinessProbe:\n  tcpSocket: {{ port: {port} }}\n  periodSeconds: 1"
                    );
                    Fix::within(&unit.path, probe)
                        .or("better, an httpGet of what says whether it can serve")
                }
                None => Fix::advice(
                    "readinessProbe:\n  httpGet: { path: …, port: … }\n  periodSeconds: 1",
                ),
            };
            found.unit(Rule::NoReadinessProbe, origin, unit, "readinessProbe", message, fix);
        }
        return;
    };
    let patience = Timing::of(probe).patience();
    if let Some(delay) = unit.server.shortest_delay().filter(|_| unit.server.fails_readiness())
        && patience > delay
    {
        let message = format!(
            "the readiness probe of container {name} takes up to {} to notice a server that leaves, \
             and the server closes {} after it has begun to: balancers that trust the probe, and \
             callers of the hook without a deletion, send to a closed port in between",
            shown(patience),
            shown(delay)
        );
        let failures = (whole_seconds(delay).saturating_sub(1)).clamp(1, 3);
        let fix = format!("readinessProbe:\n  periodSeconds: 1\n  failureThreshold: {failures}");
        let fix = Fix::within(&unit.path, fix);
        found.unit(Rule::ProbeOutlastsDelay, origin, unit, "readinessProbe", message, fix);
    }
}

fn liveness(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let name = &unit.container.name;
    let (Some(live), Some(ready)) =
        (&unit.container.liveness_probe, &unit.container.readiness_probe)
    else {
        return;
    };
    let (live_timing, ready_timing) = (Timing::of(live), Timing::of(ready));
    // A port that takes no connection is dead by any measure; an endpoint can also be busy.
    let asks =
        |probe: &Probe| probe.http_get.is_some() || probe.grpc.is_some() || probe.exec.is_some();
    let same =
        live.http_get == ready.http_get && live.grpc == ready.grpc && live.exec == ready.exec;
    if asks(live) && same && live_timing.patience() <= ready_timing.patience() {
        let message = format!(
            "the liveness probe of container {name} asks the same as its readiness probe and gives \
             up as soon, after {}: a pod that is only busy or leaving, as in a rollout that has \
             fewer pods for the same load, is killed with what it has in flight instead of being \
             taken out",
            shown(live_timing.patience())
        );
        let failures = live_timing.failures.max(
            u32::try_from(
                ready_timing.patience().as_secs() * 3 / live_timing.period.as_secs().max(1) + 1,
            )
            .unwrap_or(u32::MAX),
        );
        let fix = format!(
            "livenessProbe:\n  # an endpoint that says only that the process is alive, or at \
             least\n  failureThreshold: {failures}"
        );
        let fix = Fix::within(&unit.path, fix);
        found.unit(Rule::LivenessLikeReadiness, origin, unit, "livenessProbe", message, fix);
    }
    if unit.container.startup_probe.is_none() && live_timing.gives_up() < ready_timing.initial_delay
    {
        let message = format!(
            "the liveness probe of container {name} may kill it after {}, and its readiness probe \
             first asks after {}: a pod that needs that long to start never becomes ready, and the \
             rollout never ends",
            shown(live_timing.gives_up()),
            shown(ready_timing.initial_delay)
        );
        let delay = whole_seconds(ready_timing.initial_delay);
        let fix =
            Fix::within(&unit.path, format!("livenessProbe:\n  initialDelaySeconds: {delay}")).or(
                "better, a startupProbe of the readiness probe's question: the others wait for it",
            );
        found.unit(Rule::LivenessBeforeReadiness, origin, unit, "livenessProbe", message, fix);
    }
}

/// The probes of a container, with their names in the manifest.
fn probes<'a>(unit: &Unit<'a>) -> impl Iterator<Item = (&'static str, &'a Probe)> + use<'a> {
    let container = unit.container;
    [
        ("startupProbe", &container.startup_probe),
        ("readinessProbe", &container.readiness_probe),
        ("livenessProbe", &container.liveness_probe),
    ]
    .into_iter()
    .filter_map(|(name, probe)| Some((name, probe.as_ref()?)))
}

fn ports(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let container = &unit.container.name;
    let hook = match &unit.hook {
        Hook::Http { port, elsewhere: false, .. } => Some(("lifecycle.preStop", port.clone())),
        _ => None,
    };
    let all = probes(unit).filter_map(|(name, probe)| Some((name, asked(probe)?))).chain(hook);
    let names: Vec<_> = unit.ports().iter().filter_map(|port| port.name.as_deref()).collect();
    let declared: Vec<_> = unit.ports().iter().map(|port| port.container_port).collect();
    for (field, port) in all {
        match (&port, unit.number(&port)) {
            (IntOrString::String(name), None) => {
                let becomes = if field == "lifecycle.preStop" {
                    "the hook fails, and SIGTERM follows without its delay"
                } else {
                    "the probe fails as often as it asks"
                };
                let message = format!(
                    "{field} of container {container} names the port '{name}', and the container \
                     has {}: {becomes}",
                    if names.is_empty() { "none with a name".to_owned() } else { names.join(", ") }
                );
                let fix = names.first().map_or_else(
                    || format!("ports:\n  - name: {name}\n    containerPort: …"),
                    |name| format!("port: {name}"),
                );
                found.unit(Rule::UnknownPortName, origin, unit, field, message, fix);
            }
            (_, Some(number))
                if unit.serving
                    && field != "lifecycle.preStop"
                    && declared.iter().any(|declared| twisted(*declared, number))
                    && !subject.declares(&IntOrString::Int(number)) =>
            {
                let message = format!(
                    "{field} of container {container} asks port {number}, and the pod declares {}: \
                     if that is a typing error and nothing listens there, no pod ever gets ready, or \
                     all are killed",
                    declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                );
                let fix = format!("ports:\n  - containerPort: {number}  # if that is right");
                found.unit(Rule::ProbePortUndeclared, origin, unit, field, message, fix);
            }
            _ => {}
        }
    }
}

/// Every probe but exec opens a connection; a port may be declared for both protocols, as a name
/// server's is.
fn datagrams(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    for (field, probe) in probes(unit) {
        let Some(number) = asked(probe).and_then(|port| unit.number(&port)) else { continue };
        let mut protocols = unit
            .ports()
            .iter()
            .filter(|port| port.container_port == number)
            .map(|port| port.protocol.as_deref().unwrap_or("TCP"))
            .peekable();
        if protocols.peek().is_some() && protocols.all(|protocol| protocol != "TCP") {
            let message = format!(
                "{field} of container {} opens a TCP connection to port {number}, which is declared \
                 for another protocol: if nothing listens there for TCP, it fails as often as it asks",
                unit.container.name
            );
            let fix = "ask a TCP port, or run a program by exec";
            let origin = &subject.workload.origin;
            found.unit(Rule::ProbeOfUdpPort, origin, unit, field, message, fix);
        }
    }
}

/// Whether two numbers have the same digits in another order. Ports need not be declared, and
/// those for health checks often are not: only what looks like a typing error is worth a word.
fn twisted(one: i32, other: i32) -> bool {
    let digits = |number: i32| {
        let mut digits = number.to_string().into_bytes();
        digits.sort_unstable();
        digits
    };
    one != other && digits(one) == digits(other)
}

fn times(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let container = &unit.container.name;
    let ending =
        unit.hook_takes().unwrap_or_default() + unit.server.longest_delay().unwrap_or_default();
    for (field, probe) in probes(unit) {
        let timing = Timing::of(probe);
        if timing.timeout > timing.period {
            let message = format!(
                "{field} of container {container} waits {} for an answer and is due every {}: the \
                 checks come late, and a server that hangs is noticed after {} instead of {}",
                shown(timing.timeout),
                shown(timing.period),
                shown(timing.timeout * timing.failures),
                shown(timing.patience())
            );
            let fix = format!("{field}:\n  timeoutSeconds: {}", timing.period.as_secs());
            let fix = Fix::within(&unit.path, fix);
            found.unit(Rule::ProbeTimeoutOverPeriod, origin, unit, field, message, fix);
        }
        if let Some(own) = probe.termination_grace_period_seconds.map(crate::seconds)
            && own < ending
        {
            let message = format!(
                "{field} of container {container} has a grace period of its own of {}, and hook \
                 and delay take {}: a container that it restarts is killed with what it has in \
                 flight",
                shown(own),
                shown(ending)
            );
            let fix = Fix::within(&unit.path, own_grace(field, ending));
            found.unit(Rule::ProbeGraceTooShort, origin, unit, field, message, fix);
        }
    }
}

fn own_grace(field: &str, ending: Duration) -> String {
    format!("{field}:\n  terminationGracePeriodSeconds: {}", whole_seconds(ending) + 10)
}

/// A fix that makes a container's end this long, with what it asks of the probes' own grace periods.
pub(super) fn with_grace(fix: Fix, unit: &Unit<'_>, ending: Duration) -> Fix {
    probes(unit)
        .filter(|(_, probe)| {
            let own = probe.termination_grace_period_seconds.map(crate::seconds);
            own.is_some_and(|own| own < ending)
        })
        .fold(fix, |fix, (field, _)| {
            fix.and("in the same container", &unit.path, &own_grace(field, ending))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_in_ports() {
        assert!(twisted(8080, 8008) && twisted(9090, 9009));
        assert!(!twisted(8080, 8080) && !twisted(8080, 8081) && !twisted(80, 8080));
    }

    #[test]
    fn the_defaults_of_a_probe_and_what_follows() {
        let timing = Timing::of(&Probe::default());
        assert_eq!(timing.patience(), Duration::from_secs(30));
        assert_eq!(timing.gives_up(), Duration::from_secs(20));
        let zero =
            Probe { failure_threshold: Some(0), period_seconds: Some(0), ..Probe::default() };
        assert_eq!(Timing::of(&zero), timing);
        let quick = Probe {
            initial_delay_seconds: Some(5),
            period_seconds: Some(2),
            failure_threshold: Some(1),
            ..Probe::default()
        };
        assert_eq!(Timing::of(&quick).patience(), Duration::from_secs(2));
        assert_eq!(Timing::of(&quick).gives_up(), Duration::from_secs(5));
    }
}
