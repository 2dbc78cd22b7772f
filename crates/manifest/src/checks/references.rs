//! Whether what names something finds it: routes their Services, autoscalers what they scale, Services
//! their pods.
//!
//! Somebody may give a part of what a cluster has, so that something is not among it is an error only
//! where that is wrong whatever else there is. Where others of its kind were read beside it, it is a
//! warning; where none were, nothing was judged, and that is said.

use std::collections::{HashMap, HashSet};

use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::util::intstr::IntOrString};

use super::{super::rule::Rule, Findings, Subject, port_text};
use crate::{
    fix::Fix,
    index::Index,
    objects::{Autoscaler, Object, Objects, Origin},
    routes::{Backend, Route},
    select,
};

/// Beyond so many, names like the one that is missing are not looked for.
const MANY: usize = 50;

pub(super) fn check<'a>(
    objects: &'a Objects,
    index: &Index<'a>,
    sending: &HashSet<*const Object<Service>>,
    found: &mut Findings,
) {
    for route in &objects.routes {
        self::route(route, index, found);
    }
    for autoscaler in &objects.autoscalers {
        target(autoscaler, index, found);
    }
    overlap(objects, found);
    services(objects, index, sending, found);
    twice(objects, found);
}

fn route<'a>(route: &'a Object<Route>, index: &Index<'a>, found: &mut Findings) {
    let origin = &route.origin;
    let mut unread = Vec::new();
    let mut said = HashSet::new();
    for backend in &route.object.backends {
        let namespace = backend.namespace.as_deref().or(origin.namespace.as_deref());
        let services: Vec<_> = index.services_named(&backend.service, namespace).collect();
        // One Service is sent to by many paths.
        if !said.insert((&backend.service, namespace, backend.port.as_ref().map(port_text))) {
            continue;
        }
        if !services.is_empty() {
            port(origin, backend, &services, found);
        } else if index.services_beside(namespace).next().is_some() {
            missing(origin, backend, namespace, index, found);
        } else {
            unread.push(backend.service.as_str());
        }
    }
    unread.dedup();
    if let [first, rest @ ..] = unread.as_slice() {
        let more = match rest.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "no Service of its namespace was read, so nothing shows whether {first}{more}, where it \
             sends, is there"
        );
        let fix = "give its Services to the check too";
        found.object(Rule::ReferenceNotJudged, origin, "spec", message, fix);
    }
}

/// What comes of it where a Service has no such port, or there is no such Service.
const LOST: &str = "requests there are answered with an error by whatever carries it out";

fn missing<'a>(
    origin: &Origin,
    backend: &'a Backend,
    namespace: Option<&'a str>,
    index: &Index<'a>,
    found: &mut Findings,
) {
    let name = &backend.service;
    let beside: Vec<_> =
        index.services_beside(namespace).take(MANY + 1).map(|s| s.origin.name.as_str()).collect();
    let like = if beside.len() > MANY { None } else { likest(name, beside) };
    let elsewhere = index.services_named(name, None).find_map(|s| s.origin.namespace.as_deref());
    let hint = match (elsewhere, like) {
        (Some(other), _) => format!("; one of this name is in namespace {other}"),
        (None, Some(like)) => format!("; there is {like}"),
        (None, None) => String::new(),
    };
    let message = format!(
        "it sends to Service {name}, which is not among the Services that were read beside it{hint}: if \
         it is nowhere else, {LOST}"
    );
    let fix = match like {
        Some(like) => format!("name: {like}  # or give Service {name} to the check too"),
        None => format!("correct the name, or give Service {name} to the check too"),
    };
    found.object(Rule::RouteServiceMissing, origin, &backend.path, message, fix);
}

fn port(origin: &Origin, backend: &Backend, services: &[&Object<Service>], found: &mut Findings) {
    let Some(wanted) = &backend.port else { return };
    let ports = |service: &Object<Service>| {
        let spec = service.object.spec.as_ref();
        spec.and_then(|spec| spec.ports.clone()).unwrap_or_default()
    };
    let external = |service: &&Object<Service>| {
        let spec = service.object.spec.as_ref();
        spec.is_none_or(|spec| spec.type_.as_deref() == Some("ExternalName"))
    };
    let has = |service: &&Object<Service>| {
        ports(service).iter().any(|port| match wanted {
            IntOrString::Int(number) => port.port == *number,
            IntOrString::String(name) => port.name.as_ref() == Some(name),
        })
    };
    if services.iter().any(|service| external(service) || has(service)) {
        return;
    }
    let [service, ..] = services else { return };
    let there = ports(service);
    let shown = |port: &k8s_openapi::api::core::v1::ServicePort| match &port.name {
        Some(name) => format!("{name} ({})", port.port),
        None => port.port.to_string(),
    };
    let all: Vec<_> = there.iter().map(shown).collect();
    let title = service.origin.title();
    let wanted_text = port_text(wanted);
    let of_pod = |port: &k8s_openapi::api::core::v1::ServicePort| {
        port.target_port.as_ref().is_some_and(|target| port_text(target) == wanted_text)
    };
    let right = there.iter().find(|port| of_pod(port)).or(there.first());
    let fix = match (right, origin.kind.as_str()) {
        (Some(port), "Ingress") => {
            let fix = Fix::within(
                format!("{}.service.port", backend.path),
                format!("number: {}", port.port),
            )
            .instead_of(format!("{}.service.port.name", backend.path));
            // With several, which of them is meant is known to somebody only.
            if there.len() == 1 { fix } else { Fix::advice(format!("port: {}", all.join(", or "))) }
        }
        (Some(port), _) if there.len() == 1 => {
            Fix::within(&*backend.path, format!("port: {}", port.port))
        }
        _ => Fix::advice(format!("port: {}", all.join(", or "))),
    };
    if there.iter().any(of_pod) {
        let message = format!(
            "it sends to port {wanted_text} of {title}, which is the port of the pods; the Service's are \
             {}: an ingress-nginx takes that too, and others answer requests with an error",
            all.join(", ")
        );
        found.object(Rule::RoutePortOfPod, origin, &backend.path, message, fix);
        return;
    }
    let message = format!(
        "it sends to port {wanted_text} of {title}, which has {}: {LOST}",
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    );
    found.object(Rule::RoutePortUnknown, origin, &backend.path, message, fix);
}

/// Kinds that can be scaled, and the group that has them; others are not known here.
fn group(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Deployment" | "StatefulSet" | "ReplicaSet" => "apps",
        "Rollout" => "argoproj.io",
        "DeploymentConfig" => "apps.openshift.io",
        _ => return None,
    })
}

/// The kinds of [`group`] that are read, so that one that was not is missed.
const READ: [&str; 4] = ["Deployment", "StatefulSet", "Rollout", "DeploymentConfig"];

fn target<'a>(scaler: &'a Object<Autoscaler>, index: &Index<'a>, found: &mut Findings) {
    let Object { origin, object } = scaler;
    let Autoscaler { version, kind, name, .. } = object;
    let path = "spec.scaleTargetRef";
    let version = version.as_deref().unwrap_or_default();
    let given = version.split_once('/').map_or("", |(group, _)| group);
    if kind == "DaemonSet" {
        let message = format!(
            "it scales DaemonSet {name}, which has a pod on every node and cannot be scaled: the \
             autoscaler does nothing"
        );
        let fix = "scale a Deployment, or remove the autoscaler";
        found.object(Rule::AutoscalerTargetUnknown, origin, path, message, fix);
        return;
    }
    let Some(group) = group(kind) else { return };
    if given != group {
        let said = if version.is_empty() { "no apiVersion".to_owned() } else { version.to_owned() };
        let message = format!(
            "it scales {kind} {name} of {said}, and {kind}s are in group {group}: the autoscaler does not \
             find it, and the number of pods stays as it is whatever comes"
        );
        let right = if group == "argoproj.io" { "v1alpha1" } else { "v1" };
        let fix = Fix::within(path, format!("apiVersion: {group}/{right}"));
        found.object(Rule::AutoscalerTargetUnknown, origin, path, message, fix);
        return;
    }
    let namespace = origin.namespace.as_deref();
    if !READ.contains(&kind.as_str())
        || index.workloads_named(name, namespace).any(|workload| workload.origin.kind == *kind)
    {
        return;
    }
    let other = index.workloads_named(name, namespace).next();
    if index.workloads_beside(namespace).next().is_none() {
        let message = format!(
            "nothing of its namespace that makes pods was read, so nothing shows whether {kind} {name}, \
             which it scales, is there"
        );
        let fix = format!("give {kind} {name} to the check too");
        found.object(Rule::ReferenceNotJudged, origin, path, message, fix);
        return;
    }
    let hint = match other {
        Some(workload) => format!(", but {} is", workload.origin.title()),
        None => String::new(),
    };
    let message = format!(
        "{kind} {name}, which it scales, is not among what was read beside it{hint}: if it is nowhere \
         else, the autoscaler does nothing"
    );
    let fix = match other {
        Some(workload) => format!("kind: {}", workload.origin.kind),
        None => format!("correct the name, or give {kind} {name} to the check too"),
    };
    found.object(Rule::AutoscalerTargetMissing, origin, path, message, fix);
}

/// Two autoscalers of one workload.
fn overlap(objects: &Objects, found: &mut Findings) {
    let mut first: HashMap<_, &Origin> = HashMap::new();
    for Object { origin, object } in &objects.autoscalers {
        let key = (&origin.namespace, &object.kind, &object.name);
        let other = *first.entry(key).or_insert(origin);
        // The same object read twice is one.
        if (&other.kind, &other.name) == (&origin.kind, &origin.name) {
            continue;
        }
        let message = format!(
            "{} {} is scaled by {} too: each puts back the number of the other, and an autoscaler that \
             sees it gives up (AmbiguousSelector)",
            object.kind,
            object.name,
            other.title()
        );
        let fix = "remove one of the two, with its metrics in the other";
        found.object(Rule::AutoscalersOverlap, origin, "spec.scaleTargetRef", message, fix);
    }
}

/// The Services that select pods of anything that was read, judged or not.
pub(super) fn sending<'a>(
    objects: &'a Objects,
    index: &Index<'a>,
    subjects: &[Subject<'a>],
) -> HashSet<*const Object<Service>> {
    let mut sending: HashSet<*const Object<Service>> =
        subjects.iter().flat_map(|s| &s.services).map(|s| std::ptr::from_ref(*s)).collect();
    for pods in &objects.others {
        for place in index.services_of(&pods.object, &pods.origin) {
            let service = &objects.services[place];
            if select::service(&service.object, Some(&pods.object)) {
                sending.insert(std::ptr::from_ref(service));
            }
        }
    }
    sending
}

/// Services that select nothing that was read, though something was that they could select.
fn services<'a>(
    objects: &'a Objects,
    index: &Index<'a>,
    sends: &HashSet<*const Object<Service>>,
    found: &mut Findings,
) {
    for service in &objects.services {
        let Some(selector) = select::selector(&service.object) else { continue };
        if sends.contains(&std::ptr::from_ref(service))
            || found.has(Rule::ServiceSelectsNothing, &service.origin)
        {
            continue;
        }
        let namespace = &service.origin.namespace;
        // What somebody's operator makes may be what is meant; that it was not judged is said there.
        let made =
            objects.unjudged.values().any(|unjudged| unjudged.can_be_in(namespace.as_deref()));
        if made {
            continue;
        }
        let labels: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let labels = labels.join(",");
        if index.workloads_beside(namespace.as_deref()).next().is_some() {
            let message = format!(
                "its selector ({labels}) matches the pods of nothing that was read beside it: if they are \
                 not made elsewhere, it has no endpoint, and every request is refused"
            );
            let fix = "correct the selector, or give what makes its pods to the check too";
            found.object(Rule::ServiceWithoutPods, &service.origin, "spec.selector", message, fix);
        } else {
            let message = format!(
                "nothing of its namespace that makes pods was read, so nothing shows whether its selector \
                 ({labels}) matches any"
            );
            let fix = "give what makes its pods to the check too";
            found.object(Rule::ReferenceNotJudged, &service.origin, "spec.selector", message, fix);
        }
    }
}

/// One object twice in one file: who applies it applies both, and the last stays.
fn twice(objects: &Objects, found: &mut Findings) {
    let mut first: HashMap<_, &Origin> = HashMap::new();
    for origin in objects.origins() {
        let key = (&origin.file, &origin.kind, &origin.namespace, &origin.name);
        let other = *first.entry(key).or_insert(origin);
        if std::ptr::eq(other, origin) || other.node.plain() == origin.node.plain() {
            continue;
        }
        let message = format!(
            "{} is there twice in this file, and not the same: whoever applies it applies both, and \
             what stands in line {} is undone",
            origin.title(),
            other.node.line
        );
        let fix = "remove one of the two, or give it a name of its own";
        found.object(Rule::DefinedTwice, origin, "metadata.name", message, fix);
    }
}

/// The one of these names that may best be meant by another: the nearest, and of several the first by name.
fn likest<'a>(name: &str, names: Vec<&'a str>) -> Option<&'a str> {
    let like = names.into_iter().filter(|other| is_like(name, other));
    like.min_by_key(|other| (distance(name, other), *other))
}

/// Whether one name may be meant by another: but for a letter or two, or for a beginning or an end.
fn is_like(name: &str, other: &str) -> bool {
    let (short, long) = if name.len() < other.len() { (name, other) } else { (other, name) };
    let part = short.len() > 2
        && (long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'))
            || long.strip_suffix(short).is_some_and(|rest| rest.ends_with('-')));
    part || (short.len() > 4 && distance(name, other) <= 2)
}

/// How many letters have to be put in, left out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut before = index;
        row[0] = index + 1;
        for (place, theirs) in other.iter().enumerate() {
            let changed = before + usize::from(letter != *theirs);
            before = row[place + 1];
            row[place + 1] = changed.min(before + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_be_meant() {
        for (name, other, like) in [
            ("checkout", "chekout", true),
            ("web", "web-service", true),
            ("shop-web", "web", true),
            ("web", "api", false),
            ("web", "wob", false),
            ("website", "web", false),
            ("orders", "users", false),
            ("payment", "payments", true),
        ] {
            assert_eq!(is_like(name, other), like, "{name} {other}");
            assert_eq!(is_like(other, name), like, "{other} {name}");
        }
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
        let names = || vec!["web-api", "web-v2", "web-v1", "orders"];
        assert_eq!(likest("web", names()), Some("web-v1"));
        assert_eq!(likest("web-app", names()), Some("web-api"));
        assert_eq!(likest("api", vec!["orders"]), None);
    }
}
