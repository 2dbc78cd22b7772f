//! What those in front need besides time: to know when a pod can be sent to, and to let go what is in
//! flight.

use std::time::Duration;

use super::{super::rule::Rule, Findings, Subject, shown};
use crate::{objects::Rollout, subject::Unit};

/// With this many seconds between ready and available a new pod has most likely been registered: twice
/// the 15 s between two health checks of an ALB's targets (alb.ingress.kubernetes.io).
const REGISTERED: u32 = 30;

/// The label of a namespace whose pods get a gate
/// (kubernetes-sigs.github.io/aws-load-balancer-controller: Pod readiness gate).
const INJECTS: &str = "elbv2.k8s.aws/pod-readiness-gate-inject";

/// Conditions of a pod that a load balancer sets, by the beginning of their names.
const GATES: [&str; 2] = ["target-health.", "cloud.google.com/load-balancer-neg-ready"];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    if !subject.serves() || subject.replicas() == 0 {
        return;
    }
    gates(subject, found);
    lets_go(subject, found);
}

/// A load balancer that registers pods by itself sends to a new one later than Kubernetes believes.
fn gates(subject: &Subject<'_>, found: &mut Findings) {
    let Some(front) = subject.fronts.iter().find(|front| front.sender.registers_pods()) else {
        return;
    };
    let gates = subject.pod.readiness_gates.iter().flatten();
    let gated = gates
        .into_iter()
        .any(|gate| GATES.iter().any(|condition| gate.condition_type.starts_with(condition)));
    let injected = subject
        .namespace
        .is_some_and(|labels| labels.get(INJECTS).is_some_and(|value| value == "enabled"));
    let waits = matches!(subject.workload.rollout, Rollout::Rolling { min_ready, .. } if min_ready >= REGISTERED);
    if gated || injected || waits {
        return;
    }
    let origin = &subject.workload.origin;
    let unless = match (&origin.namespace, subject.namespace) {
        (_, Some(_)) => String::new(),
        (Some(name), None) => {
            format!(", unless namespace {name}, which was not read, has the label")
        }
        (None, None) => ", unless its namespace, which was not read, has the label".to_owned(),
    };
    let message = format!(
        "{} sends to its pods ({}), and no readiness gate waits for it{unless}: a new pod counts as \
         available before it is registered and found healthy, the rollout stops the old ones meanwhile, \
         and the load balancer has nobody to send to",
        front.sender.name(),
        front.via.join(", ")
    );
    let fix = format!(
        "metadata:\n  labels:\n    {INJECTS}: enabled  # of its Namespace\n# or minReadySeconds: \
         {REGISTERED}"
    );
    found.object(Rule::NoReadinessGate, origin, subject.workload.pod_at, message, fix);
}

/// A deregistration delay that ends before the server has finished.
fn lets_go(subject: &Subject<'_>, found: &mut Findings) {
    let finishes = |unit: &&Unit<'_>| unit.serving;
    let drain = subject.units.iter().filter(finishes).filter_map(|unit| {
        unit.server.drain().or_else(|| unit.server.own_drain().map(|own| own.drain))
    });
    let Some(drain) = drain.max().filter(|drain| *drain > Duration::ZERO) else { return };
    for front in subject.fronts.iter().filter(|front| front.sender.registers_pods()) {
        let Some(delay) = front.drains.filter(|delay| *delay < drain) else { continue };
        let message = format!(
            "{} gives up a request {} after it has begun to let go of the pod ({}), and the server may take \
             {} to finish: longer ones are cut in front of it",
            front.sender.name(),
            shown(delay),
            front.via.join(", "),
            shown(drain)
        );
        let fix = format!(
            "deregistration_delay.timeout_seconds={}  # in the annotation target-group-attributes",
            super::whole_seconds(drain) + 5
        );
        let origin = &subject.workload.origin;
        let path = subject.workload.pod_at;
        found.object(Rule::DeregistrationTooShort, origin, path, message, fix);
    }
}
