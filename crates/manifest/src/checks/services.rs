//! Whether Services and pods fit together.

use std::{
    collections::{HashMap, HashSet},
    ptr,
};

use k8s_openapi::{
    api::core::v1::{ContainerPort, Service, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{super::rule::Rule, Findings, Named, Subject, labels};
use crate::{
    fix::Fix,
    objects::{Object, Objects, Origin},
    select,
    subject::Unit,
};

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for service in &subject.services {
        let Some(spec) = &service.object.spec else { continue };
        let origin = &subject.workload.origin;
        if service.origin.namespace != origin.namespace && !certain(subject) {
            super::apart(&service.origin, origin, "sends to its pods", found);
        }
        for (index, port) in spec.ports.iter().flatten().enumerate() {
            target(subject, service, index, port, found);
        }
        // A headless one is for peers that have to find each other before they are ready.
        let headless = spec.cluster_ip.as_deref() == Some("None");
        if spec.publish_not_ready_addresses == Some(true) && !headless {
            let message = format!(
                "publishNotReadyAddresses sends to pods of {} that are not ready yet, and to those \
                 that are leaving: a rollout loses what they cannot answer",
                subject.workload.origin.title()
            );
            let path = "spec.publishNotReadyAddresses";
            let fix = "remove publishNotReadyAddresses, or set clusterIP: None";
            found.object(Rule::PublishesNotReady, &service.origin, path, message, fix);
        }
    }
}

/// Whether another Service is certain to be beside the workload.
fn certain(subject: &Subject<'_>) -> bool {
    let namespace = &subject.workload.origin.namespace;
    subject.services.iter().any(|service| service.origin.namespace == *namespace)
}

fn target(
    subject: &Subject<'_>,
    service: &Object<Service>,
    index: usize,
    port: &ServicePort,
    found: &mut Findings,
) {
    let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
    if subject.declares(&target) {
        return;
    }
    let declared: Vec<_> = subject
        .units
        .iter()
        .flat_map(Unit::ports)
        .map(|port| match &port.name {
            Some(name) => format!("{name} ({})", port.container_port),
            None => port.container_port.to_string(),
        })
        .collect();
    let path = format!("spec.ports[{index}].targetPort");
    let title = subject.workload.origin.title();
    let ports: Vec<_> = subject.units.iter().flat_map(Unit::ports).collect();
    let written = |port: &ContainerPort| {
        let number = || port.container_port.to_string();
        format!("targetPort: {}", port.name.clone().unwrap_or_else(number))
    };
    let fix = match ports.as_slice() {
        [] => Fix::advice("declare the port in the container, with this name"),
        // There is nothing else that it could mean.
        [port] => Fix::within(format!("spec.ports[{index}]"), written(port)),
        [port, ..] => Fix::advice(format!("{}  # or another of them", written(port))),
    };
    match &target {
        IntOrString::String(name) if name.parse::<u16>().is_err() => {
            let message = format!(
                "targetPort '{name}' is the name of no port of {title}{}: the Service has no \
                 endpoint for it, and every request is refused",
                if declared.is_empty() {
                    String::new()
                } else {
                    format!(", which has {}", declared.join(", "))
                }
            );
            found.object(Rule::ServicePortUnknown, &service.origin, &path, message, fix);
        }
        _ if declared.is_empty() => {}
        IntOrString::Int(_) | IntOrString::String(_) => {
            let number = match &target {
                IntOrString::Int(number) => number.to_string(),
                IntOrString::String(text) => text.clone(),
            };
            let message = format!(
                "targetPort {number} is declared by no container of {title}, which has {}: if \
                 nothing listens there, every request is refused",
                declared.join(", ")
            );
            found.object(Rule::ServicePortUndeclared, &service.origin, &path, message, fix);
        }
    }
}

/// What several workloads of one Service, or several Services of one workload, have to agree on.
pub(super) fn shared(objects: &Objects, subjects: &[Subject<'_>], found: &mut Findings) {
    let mut behind: HashMap<*const Object<Service>, Vec<&Subject<'_>>> = HashMap::new();
    for subject in subjects {
        for service in &subject.services {
            behind.entry(ptr::from_ref(*service)).or_default().push(subject);
        }
        disagree(subject, found);
    }
    for service in &objects.services {
        let subjects = behind.get(&ptr::from_ref(service)).map_or(&[][..], Vec::as_slice);
        if subjects.len() > 1 {
            several(service, subjects, found);
        }
    }
}

/// A Service of several workloads, of which some declare its port and some declare none at all: their
/// pods are endpoints all the same.
fn several(service: &Object<Service>, subjects: &[&Subject<'_>], found: &mut Findings) {
    let ports = service.object.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    for (index, port) in ports.enumerate() {
        let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
        let Some(listens) = subjects.iter().find(|subject| subject.declares(&target)) else {
            continue;
        };
        let silent = |subject: &&&Subject<'_>| subject.units.iter().all(|u| u.ports().is_empty());
        let Some(silent) = subjects.iter().find(silent) else { continue };
        let message = format!(
            "it sends to the pods of {} and of {}, of which only the first declare port {}: if nothing \
             listens there, the requests that go to the others are refused",
            listens.workload.origin.title(),
            silent.workload.origin.title(),
            super::port_text(&target)
        );
        let fix = format!("selector:\n{}", labels(listens, "  "));
        let fix = Fix::advice(format!("{fix}\n  # and a label that the others do not have"));
        let path = format!("spec.ports[{index}]");
        found.object(Rule::ServiceOfSeveral, &service.origin, &path, message, fix);
    }
}

/// Two Services that give one port of a workload different protocols: a mesh or a gateway speaks what
/// it read last (istio.io/latest/docs/ops/deployment/application-requirements).
fn disagree(subject: &Subject<'_>, found: &mut Findings) {
    let mut first: HashMap<String, (&Origin, &str)> = HashMap::new();
    for service in &subject.services {
        let ports = service.object.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        for (index, port) in ports.enumerate() {
            let Some(protocol) = port.app_protocol.as_deref() else { continue };
            let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
            let number = subject.units.iter().find_map(|unit| unit.number(&target));
            let target = number.map_or_else(|| super::port_text(&target), |port| port.to_string());
            let (other, theirs) =
                *first.entry(target.clone()).or_insert((&service.origin, protocol));
            if theirs == protocol || other.name == service.origin.name {
                continue;
            }
            let message = format!(
                "it says that port {target} of {} speaks {protocol}, and {} says {theirs}: a mesh or a \
                 gateway takes one of the two, and the requests of the other are broken",
                subject.workload.origin.title(),
                other.title()
            );
            let path = format!("spec.ports[{index}].appProtocol");
            let fix = format!("appProtocol: {theirs}  # or {protocol} in both");
            found.object(Rule::ServicesDisagree, &service.origin, &path, message, fix);
        }
    }
}

/// Services that send to nobody and are named after somebody.
pub(super) fn unmatched<'a>(
    objects: &'a Objects,
    subjects: &[Subject<'a>],
    named: &Named<'a>,
    sending: &HashSet<*const Object<Service>>,
    found: &mut Findings,
) {
    for service in &objects.services {
        if select::selector(&service.object).is_none() || sending.contains(&ptr::from_ref(service))
        {
            continue;
        }
        let endings = ["", "-svc", "-service"];
        if let Some(meant) = named.meant(subjects, &service.origin, endings) {
            let message = format!(
                "its selector matches the pods of no workload that was read, not even those of {}: \
                 it has no endpoint, and every request is refused",
                meant.workload.origin.title()
            );
            let fix = Fix::within("spec", format!("selector:\n{}", labels(meant, "  ")));
            found.object(
                Rule::ServiceSelectsNothing,
                &service.origin,
                "spec.selector",
                message,
                fix,
            );
        }
    }
}
