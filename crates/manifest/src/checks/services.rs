//! Whether Services and pods fit together.

use std::{collections::HashSet, ptr};

use k8s_openapi::{
    api::core::v1::{ContainerPort, Service, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{super::rule::Rule, Findings, Named, Subject, labels};
use crate::{
    fix::Fix,
    objects::{Object, Objects},
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

/// Services that send to nobody and are named after somebody.
pub(super) fn unmatched<'a>(
    objects: &'a Objects,
    subjects: &[Subject<'a>],
    named: &Named<'a>,
    found: &mut Findings,
) {
    let send: HashSet<_> =
        subjects.iter().flat_map(|s| &s.services).map(|service| ptr::from_ref(*service)).collect();
    for service in &objects.services {
        if select::selector(&service.object).is_none() || send.contains(&ptr::from_ref(service)) {
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
