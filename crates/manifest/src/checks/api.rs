//! What the API refuses, or drops without a word.

mod labels;

use std::collections::HashSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{super::rule::Rule, Findings, Subject};
use crate::{
    fix::Fix,
    ignore::{self, ANNOTATION},
    objects::{Autoscaler, Job, Object, Objects, Rollout, Workload},
    select,
    subject::Unit,
    traffic::asked,
};

pub(super) fn check(objects: &Objects, found: &mut Findings) {
    for unserved in &objects.unserved {
        let (origin, version) = (&unserved.origin, &unserved.object);
        let (rule, what) = match version.since {
            Some(since) => {
                (Rule::RemovedApi, format!("has not been served since Kubernetes {since}"))
            }
            None => (Rule::UnknownApi, "is nothing that the API has".to_owned()),
        };
        let message = format!(
            "{} of {} {what}: it cannot be applied, and was not checked any further",
            origin.kind, version.version
        );
        let fix = match version.instead {
            Some(instead) => Fix::within("", format!("apiVersion: {instead}")),
            None => Fix::advice("remove it: nothing has taken its place under another version"),
        };
        found.object(rule, origin, "apiVersion", message, fix);
    }
    for origin in objects.origins() {
        for refused in ignore::said(origin).filter_map(Result::err) {
            let message = format!("its annotation {ANNOTATION} is not understood: {refused}");
            let path = "metadata.annotations";
            let fix = format!("{ANNOTATION}: \"RULE: REASON; RULE: REASON\"");
            found.object(Rule::IgnoreRefused, origin, path, message, fix);
        }
        for path in &origin.unknown {
            let message = format!(
                "there is no field {path}: kubectl refuses it, and where somebody else applies it \
                 the API drops it, with whatever it was meant to say"
            );
            let fix = "correct its name or its indentation";
            found.object(Rule::UnknownField, origin, path, message, fix);
        }
    }
    let selects = |workload: &&Workload| workload.rollout != Rollout::Never;
    for workload in objects.workloads.iter().filter(selects) {
        if select::is_empty(&workload.selector) {
            let message = "it has no selector, or an empty one: the API refuses it".to_owned();
            let labels = workload.labels().into_iter().flatten().next();
            let fix = labels.map_or_else(
                || Fix::advice("selector:\n  matchLabels: …  # labels of its own pods"),
                |(key, value)| {
                    Fix::within("spec", format!("selector:\n  matchLabels: {{ {key}: {value:?} }}"))
                },
            );
            found.object(Rule::ApiRefuses, &workload.origin, "spec.selector", message, fix);
        } else if !select::labels(&workload.selector, workload.labels()) {
            let message =
                "its selector does not match the labels of its own pods: the API refuses \
                           it"
                .to_owned();
            let fix = "make spec.selector.matchLabels a part of spec.template.metadata.labels";
            found.object(Rule::SelectorMismatch, &workload.origin, "spec.selector", message, fix);
        }
    }
    labels::check(objects, found);
    jobs(objects, found);
    autoscalers(objects, found);
}

/// Selectors of Jobs, which are made for them: one that is written has to fit (pkg/apis/batch/validation).
fn jobs(objects: &Objects, found: &mut Findings) {
    for Object { origin, object: Job { spec, at } } in &objects.jobs {
        let Some(selector) = &spec.selector else { continue };
        let path = format!("{at}.selector");
        let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
        if origin.kind == "CronJob" {
            let message =
                "its Jobs have a selector, which the API makes for each of them by itself: it \
                           refuses one that is written"
                    .to_owned();
            found.object(Rule::ApiRefuses, origin, &path, message, "remove the selector");
        } else if !select::labels(selector, labels) {
            let message =
                "its selector does not match the labels of its own pods: the API refuses it";
            let fix = "remove the selector: the API makes one by itself";
            found.object(Rule::SelectorMismatch, origin, &path, message.to_owned(), fix);
        }
    }
}

/// Bounds of an autoscaler (pkg/apis/autoscaling/validation).
fn autoscalers(objects: &Objects, found: &mut Findings) {
    for Object { origin, object: Autoscaler { min, max, .. } } in &objects.autoscalers {
        let what = match max {
            Some(0) => "it has no maxReplicas, or one below 1".to_owned(),
            Some(max) if max < min => {
                format!("its maxReplicas, {max}, is below minReplicas, {min}")
            }
            _ => continue,
        };
        let fix = "maxReplicas: …  # how many it may come to, at least minReplicas";
        let message = format!("{what}: the API refuses it, and nothing is scaled");
        found.object(Rule::ApiRefuses, origin, "spec.maxReplicas", message, fix);
    }
}

/// What the API refuses of a pod (pkg/apis/core/validation).
pub(super) fn pods(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let mut refuse = |unit: &Unit<'_>, field: &str, what: &str, fix: &str| {
        let name = &unit.container.name;
        let message = format!("{field} of container {name} {what}: the API refuses it");
        found.unit(Rule::ApiRefuses, origin, unit, field, message, fix);
    };
    for unit in &subject.units {
        let container = unit.container;
        for (field, probe) in [
            ("startupProbe", &container.startup_probe),
            ("readinessProbe", &container.readiness_probe),
            ("livenessProbe", &container.liveness_probe),
        ] {
            let Some(probe) = probe else { continue };
            let handlers = [
                probe.exec.is_some(),
                probe.grpc.is_some(),
                probe.http_get.is_some(),
                probe.tcp_socket.is_some(),
            ];
            match set(handlers) {
                1 => {}
                0 => {
                    let fix = "give it one of httpGet, tcpSocket, grpc, exec";
                    refuse(unit, field, "asks nothing", fix);
                }
                _ => refuse(unit, field, "asks in more than one way", "leave one of them"),
            }
            if field != "readinessProbe" && probe.success_threshold.is_some_and(|times| times > 1) {
                refuse(unit, field, "has a successThreshold above 1", "successThreshold: 1");
            }
            if field == "readinessProbe" && probe.termination_grace_period_seconds.is_some() {
                let what = "has a grace period, and restarts nothing";
                refuse(unit, field, what, "remove terminationGracePeriodSeconds from it");
            }
            let number = asked(probe).and_then(|port| number(&port));
            if number.is_some_and(|number| !is_port(number)) {
                refuse(unit, field, "asks a port out of 1 to 65535", "correct the port");
            }
        }
        let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        if let Some(hook) = hook {
            let handlers = [
                hook.exec.is_some(),
                hook.http_get.is_some(),
                hook.sleep.is_some(),
                hook.tcp_socket.is_some(),
            ];
            let field = "lifecycle.preStop";
            match set(handlers) {
                1 => {}
                0 => refuse(unit, field, "does nothing", "give it a sleep, or remove it"),
                _ => refuse(unit, field, "has more than one handler", "leave one of them"),
            }
        }
        let mut names = HashSet::new();
        for port in unit.ports() {
            if let Some(name) = port.name.as_deref().filter(|name| !names.insert(*name)) {
                let what = format!("has two ports named '{name}'");
                refuse(unit, "ports", &what, "give each port a name of its own");
            }
            if !is_port(port.container_port) {
                let what = format!("has port {}, which is none", port.container_port);
                refuse(unit, "ports", &what, "a containerPort from 1 to 65535");
            }
            if let Some(why) = port.name.as_deref().and_then(no_port_name) {
                let name = port.name.as_deref().unwrap_or_default();
                let what = format!("has a port named '{name}', which {why}");
                refuse(unit, "ports", &what, "a name such as http");
            }
        }
    }
}

/// How many of these are set; the API takes exactly one handler.
fn set(handlers: [bool; 4]) -> usize {
    handlers.into_iter().filter(|set| *set).count()
}

/// What it refuses of an Ingress: a Service without a port (networking validation).
pub(super) fn routes(objects: &Objects, found: &mut Findings) {
    for route in objects.routes.iter().filter(|route| route.origin.kind == "Ingress") {
        for backend in route.object.backends.iter().filter(|backend| backend.port.is_none()) {
            let message = format!(
                "it sends to Service {} without a port, which has to be there by number or name: the \
                 API refuses it",
                backend.service
            );
            let fix = "service:\n  port:\n    number: …";
            found.object(Rule::ApiRefuses, &route.origin, &backend.path, message, fix);
        }
    }
}

/// What it refuses of a Service.
pub(super) fn services(objects: &Objects, found: &mut Findings) {
    for service in &objects.services {
        let ports = service.object.spec.as_ref().and_then(|spec| spec.ports.as_deref());
        let ports = ports.unwrap_or_default();
        for (index, port) in ports.iter().enumerate() {
            let target = port.target_port.as_ref().and_then(number);
            for (field, number) in [("port", Some(port.port)), ("targetPort", target)] {
                let Some(number) = number.filter(|number| !is_port(*number)) else { continue };
                let message =
                    format!("{field} {number} is not from 1 to 65535: the API refuses it");
                let path = format!("spec.ports[{index}].{field}");
                found.object(Rule::ApiRefuses, &service.origin, &path, message, "correct the port");
            }
            if let Some(IntOrString::String(name)) = &port.target_port
                && let Some(why) = no_port_name(name)
            {
                let message = format!("targetPort '{name}' {why}: the API refuses it");
                let path = format!("spec.ports[{index}].targetPort");
                let fix = "the number of a port without quotes, or the name of one";
                found.object(Rule::ApiRefuses, &service.origin, &path, message, fix);
            }
            if ports.len() > 1 && port.name.is_none() {
                let message =
                    "of several ports each needs a name, and one has none: the API refuses it";
                let path = format!("spec.ports[{index}]");
                let fix = "name each port";
                found.object(Rule::ApiRefuses, &service.origin, &path, message.to_owned(), fix);
            }
        }
    }
}

/// Why a text is no name of a port (apimachinery: `IsValidPortName`), if it is none.
fn no_port_name(name: &str) -> Option<&'static str> {
    let letter = |c: char| c.is_ascii_lowercase();
    if name.len() > 15 {
        Some("is longer than 15 letters")
    } else if !name.chars().any(letter) {
        Some("has no letter")
    } else if !name.chars().all(|c| letter(c) || c.is_ascii_digit() || c == '-') {
        Some("has more than small letters, digits and -")
    } else if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        Some("begins or ends with -, or has two of them together")
    } else {
        None
    }
}

fn number(port: &IntOrString) -> Option<i32> {
    match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(_) => None,
    }
}

fn is_port(number: i32) -> bool {
    (1..=65_535).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::no_port_name;

    #[test]
    fn names_of_ports() {
        for name in ["http", "n23456789012345", "h2c", "8080-web", "a"] {
            assert_eq!(no_port_name(name), None, "{name}");
        }
        for name in ["n234567890123456", "8080", "Http", "web_ui", "-a", "a-", "a--b", ""] {
            assert!(no_port_name(name).is_some(), "{name}");
        }
    }
}
