//! Which containers requests come to. It is read from the Services, and from the ports where no
//! Service says it; names decide only between those who are served and those who watch.

use k8s_openapi::{
    api::core::v1::{ContainerPort, Probe, Service, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    hook::base,
    objects::Object,
    subject::{Role, Unit},
};

/// Whether requests come to a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    Requests,
    /// What it declares is for those who watch it: a controller that only exports metrics loses
    /// nobody's requests.
    None,
    /// Nothing was read that would show it.
    Unknown,
}

/// Marks the containers that requests come to, and says whether there are any.
pub(super) fn mark(units: &mut [Unit<'_>], services: &[&Object<Service>]) -> Traffic {
    let (watched, targets) = targets(services);
    let (serving, otherwise) = if targets.is_empty() {
        by_ports(units, &watched)
    } else {
        (by_services(units, &targets), Traffic::None)
    };
    for (unit, serving) in units.iter_mut().zip(&serving) {
        unit.serving = *serving;
    }
    if serving.contains(&true) { Traffic::Requests } else { otherwise }
}

/// The ports that Services send to: for those who watch, and requests.
fn targets(services: &[&Object<Service>]) -> (Vec<IntOrString>, Vec<IntOrString>) {
    let ports = services.iter().flat_map(|service| {
        let name = service.origin.name.as_str();
        // As kubebuilder calls the Service of an operator's metrics; metrics-server is another thing.
        let scraped = ["-metrics", "-metrics-service"].iter().any(|end| name.ends_with(end));
        let ports = service.object.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        ports.map(move |port| (scraped, port))
    });
    let target = |(scraped, port): (bool, &ServicePort)| {
        let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
        let named = scraped || port.name.as_deref().is_some_and(is_scraped);
        (named || matches!(&target, IntOrString::String(name) if is_scraped(name)), target)
    };
    let (watched, requests): (Vec<_>, Vec<_>) =
        ports.map(target).partition(|(watched, _)| *watched);
    let plain = |targets: Vec<(bool, IntOrString)>| targets.into_iter().map(|(_, t)| t).collect();
    (plain(watched), plain(requests))
}

/// Whom Services send to, whatever it is called; but for what answers those who watch.
fn by_services(units: &[Unit<'_>], targets: &[IntOrString]) -> Vec<bool> {
    let main = |unit: &Unit<'_>| unit.role == Role::Application && !unit.native_sidecar;
    let alone = units.iter().filter(|unit| main(unit)).count() == 1;
    let receives = |unit: &Unit<'_>| {
        unit.role != Role::Monitor
            && targets.iter().any(|target| {
                let elsewhere = units.iter().any(|unit| unit.declares(target));
                // What nobody declares can still be listened on, by whoever is alone there.
                unit.declares(target) || (!elsewhere && alone && main(unit) && !is_idle(unit))
            })
    };
    units.iter().map(receives).collect()
}

/// Whether all it does is to be there, such as to look around from by hand.
fn is_idle(unit: &Unit<'_>) -> bool {
    let container = unit.container;
    let words = container.command.iter().chain(&container.args).flatten();
    let mut words = words.flat_map(|word| {
        word.split(|c: char| c.is_whitespace() || ";&|".contains(c)).filter(|word| !word.is_empty())
    });
    let shell = |word: &str| {
        ["sh", "bash", "ash", "-c", "exec", "while", "true", "do", ":"].contains(&word)
    };
    let program = words.by_ref().map(base).find(|word| !shell(word));
    matches!(program, Some("sleep" | "tail" | "pause"))
        && !words.any(|word| {
            word.parse::<u32>().is_err() && !["done", "infinity", "-f", "/dev/null"].contains(&word)
        })
}

/// Who declares a port for requests, where no Service was read; and what is to be thought where
/// nobody does.
fn by_ports(units: &[Unit<'_>], watched: &[IntOrString]) -> (Vec<bool>, Traffic) {
    let purpose = |unit: &Unit<'_>, port: &ContainerPort| {
        let number = port.container_port;
        let is_watched = watched.iter().any(|target| unit.number(target) == Some(number));
        if is_watched { Purpose::Watching } else { purpose(unit, port) }
    };
    let serving = |unit: &Unit<'_>| {
        let own = unit.server.termination().is_some();
        let declared = unit.ports().iter().any(|port| purpose(unit, port) == Purpose::Requests);
        unit.role == Role::Application && (own || declared)
    };
    let ports = || {
        let counted = units.iter().filter(|unit| !unit.is_proxy());
        counted.flat_map(|unit| unit.ports().iter().map(|port| purpose(unit, port)))
    };
    let unclear = ports().next().is_none() || ports().any(|purpose| purpose == Purpose::Unclear);
    let otherwise = if unclear { Traffic::Unknown } else { Traffic::None };
    (units.iter().map(serving).collect(), otherwise)
}

/// What a declared port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Requests,
    Watching,
    /// Only the liveness probe asks it, and its name does not tell.
    Unclear,
}

fn purpose(unit: &Unit<'_>, port: &ContainerPort) -> Purpose {
    let name = port.name.as_deref().unwrap_or_default();
    if is_watched(name) {
        return Purpose::Watching;
    }
    let asks = |probe: &Option<Probe>| {
        let asked = probe.as_ref().and_then(asked);
        asked.and_then(|asked| unit.number(&asked)) == Some(port.container_port)
    };
    let container = unit.container;
    let only_liveness = asks(&container.liveness_probe) && !asks(&container.readiness_probe);
    if only_liveness && !is_served(name) { Purpose::Unclear } else { Purpose::Requests }
}

/// The port that a probe asks; one that names a host asks somebody else.
pub(super) fn asked(probe: &Probe) -> Option<IntOrString> {
    let http = probe.http_get.as_ref().filter(|http| http.host.is_none());
    let http = http.map(|http| http.port.clone());
    let tcp = probe.tcp_socket.as_ref().filter(|tcp| tcp.host.is_none());
    let tcp = || tcp.map(|tcp| tcp.port.clone());
    http.or_else(tcp).or_else(|| probe.grpc.as_ref().map(|grpc| IntOrString::Int(grpc.port)))
}

/// Whether a port of this name is asked by those who collect numbers or look whether it lives; a
/// Service to it carries nobody's requests.
fn is_scraped(name: &str) -> bool {
    words(name).any(|word| {
        word.contains("metrics")
            || word.starts_with("health")
            || word.starts_with("prometheus")
            || ["metric", "prom", "probe", "probes", "liveness", "livez", "readiness", "readyz"]
                .contains(&word)
            || ["telemetry", "pprof", "profiling", "jmx"].contains(&word)
    })
}

/// The same, and those for operators, where no Service says that somebody sends there.
fn is_watched(name: &str) -> bool {
    is_scraped(name)
        || words(name).any(|word| ["admin", "debug", "monitor", "monitoring"].contains(&word))
}

/// Whether a port of this name is for requests beyond doubt.
fn is_served(name: &str) -> bool {
    words(name).any(|word| {
        ["http", "https", "http2", "web", "www", "grpc", "api", "h2c", "app"].contains(&word)
    })
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_word_by_word() {
        for (name, scraped, watched) in [
            ("http", false, false),
            ("http-metrics", true, true),
            ("httpmetrics", true, true),
            ("healthz", true, true),
            ("admin", false, true),
            ("pgadmin", false, false),
            ("promotions", false, false),
            ("prom", true, true),
            ("", false, false),
        ] {
            assert_eq!((is_scraped(name), is_watched(name)), (scraped, watched), "{name}");
        }
        assert!(is_served("http") && is_served("grpc-web") && !is_served("") && !is_served("p"));
    }
}
