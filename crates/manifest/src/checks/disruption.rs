//! PodDisruptionBudgets: what protects the pods when nodes are drained, such as in the upgrade of
//! a cluster, which is a rollout of everything.

use std::{collections::HashSet, ptr};

use k8s_openapi::{
    api::policy::v1::PodDisruptionBudgetSpec, apimachinery::pkg::util::intstr::IntOrString,
};
use websample_kubernetes::IntOrPercent;

use super::{super::rule::Rule, Findings, Named, Subject, labels};
use crate::{fix::Fix, objects::Objects};

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let replicas = subject.replicas();
    // The drain of a node leaves DaemonSets alone.
    if !subject.serves() || replicas == 0 || origin.kind == "DaemonSet" {
        return;
    }
    if subject.budgets.is_empty() && replicas > 1 {
        let message = "no PodDisruptionBudget in what was read selects its pods: when nodes are \
                       drained, as in the upgrade of a cluster, all of them may be evicted at once"
            .to_owned();
        found.object(
            Rule::NoDisruptionBudget,
            origin,
            "",
            message,
            Fix::document(suggestion(subject)),
        );
    }
    for budget in &subject.budgets {
        let Some(spec) = &budget.object.spec else { continue };
        if allowed(spec, replicas) == Some(0) {
            let written = match (&spec.max_unavailable, &spec.min_available) {
                (Some(value), _) => format!("maxUnavailable {}", text(value)),
                (None, Some(value)) => format!("minAvailable {}", text(value)),
                (None, None) => "nothing set".to_owned(),
            };
            let message = format!(
                "with {written} of {replicas} {} none may ever be evicted: the drain of a node \
                 waits for ever, until somebody deletes the pod by force",
                if replicas == 1 { "replica" } else { "replicas" }
            );
            let fix = Fix::within("", "spec:\n  maxUnavailable: 1").instead_of("spec.minAvailable");
            let fix = if replicas == 1 { fix.or("more replicas") } else { fix };
            found.object(Rule::DisruptionBudgetBlocks, &budget.origin, "spec", message, fix);
        }
    }
}

fn suggestion(subject: &Subject<'_>) -> String {
    let namespace = subject.workload.origin.namespace.as_deref();
    format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: {}{}\nspec:\n  \
         maxUnavailable: 1\n  selector:\n    matchLabels:\n{}",
        subject.workload.origin.name,
        namespace.map_or_else(String::new, |namespace| format!("\n  namespace: {namespace}")),
        labels(subject, "      ")
    )
}

/// How many of so many healthy pods may be evicted. Both percentages round up
/// (pkg/controller/disruption: `getExpectedPodCount`).
fn allowed(spec: &PodDisruptionBudgetSpec, replicas: u32) -> Option<u32> {
    let of = |value: &IntOrString| -> Option<u32> {
        let value: IntOrPercent = text(value).parse().ok()?;
        Some(value.of(replicas, true))
    };
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(unavailable), _) => of(unavailable),
        (None, Some(available)) => Some(replicas.saturating_sub(of(available)?)),
        (None, None) => None,
    }
}

fn text(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

/// Budgets that select nobody and are named after somebody.
pub(super) fn unmatched<'a>(
    objects: &'a Objects,
    subjects: &[Subject<'a>],
    named: &Named<'a>,
    found: &mut Findings,
) {
    let select: HashSet<_> =
        subjects.iter().flat_map(|s| &s.budgets).map(|budget| ptr::from_ref(*budget)).collect();
    for budget in &objects.budgets {
        if select.contains(&ptr::from_ref(budget)) {
            continue;
        }
        if let Some(meant) = named.meant(subjects, &budget.origin, ["", "-pdb", "-budget"]) {
            let message = format!(
                "its selector matches the pods of no workload that was read, not even those of {}: \
                 they are as good as without a budget",
                meant.workload.origin.title()
            );
            let fix = format!("spec:\n  selector:\n    matchLabels:\n{}", labels(meant, "      "));
            let fix = Fix::within("", fix);
            found.object(
                Rule::DisruptionBudgetUnmatched,
                &budget.origin,
                "spec.selector",
                message,
                fix,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_may_be_evicted() {
        let int = |n| Some(IntOrString::Int(n));
        let percent = |text: &str| Some(IntOrString::String(text.to_owned()));
        // (minAvailable, maxUnavailable, replicas, allowed)
        let table = [
            (None, int(1), 3, Some(1)),
            (None, int(0), 3, Some(0)),
            (None, percent("0%"), 3, Some(0)),
            (None, percent("10%"), 3, Some(1)),
            (int(2), None, 3, Some(1)),
            (int(3), None, 3, Some(0)),
            (int(5), None, 3, Some(0)),
            (percent("100%"), None, 3, Some(0)),
            (percent("50%"), None, 3, Some(1)),
            // 0.9 of 3 is 2.7, rounded up.
            (percent("90%"), None, 3, Some(0)),
            (int(1), None, 1, Some(0)),
            (percent("nine"), None, 3, None),
            (None, None, 3, None),
        ];
        for (min_available, max_unavailable, replicas, expected) in table {
            let spec = PodDisruptionBudgetSpec {
                min_available,
                max_unavailable,
                ..PodDisruptionBudgetSpec::default()
            };
            assert_eq!(allowed(&spec, replicas), expected, "{spec:?}");
        }
    }
}
