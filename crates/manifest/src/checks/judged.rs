//! What was not judged: nothing found must not be taken for nothing lost.

use super::{super::rule::Rule, Findings, Subject};
use crate::{kinds::Bearing, objects::Objects, traffic::Traffic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    if subject.traffic != Traffic::Unknown || subject.replicas() == 0 {
        return;
    }
    let declared = subject.units.iter().any(|unit| !unit.is_proxy() && !unit.ports().is_empty());
    let why = if declared {
        "no Service that was read sends to its pods, and what they declare is asked by the liveness \
         probe alone"
    } else {
        "no container declares a port, and no Service that was read sends to its pods"
    };
    let message = format!(
        "{why}: nothing shows whether requests come here, and how they fare in a rollout was not judged"
    );
    let fix = "declare the ports of its containers, or give its Service to the check too";
    found.object(Rule::TrafficUnknown, &subject.workload.origin, "", message, fix);
}

/// Documents and kinds.
pub(super) fn objects(objects: &Objects, found: &mut Findings) {
    for foreign in &objects.foreign {
        let message = format!("{}, and was not judged", foreign.problem);
        found.document(Rule::NotAnObject, foreign, message);
    }
    for (kustomization, what) in &objects.unbuilt {
        let message = format!(
            "the files of this kustomization were judged as they are, and not as it builds them: it \
             has {what}"
        );
        found.document(Rule::NotBuilt, kustomization, message);
    }
    for unjudged in objects.unjudged.values() {
        let kind = &unjudged.first.kind;
        let (why, fix) = match unjudged.bearing {
            Bearing::Pods => (
                "make pods in ways that are not read here",
                "look at a rollout of it: `websample watch NAME`",
            ),
            Bearing::Traffic => (
                "say where requests go, which is not read here",
                "give the Services that they send to as well",
            ),
            Bearing::Unknown => (
                "may make pods or carry traffic, and are not known here",
                "give what they make as well, such as `kubectl get deployment,service -o yaml` has it",
            ),
        };
        let others = match unjudged.count {
            1 => String::new(),
            count => format!(", nor were {} more", count - 1),
        };
        let message = format!(
            "this {kind} ({}) was not judged{others}: objects of this kind {why}",
            unjudged.version
        );
        found.object(Rule::KindNotJudged, &unjudged.first, "kind", message, fix);
    }
}
