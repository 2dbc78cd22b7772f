//! PodDisruptionBudgets: what protects the pods when nodes are drained, such as in the upgrade of
//! a cluster, which is a rollout of everything.

use std::{
    collections::{HashMap, HashSet},
    ptr,
};

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use websample_kubernetes::IntOrPercent;

use super::{super::rule::Rule, Findings, Named, Subject, labels};
use crate::{
    fix::Fix,
    objects::{Object, Objects},
};

type Budget = Object<PodDisruptionBudget>;

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    // The drain of a node leaves DaemonSets alone.
    if origin.kind == "DaemonSet" || subject.replicas() == 0 {
        return;
    }
    if subject.serves() && subject.budgets.is_empty() && subject.replicas() > 1 {
        let message = "no PodDisruptionBudget in what was read selects its pods: when nodes are \
                       drained, as in the upgrade of a cluster, all of them may be evicted at once"
            .to_owned();
        let fix = Fix::document(suggestion(subject));
        found.object(Rule::NoDisruptionBudget, origin, "", message, fix);
    }
    overlap(subject, found);
    elsewhere(subject, found);
}

/// Two budgets on one pod: the eviction is refused, whatever they allow (pkg/registry/core/pod:
/// `EvictionREST`).
fn overlap(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let mut sure = subject.budgets.iter().filter(|b| b.origin.namespace == origin.namespace);
    let Some(first) = sure.next() else { return };
    // The same object read twice is one.
    let Some(second) = sure.find(|other| other.origin.name != first.origin.name) else { return };
    let message = format!(
        "the pods of {} are selected by {} too: the API refuses to evict a pod of two budgets, so \
         the drain of a node waits until somebody deletes the pod by force",
        origin.title(),
        first.origin.title()
    );
    let fix = "remove one of the two, or let their selectors keep apart";
    found.object(Rule::DisruptionBudgetsOverlap, &second.origin, "spec.selector", message, fix);
}

/// A budget protects in its own namespace, which is wherever it is applied if it names none.
fn elsewhere(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let named = subject.budgets.iter().any(|b| b.origin.namespace == origin.namespace);
    for budget in subject.budgets.iter().filter(|_| !named) {
        super::apart(&budget.origin, origin, "protects them", found);
    }
}

/// What each budget allows the pods of all workloads that it selects.
pub(super) fn budgets(objects: &Objects, subjects: &[Subject<'_>], found: &mut Findings) {
    let mut under: HashMap<*const Budget, Vec<&Subject<'_>>> = HashMap::new();
    for subject in subjects.iter().filter(|subject| subject.workload.origin.kind != "DaemonSet") {
        for budget in &subject.budgets {
            under.entry(ptr::from_ref(*budget)).or_default().push(subject);
        }
    }
    for budget in &objects.budgets {
        let Some(spec) = &budget.object.spec else { continue };
        if let Some(why) = refused(spec) {
            let message = format!("{why}: the API refuses it, and the pods are without a budget");
            let fix = Fix::within("", "spec:\n  maxUnavailable: 1").instead_of("spec.minAvailable");
            found.object(Rule::DisruptionBudgetRefused, &budget.origin, "spec", message, fix);
            continue;
        }
        let subjects = under.get(&ptr::from_ref(budget)).map_or(&[][..], Vec::as_slice);
        blocks(budget, spec, subjects, found);
    }
}

fn blocks(
    budget: &Budget,
    spec: &PodDisruptionBudgetSpec,
    subjects: &[&Subject<'_>],
    found: &mut Findings,
) {
    if subjects.is_empty() {
        never(budget, spec, found);
        return;
    }
    // The pods of all of them are one number (pkg/controller/disruption: `getExpectedScale`).
    let replicas = subjects.iter().fold(0_u32, |sum, s| sum.saturating_add(s.replicas()));
    if replicas == 0 || allowed(spec, replicas) != Some(0) {
        return;
    }
    let written = written(spec);
    let titles: Vec<_> =
        subjects.iter().take(3).map(|subject| subject.workload.origin.title()).collect();
    let more = subjects.len() - titles.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let scaled = subjects.iter().any(|subject| subject.autoscaled.is_some());
    let message = format!(
        "with {written} {} of {}{more} may {}be evicted{}: the drain of a node waits until {}somebody \
         deletes the pod by force",
        if replicas == 1 {
            "the one pod".to_owned()
        } else {
            format!("none of the {replicas} pods")
        },
        titles.join(", "),
        if replicas == 1 { "not " } else { "" },
        if scaled { " while the autoscaler keeps to minReplicas" } else { "" },
        if scaled { "there are more, or " } else { "" },
    );
    let fix = Fix::within("", "spec:\n  maxUnavailable: 1").instead_of("spec.minAvailable");
    let fix = if replicas == 1 { fix.or("more replicas") } else { fix };
    found.object(Rule::DisruptionBudgetBlocks, &budget.origin, "spec", message, fix);
}

/// Bounds that allow nothing, however many pods there are; nothing that was read has these pods.
fn never(budget: &Budget, spec: &PodDisruptionBudgetSpec, found: &mut Findings) {
    let never = [1_u32, 1_000].into_iter().all(|replicas| allowed(spec, replicas) == Some(0));
    if !never || found.has(Rule::DisruptionBudgetUnmatched, &budget.origin) {
        return;
    }
    let message = format!(
        "with {} none of the pods that it selects may be evicted, however many they are: the drain of a \
         node waits until somebody deletes the pod by force",
        written(spec)
    );
    let fix = Fix::within("", "spec:\n  maxUnavailable: 1").instead_of("spec.minAvailable");
    found.object(Rule::DisruptionBudgetBlocks, &budget.origin, "spec", message, fix);
}

/// Its bounds, as they are written.
fn written(spec: &PodDisruptionBudgetSpec) -> String {
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(value), _) => format!("maxUnavailable {}", text(value)),
        (None, Some(value)) => format!("minAvailable {}", text(value)),
        (None, None) => "neither minAvailable nor maxUnavailable set".to_owned(),
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

/// What the API refuses of a budget (pkg/apis/policy/validation).
fn refused(spec: &PodDisruptionBudgetSpec) -> Option<String> {
    let bounds = [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)];
    if bounds.iter().all(|(_, value)| value.is_some()) {
        return Some("minAvailable and maxUnavailable are both set".to_owned());
    }
    bounds.into_iter().find_map(|(name, value)| match value.as_ref()? {
        IntOrString::Int(number) if *number < 0 => Some(format!("{name} is {number}")),
        IntOrString::Int(_) => None,
        IntOrString::String(text) => {
            let number = text.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
            match number {
                None => Some(format!("{name} '{text}' is neither a number nor a percentage")),
                Some(percent) if percent > 100 => Some(format!("{name} {text} is more than 100%")),
                Some(_) => None,
            }
        }
    })
}

/// How many of so many healthy pods may be evicted. Both percentages round up; without either bound
/// no pod is expected, which allows none (pkg/controller/disruption: `getExpectedPodCount`,
/// `updatePdbStatus`).
fn allowed(spec: &PodDisruptionBudgetSpec, replicas: u32) -> Option<u32> {
    let of = |value: &IntOrString| -> Option<u32> {
        let value: IntOrPercent = text(value).parse().ok()?;
        Some(value.of(replicas, true))
    };
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(unavailable), _) => of(unavailable),
        (None, Some(available)) => Some(replicas.saturating_sub(of(available)?)),
        (None, None) => Some(0),
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
            (None, None, 3, Some(0)),
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

    #[test]
    fn what_the_api_refuses_of_a_budget() {
        let int = |n| Some(IntOrString::Int(n));
        let text = |text: &str| Some(IntOrString::String(text.to_owned()));
        for (min_available, max_unavailable, expected) in [
            (int(1), int(1), Some("both set")),
            (int(-1), None, Some("minAvailable is -1")),
            (None, text("150%"), Some("more than 100%")),
            (None, text("1"), Some("'1' is neither a number nor a percentage")),
            (text("50%"), None, None),
            (None, int(0), None),
            (None, None, None),
        ] {
            let spec = PodDisruptionBudgetSpec {
                min_available,
                max_unavailable,
                ..PodDisruptionBudgetSpec::default()
            };
            let why = refused(&spec);
            assert_eq!(why.is_some(), expected.is_some(), "{spec:?}");
            assert!(why.is_none_or(|why| why.contains(expected.unwrap_or_default())), "{spec:?}");
        }
    }
}
