//! What the API refuses, or drops without a word.

use super::{super::rule::Rule, Findings};
use crate::{
    fix::Fix,
    objects::{Objects, Origin},
    select,
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
        let fix = Fix::within("", format!("apiVersion: {}", version.instead));
        found.object(rule, origin, "apiVersion", message, fix);
    }
    for origin in origins(objects) {
        for path in &origin.unknown {
            let message = format!(
                "there is no field {path}: kubectl refuses it, and where somebody else applies it \
                 the API drops it, with whatever it was meant to say"
            );
            let fix = "correct its name or its indentation";
            found.object(Rule::UnknownField, origin, path, message, fix);
        }
    }
    for workload in &objects.workloads {
        if !select::labels(&workload.selector, workload.labels()) {
            let message =
                "its selector does not match the labels of its own pods: the API refuses \
                           it"
                .to_owned();
            let fix = "make spec.selector.matchLabels a part of spec.template.metadata.labels";
            found.object(Rule::SelectorMismatch, &workload.origin, "spec.selector", message, fix);
        }
    }
}

fn origins(objects: &Objects) -> impl Iterator<Item = &Origin> {
    let workloads = objects.workloads.iter().map(|workload| &workload.origin);
    workloads
        .chain(objects.services.iter().map(|object| &object.origin))
        .chain(objects.budgets.iter().map(|object| &object.origin))
        .chain(objects.autoscalers.iter().map(|object| &object.origin))
        .chain(objects.ingresses.iter().map(|object| &object.origin))
        .chain(objects.claims.iter().map(|object| &object.origin))
}
