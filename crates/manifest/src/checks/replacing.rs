//! How many pods are there while they are replaced.

use std::time::Duration;

use websample_kubernetes::{Fenceposts, IntOrPercent};

use super::{super::rule::Rule, Findings, Subject, shown};
use crate::{
    fix::Fix,
    objects::{Rollout, Workload},
};

/// Where a rolling update has its bounds.
const STRATEGY: &str = "spec.strategy";

/// Bounds with which no pod goes before its successor is ready.
fn never_less(workload: &Workload) -> String {
    format!("{}:\n  maxSurge: 25%\n  maxUnavailable: 0", workload.rolling)
}

/// Where they stand.
fn rolling(workload: &Workload) -> String {
    format!("{STRATEGY}.{}", workload.rolling)
}

/// For what keeps data, a second pod of which is another database and no help.
const ALONE: &str = "more pods help only if the program shares its data among them; if it does not, \
                     let its clients retry for as long as it takes to start";

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    if let Rollout::Rolling { surge, unavailable, min_ready, deadline } = subject.workload.rollout {
        if (surge, unavailable) == (IntOrPercent::Int(0), IntOrPercent::Int(0)) {
            let message = "maxSurge and maxUnavailable are both 0, so no pod could ever be \
                           replaced: the API refuses it"
                .to_owned();
            let fix = Fix::within(STRATEGY, never_less(subject.workload));
            let path = rolling(subject.workload);
            found.object(Rule::SurgeAndUnavailableZero, origin, &path, message, fix);
            return;
        }
        progress(subject, min_ready, deadline, found);
    }
    if subject.serves() && subject.replicas() > 0 {
        replaced(subject, found);
    }
    kept(subject, found);
    switched(subject, found);
    if subject.autoscaled.is_some() && subject.workload.replicas.is_some() {
        let message = "replicas is set beside an autoscaler: every apply puts the \
                       number back, so a deployment under load first stops the pods that the \
                       autoscaler had added, with what they have in flight"
            .to_owned();
        let fix =
            Fix::without("spec.replicas", "remove spec.replicas; the autoscaler's minimum holds");
        found.object(Rule::ReplicasAndAutoscaler, origin, "spec.replicas", message, fix);
    }
}

/// A Pod that nobody makes again, and pods that are not there before the first request is.
fn kept(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    if subject.workload.rollout == Rollout::Never {
        let message = format!(
            "no controller made this Pod, so that nobody makes it again: it cannot be rolled out, the \
             drain of a node refuses or deletes it for good, and with its node it is gone{}",
            if subject.serves() { ", with every request from then on" } else { "" }
        );
        let fix = "put its spec into the template of a Deployment";
        found.object(Rule::BarePod, origin, "kind", message, fix);
    }
    if subject.autoscaled == Some(0) && subject.serves() {
        let message = "its autoscaler goes down to no pod at all, and what comes then finds no endpoint: \
                       the first requests are lost until a pod is ready, unless something in front holds \
                       them back"
            .to_owned();
        let fix = "minReplicaCount: 1  # in its ScaledObject, which has 0 where nothing is written";
        found.object(Rule::ScalesToZero, origin, "", message, fix);
    }
}

/// Old pods that go before everybody has heard that traffic was switched.
fn switched(subject: &Subject<'_>, found: &mut Findings) {
    let Rollout::Switched { delay, is_written } = subject.workload.rollout else { return };
    let Some((front, needs)) = subject.slowest() else { return };
    let delay = Duration::from_secs(delay.into());
    if !subject.serves() || delay >= needs {
        return;
    }
    let message = format!(
        "old pods go {} after traffic was switched{}, and {} goes on sending to them for up to {}: what \
         comes between the two is lost",
        shown(delay),
        if is_written { "" } else { ", which is the default" },
        front.sender.name(),
        shown(needs)
    );
    let right = subject.right_sleep().as_secs().max(30);
    let fix = format!("scaleDownDelaySeconds: {right}  # of its strategy");
    let origin = &subject.workload.origin;
    found.object(Rule::ScaleDownDelayTooShort, origin, STRATEGY, message, fix);
}

fn progress(subject: &Subject<'_>, min_ready: u32, deadline: u32, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let path = "spec.progressDeadlineSeconds";
    if deadline <= min_ready {
        let message = format!(
            "progressDeadlineSeconds ({deadline}) is not above minReadySeconds ({min_ready}): the \
             API refuses it"
        );
        let fix = Fix::within(
            "spec",
            format!("progressDeadlineSeconds: {}", min_ready.saturating_add(600)),
        );
        found.object(Rule::ProgressDeadlineTooShort, origin, path, message, fix);
        return;
    }
    let start = subject.units.iter().map(|unit| start(unit.container)).max().unwrap_or_default();
    let needed = start + Duration::from_secs(min_ready.into());
    if needed > Duration::from_secs(deadline.into()) {
        let message = format!(
            "a pod may take {} to become available (its probes allow that long, then \
             minReadySeconds), and the rollout is reported as failed after {deadline}s: tools that \
             wait for it roll back pods that are on their way",
            shown(needed)
        );
        let fix =
            Fix::within("spec", format!("progressDeadlineSeconds: {}", needed.as_secs() + 60));
        found.object(Rule::ProgressDeadlineBeforeReady, origin, path, message, fix);
    }
}

/// How long a container may take until it is ready, by its probes.
fn start(container: &k8s_openapi::api::core::v1::Container) -> Duration {
    let seconds = |value: Option<i32>, default: u64| {
        value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default)
    };
    let startup = container.startup_probe.as_ref().map_or(0, |probe| {
        seconds(probe.initial_delay_seconds, 0)
            + seconds(probe.period_seconds, 10) * seconds(probe.failure_threshold, 3)
    });
    let readiness = container
        .readiness_probe
        .as_ref()
        .map_or(0, |probe| seconds(probe.initial_delay_seconds, 0));
    Duration::from_secs(startup.max(readiness))
}

/// What is left of the pods while they are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Enough,
    Nothing,
    /// All but this many, which is the most that goes at a time.
    NoSurge(u32),
    Few {
        unavailable: u32,
        surge: bool,
    },
}

fn left(bounds: Fenceposts) -> Left {
    if bounds.min_available() == 0 {
        Left::Nothing
    } else if bounds.max_unavailable * 2 > bounds.replicas {
        Left::Few { unavailable: bounds.max_unavailable, surge: bounds.max_surge > 0 }
    } else if bounds.max_surge == 0 {
        Left::NoSurge(bounds.max_unavailable)
    } else {
        Left::Enough
    }
}

fn replaced(subject: &Subject<'_>, found: &mut Findings) {
    let origin = &subject.workload.origin;
    let replicas = subject.replicas();
    let path = &rolling(subject.workload);
    let bounds = never_less(subject.workload);
    let never_less = || Fix::within(STRATEGY, bounds.as_str());
    let rolling = subject.bounds();
    match rolling.map(left) {
        Some(Left::Nothing) => {
            let bounds =
                rolling.unwrap_or(Fenceposts { replicas, max_surge: 0, max_unavailable: 0 });
            let message = format!(
                "of {replicas} {} {} may be unavailable (maxSurge comes to {}): the rollout stops \
                 every pod before a new one is ready, and {}",
                if replicas == 1 { "replica" } else { "replicas" },
                bounds.max_unavailable,
                bounds.max_surge,
                meanwhile(subject)
            );
            found.object(Rule::NoPodLeft, origin, path, message, never_less());
            return;
        }
        Some(Left::Few { unavailable, surge }) => {
            let message = format!(
                "{unavailable} of {replicas} replicas may be unavailable at a time{}: the rest has \
                 to serve everything while they are replaced, and what is too much for it is lost",
                if surge { "" } else { ", with no surge beside them" }
            );
            found.object(Rule::TooManyUnavailable, origin, path, message, never_less());
        }
        // On the same node there is no room for one more.
        Some(Left::NoSurge(_)) if subject.host_port().is_some() => {}
        Some(Left::NoSurge(unavailable)) => {
            let message = format!(
                "maxSurge comes to 0, so {unavailable} of {replicas} pods are stopped before their \
                 successors start: the others serve everything meanwhile, and what is too much for \
                 them is lost"
            );
            found.object(Rule::NoSurge, origin, path, message, never_less());
        }
        Some(Left::Enough) => {}
        None if subject.workload.rollout == Rollout::Recreate => {
            let message =
                "strategy Recreate stops all pods before the first new one starts: every \
                           request from then until one is ready is lost"
                    .to_owned();
            let openshift = origin.kind == "DeploymentConfig";
            let written = format!(
                "strategy:\n  type: {}\n  {}",
                if openshift { "Rolling" } else { "RollingUpdate" },
                bounds.replace('\n', "\n  ")
            );
            // Who holds a volume may have to be alone.
            let fix = if subject.keeps_data() {
                Fix::advice(format!("{written}\n# if two may run at a time, on one volume"))
            } else {
                Fix::within("spec", written)
            };
            found.object(Rule::StrategyRecreate, origin, "spec.strategy", message, fix);
            return;
        }
        None if origin.kind == "StatefulSet" && replicas == 1 => {
            // It waits for the old pod's end, whatever that goes on accepting.
            let message = "a StatefulSet has no surge: its one pod is stopped before the new one \
                           starts, and every request in between is lost"
                .to_owned();
            found.object(Rule::NoPodLeft, origin, "spec.replicas", message, ALONE);
            return;
        }
        None => in_place(subject, found),
    }
    // A Pod that stands for itself is told of by that, and none at all is told of by that.
    let alone = subject.workload.rollout == Rollout::Never || subject.autoscaled == Some(0);
    if replicas == 1 && origin.kind != "DaemonSet" && !alone {
        let written = match (subject.autoscaled, subject.workload.replicas) {
            (Some(_), _) => "the autoscaler's minReplicas is 1",
            (None, Some(_)) => "replicas is 1",
            (None, None) => "replicas is not set, which is 1",
        };
        let message = format!(
            "{written}: a rollout brings the new pod first, but a node that is drained or lost \
             takes the only one, and every request until another is ready is lost"
        );
        let fix = if subject.autoscaled.is_some() {
            Fix::advice("minReplicas: 2, in its autoscaler")
        } else if subject.keeps_data() {
            Fix::advice(ALONE)
        } else {
            Fix::within("spec", "replicas: 2")
        };
        found.object(Rule::SingleReplica, origin, "spec.replicas", message, fix);
    }
}

/// What is lost while no pod is ready. Where none is, a kube-proxy goes on sending to those that are
/// leaving and still answer (facts 4.6); an ingress controller does not.
fn meanwhile(subject: &Subject<'_>) -> String {
    let proxied = subject.fronts.iter().all(|front| front.sender.falls_back());
    let stays = subject.units.iter().filter(|unit| unit.serving).map(|unit| {
        let delay = unit.server.shortest_delay().unwrap_or_default();
        unit.hook_takes().map_or(delay, |hook| hook + delay)
    });
    match stays.min().filter(|stays| proxied && !stays.is_zero()) {
        Some(stays) => format!(
            "every request is lost from {} later, when the old ones no longer accept, until then",
            shown(stays)
        ),
        None => "every request in between is lost".to_owned(),
    }
}

/// A StatefulSet or DaemonSet that may stop all of its pods at a time.
fn in_place(subject: &Subject<'_>, found: &mut Findings) {
    let Rollout::InPlace { unavailable } = subject.workload.rollout else { return };
    let origin = &subject.workload.origin;
    let all = match unavailable {
        IntOrPercent::Percent(percent) => percent >= 100,
        // How many nodes there are is not known.
        IntOrPercent::Int(count) => origin.kind == "StatefulSet" && count >= subject.replicas(),
    };
    if all {
        let message = format!(
            "maxUnavailable {unavailable} is all of its pods: the update stops every one before a new \
             one is ready, and every request in between is lost"
        );
        let path = "spec.updateStrategy.rollingUpdate";
        let fix = Fix::within("spec.updateStrategy", "rollingUpdate:\n  maxUnavailable: 1");
        found.object(Rule::NoPodLeft, origin, path, message, fix);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        IntOrPercent::{Int, Percent},
        *,
    };

    #[test]
    fn what_is_left_while_pods_are_replaced() {
        // (replicas, maxSurge, maxUnavailable, left)
        let table = [
            (4, Percent(25), Percent(25), Left::Enough),
            (1, Percent(25), Percent(25), Left::Enough),
            (2, Int(1), Int(0), Left::Enough),
            (2, Int(1), Int(1), Left::Enough),
            (1, Int(0), Int(1), Left::Nothing),
            // Both round to 0, so unavailable becomes 1.
            (1, Int(0), Percent(25), Left::Nothing),
            (1, Int(1), Int(1), Left::Nothing),
            (3, Int(1), Percent(100), Left::Nothing),
            (3, Int(1), Int(5), Left::Nothing),
            (3, Int(0), Int(1), Left::NoSurge(1)),
            (3, Int(0), Percent(10), Left::NoSurge(1)),
            (3, Int(1), Int(2), Left::Few { unavailable: 2, surge: true }),
            (10, Int(0), Percent(60), Left::Few { unavailable: 6, surge: false }),
            (10, Percent(25), Percent(50), Left::Enough),
        ];
        for (replicas, surge, unavailable, expected) in table {
            let bounds = Fenceposts::resolve(replicas, surge, unavailable);
            assert_eq!(left(bounds), expected, "{replicas} {surge} {unavailable}");
        }
    }
}
