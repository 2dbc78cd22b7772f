//! Whether a new pod finds a place while all the old ones keep theirs: where none may be
//! unavailable, a new pod that does not is the end of the rollout.

use k8s_openapi::api::core::v1::PodSpec;

use super::{super::rule::Rule, Findings, Subject};
use crate::{fix::Fix, index::Index, select};

pub(super) fn check<'a>(subject: &Subject<'a>, index: &Index<'a>, found: &mut Findings) {
    let waits = subject.bounds().is_some_and(|bounds| {
        bounds.replicas > 0 && bounds.max_surge > 0 && bounds.max_unavailable == 0
    });
    if waits {
        host_ports(subject, found);
        volumes(subject, index, found);
        anti_affinity(subject, found);
        devices(subject, found);
    }
}

/// A device of a node, of which there are a few: `nvidia.com/gpu`, `google.com/tpu` and the like, or one
/// that is claimed (kubernetes.io: Schedule GPUs, Dynamic Resource Allocation).
pub(super) fn device(pod: &PodSpec) -> Option<String> {
    const DEVICES: [&str; 7] = ["gpu", "tpu", "npu", "fpga", "neuron", "gaudi", "/mig-"];
    let asked = pod.containers.iter().filter_map(|container| container.resources.as_ref());
    let names = asked
        .flat_map(|asked| [&asked.limits, &asked.requests])
        .flatten()
        .flat_map(|quantities| quantities.keys());
    let scarce = |name: &&String| {
        name.contains('/')
            && DEVICES.iter().any(|device| name.to_ascii_lowercase().contains(device))
    };
    let claims = || pod.resource_claims.as_ref().filter(|claims| !claims.is_empty());
    names
        .into_iter()
        .find(scarce)
        .cloned()
        .or_else(|| claims().map(|c| format!("claim {}", c[0].name)))
}

fn devices(subject: &Subject<'_>, found: &mut Findings) {
    let Some(device) = device(subject.pod) else { return };
    let message = format!(
        "each of its pods takes a {device}, and no old pod goes before a new one is ready: the rollout \
         waits for one that is free, and for ever where there is none"
    );
    let fix = format!(
        "keep one free for the time of a rollout, or, where fewer pods are enough meanwhile,\n{}:\n  \
         maxSurge: 0\n  maxUnavailable: 1",
        subject.workload.rolling
    );
    let path = format!("{}.containers[0].resources", subject.workload.pod_at);
    found.object(Rule::DeviceBlocksSurge, &subject.workload.origin, &path, message, fix);
}

fn host_ports(subject: &Subject<'_>, found: &mut Findings) {
    let Some((unit, port)) = subject.host_port() else { return };
    let message = format!(
        "container {} takes port {port} of its node, and no old pod goes before a new one is ready: \
         the rollout waits for a node without a pod, for ever where there is none",
        unit.container.name
    );
    // With one pod that would be all of them.
    let fix = if subject.replicas() > 1 {
        let bounds = format!("{}:\n  maxSurge: 0\n  maxUnavailable: 1", subject.workload.rolling);
        Fix::within("spec.strategy", bounds)
            .or("leave the node's port to a Service, or run a DaemonSet")
    } else {
        Fix::advice("leave the node's port to a Service, or run a DaemonSet")
    };
    found.unit(Rule::HostPortBlocksSurge, &subject.workload.origin, unit, "ports", message, fix);
}

fn volumes<'a>(subject: &Subject<'a>, index: &Index<'a>, found: &mut Findings) {
    for (place, volume) in subject.pod.volumes.iter().flatten().enumerate() {
        let Some(name) = volume.persistent_volume_claim.as_ref().map(|claim| &claim.claim_name)
        else {
            continue;
        };
        let claim = index.claim(name, &subject.workload.origin);
        let modes = claim.and_then(|claim| claim.object.spec.as_ref()?.access_modes.as_ref());
        let single = |mode: &String| mode == "ReadWriteOnce" || mode == "ReadWriteOncePod";
        if modes.is_some_and(|modes| !modes.is_empty() && modes.iter().all(single)) {
            let message = format!(
                "volume {} (claim {name}) can be attached to one node at a time, and no old pod goes \
                 before a new one is ready: a new pod on another node waits for a volume that it \
                 never gets",
                volume.name
            );
            let path = format!("{}.volumes[{place}]", subject.workload.pod_at);
            let fix =
                "accessModes: [ReadWriteMany]\n# or a StatefulSet, with a volume for each pod";
            found.object(Rule::SingleAttachVolume, &subject.workload.origin, &path, message, fix);
        }
    }
}

fn anti_affinity(subject: &Subject<'_>, found: &mut Findings) {
    let labels = subject.workload.labels();
    let terms = subject
        .pod
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.pod_anti_affinity.as_ref())
        .and_then(|anti| anti.required_during_scheduling_ignored_during_execution.as_ref());
    let blocks = terms.into_iter().flatten().any(|term| {
        term.topology_key == "kubernetes.io/hostname"
            && term.label_selector.as_ref().is_some_and(|selector| select::labels(selector, labels))
            // With these, a pod minds only those of its own ReplicaSet.
            && !term.match_label_keys.iter().flatten().any(|key| key == "pod-template-hash")
    });
    if blocks {
        let message = "no two of its pods may share a node, and no old pod goes before a new one is \
                       ready: the rollout needs a node without an old pod, and waits for ever where \
                       there is none"
            .to_owned();
        let path = format!("{}.affinity.podAntiAffinity", subject.workload.pod_at);
        let fix = "requiredDuringSchedulingIgnoredDuringExecution:\n  - …\n    matchLabelKeys: \
                   [pod-template-hash]  # or preferredDuringScheduling…, or topologySpreadConstraints";
        found.object(Rule::AntiAffinityBlocksSurge, &subject.workload.origin, &path, message, fix);
    }
}
