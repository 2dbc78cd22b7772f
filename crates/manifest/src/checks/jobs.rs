//! What the drain of a node does to Jobs: it deletes their pods like any other, and the Job counts that.

use k8s_openapi::api::batch::v1::JobSpec;

use super::{super::rule::Rule, Findings, placing};
use crate::{
    fix::Fix,
    index::Index,
    objects::{Job, Object, Objects},
};

pub(super) fn check<'a>(objects: &'a Objects, index: &Index<'a>, found: &mut Findings) {
    for job in &objects.jobs {
        // One that does not run is not drained.
        if job.object.spec.suspend == Some(true) {
            continue;
        }
        fails(job, found);
        overlaps(job, index, found);
    }
}

/// With no second try the first drain is the end, unless disruptions do not count
/// (kubernetes.io/docs/concepts/workloads/controllers/job: Pod failure policy).
fn fails(job: &Object<Job>, found: &mut Findings) {
    let Object { origin, object: Job { spec, at } } = job;
    if spec.backoff_limit != Some(0) || ignores_disruptions(spec) {
        return;
    }
    let message =
        "backoffLimit is 0, and a pod that the drain of a node deletes counts as one that has \
                   failed: any upgrade of the cluster that meets it fails the Job"
            .to_owned();
    let policy = "podFailurePolicy:\n  rules:\n    - action: Ignore\n      onPodConditions:\n        - type: \
                  DisruptionTarget";
    // The API takes a policy only of pods that are not restarted.
    let never = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref());
    let fix = if never == Some("Never") && spec.pod_failure_policy.is_none() {
        Fix::within(*at, policy)
    } else {
        Fix::advice(format!("{policy}\n# with restartPolicy: Never"))
    };
    let path = format!("{at}.backoffLimit");
    found.object(Rule::JobFailsWhenDrained, origin, &path, message, fix);
}

fn ignores_disruptions(spec: &JobSpec) -> bool {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    rules.into_iter().any(|rule| {
        let mut conditions = rule.on_pod_conditions.iter().flatten();
        rule.action == "Ignore" && conditions.any(|condition| condition.type_ == "DisruptionTarget")
    })
}

/// By default a Job makes the next pod while the one before is still ending (podReplacementPolicy
/// `TerminatingOrFailed`); with a failure policy it waits.
fn overlaps<'a>(job: &'a Object<Job>, index: &Index<'a>, found: &mut Findings) {
    let Object { origin, object: Job { spec, at } } = job;
    let waits = spec.pod_failure_policy.is_some()
        || spec.pod_replacement_policy.as_deref() == Some("Failed");
    let Some(pod) = spec.template.spec.as_ref().filter(|_| !waits) else { return };
    let claims = pod.volumes.iter().flatten().filter_map(|v| v.persistent_volume_claim.as_ref());
    let single = claims.map(|claim| &claim.claim_name).find(|name| {
        let claim = index.claim(name, origin);
        let modes = claim.and_then(|claim| claim.object.spec.as_ref()?.access_modes.as_ref());
        modes.is_some_and(|modes| modes.iter().any(|mode| mode == "ReadWriteOncePod"))
    });
    let held = placing::device(pod).map(|device| format!("a {device}")).or_else(|| {
        single.map(|name| format!("the volume of claim {name}, which one pod may have"))
    });
    let Some(held) = held else { return };
    let message = format!(
        "its pods take {held}, and by default the next pod is made while the one before is still ending: \
         after an eviction it waits for what is still held, or takes a second one"
    );
    let fix = Fix::within(*at, "podReplacementPolicy: Failed");
    found.object(Rule::JobPodsOverlap, origin, at, message, fix);
}
