//! What was seen of a finding.

use websample_manifest::Rule;

use super::facts::Facts;
use crate::{
    causes::Cause,
    timeline::{PodRecord, What},
};

/// What was seen of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Whether anything was; `None` where nothing could have been.
    pub(super) seen: Option<bool>,
    /// What.
    pub(super) words: String,
}

fn hidden(words: impl Into<String>) -> Evidence {
    Evidence { seen: None, words: words.into() }
}

fn told(seen: bool, words: impl Into<String>) -> Evidence {
    Evidence { seen: Some(seen), words: words.into() }
}

/// What was seen of what this rule found.
pub(super) fn evidence(rule: Rule, facts: &Facts<'_>) -> Evidence {
    match rule {
        Rule::HookWithoutProgram
        | Rule::HookTcpSocket
        | Rule::HookPortNotExposed
        | Rule::HookRefused => hooks(facts),
        Rule::EndpointRace
        | Rule::DelayTooShort
        | Rule::NoReadinessGate
        | Rule::ProbeOutlastsDelay
        | Rule::ProxyLeavesFirst => lost(
            facts,
            &[Cause::StaleEndpoint, Cause::RefusedByLeavingPod],
            "to pods that were leaving and no longer served them",
        ),
        Rule::ExitsAtOnce => lost(
            facts,
            &[Cause::StaleEndpoint, Cause::CutAtExit, Cause::IdleClosed],
            "to pods that ended with them in flight, or had ended",
        ),
        Rule::GraceZero
        | Rule::GraceTooShort
        | Rule::NoTimeToDrain
        | Rule::DrainOutlastsGrace
        | Rule::HookOutlastsGrace
        | Rule::SigtermIgnored
        | Rule::ShellAsPid1
        | Rule::ServerGraceTooLong => killed(facts),
        Rule::ServerGraceTooShort => {
            lost(facts, &[Cause::CutAtDeadline], "at the server's own deadline")
        }
        Rule::DeregistrationTooShort => lost(facts, &[Cause::Proxy], "in front of the pods"),
        Rule::NoReadinessProbe | Rule::PublishesNotReady => new(facts),
        Rule::ProbePortUndeclared
        | Rule::ProbeOfUdpPort
        | Rule::ProbeTimeoutOverPeriod
        | Rule::UnknownPortName => {
            pods(facts, |what| matches!(what, What::ProbeFailed { .. }), "had a probe that failed")
        }
        Rule::LivenessLikeReadiness | Rule::LivenessBeforeReadiness | Rule::ProbeGraceTooShort => {
            pods(facts, |what| matches!(what, What::Restarted(_)), "had a container restarted")
        }
        Rule::StrategyRecreate
        | Rule::NoPodLeft
        | Rule::NoSurge
        | Rule::TooManyUnavailable
        | Rule::SingleReplica => fewest(rule, facts),
        Rule::HostPortBlocksSurge
        | Rule::SingleAttachVolume
        | Rule::DeviceBlocksSurge
        | Rule::AntiAffinityBlocksSurge => pods(
            facts,
            |what| matches!(what, What::Warning { reason, .. } if PLACELESS.contains(&&**reason)),
            "found no place, or waited for a volume",
        ),
        Rule::ProgressDeadlineTooShort
        | Rule::ProgressDeadlineBeforeReady
        | Rule::SurgeAndUnavailableZero => told(
            facts.scope.stuck,
            if facts.scope.stuck { "the rollout made no progress" } else { "the rollout went on" },
        ),
        Rule::ServicePortUnknown
        | Rule::ServicePortUndeclared
        | Rule::ServiceSelectsNothing
        | Rule::ServiceOfSeveral
        | Rule::ServicesDisagree
        | Rule::RoutePortUnknown
        | Rule::RoutePortOfPod => unserved(facts),
        _ => hidden("a rollout does not show it"),
    }
}

/// The cluster's words for a pod that has nowhere to be.
const PLACELESS: [&str; 3] = ["FailedScheduling", "FailedAttachVolume", "FailedMount"];

fn requests(facts: &Facts<'_>) -> Option<Evidence> {
    (facts.run.requests == 0).then(|| hidden("no request was sent that could have met it"))
}

fn lost(facts: &Facts<'_>, causes: &[Cause], how: &str) -> Evidence {
    if let Some(none) = requests(facts) {
        return none;
    }
    let (lost, all) = (facts.lost(causes), facts.run.requests);
    match lost {
        0 if facts.ended.is_empty() => hidden("no pod ended"),
        0 => told(false, format!("none of {all} requests was lost {how}")),
        lost => told(true, format!("{lost} of {all} requests {} lost {how}", were(lost))),
    }
}

fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// `4 of 4 pods that ended`.
fn of_ended(count: usize, all: usize) -> String {
    let pods = if all == 1 { "pod" } else { "pods" };
    format!("{count} of {all} {pods} that ended {}", were(count as u64))
}

fn killed(facts: &Facts<'_>) -> Evidence {
    let all = facts.ended.len();
    if all == 0 {
        return hidden("no pod ended");
    }
    let killed = facts.killed().count();
    let words = format!("{} killed", of_ended(killed, all));
    match facts.lost(&[Cause::CutAtKill]) {
        0 => told(killed > 0, words),
        1 => told(true, format!("{words}, and a request that was in flight is lost")),
        lost => told(true, format!("{words}, and {lost} requests that were in flight are lost")),
    }
}

fn hooks(facts: &Facts<'_>) -> Evidence {
    let all = facts.ended.len();
    if all == 0 {
        return hidden("no pod ended");
    }
    let has_failed = |pod: &&&PodRecord| {
        pod.events.iter().any(|event| matches!(event.what, What::HookFailed(_)))
    };
    let failed = facts.ended.iter().filter(has_failed).count();
    let pods = if all == 1 { "pod" } else { "pods" };
    told(failed > 0, format!("the hook of {failed} of {all} {pods} that ended failed"))
}

fn pods(facts: &Facts<'_>, wanted: impl Fn(&What) -> bool, how: &str) -> Evidence {
    let (seen, all) = (facts.pods(wanted), facts.run.pods.len());
    if seen == 0 {
        return told(false, format!("no pod {how}"));
    }
    told(true, format!("{seen} of {all} {} {how}", if all == 1 { "pod" } else { "pods" }))
}

fn new(facts: &Facts<'_>) -> Evidence {
    if let Some(none) = requests(facts) {
        return none;
    }
    match facts.lost_to_new() {
        0 => {
            told(false, "no request failed in a new pod's first 30 s that no other cause explains")
        }
        1 => told(true, "a request failed in a new pod's first 30 s that no other cause explains"),
        lost => told(
            true,
            format!(
                "{lost} requests failed in a new pod's first 30 s that no other cause explains"
            ),
        ),
    }
}

fn fewest(rule: Rule, facts: &Facts<'_>) -> Evidence {
    let (first, fewest) = facts.fewest_ready();
    if first == 0 {
        return hidden("no pod was ready at the beginning");
    }
    let lost = match facts.lost(&[Cause::NoEndpoint]) {
        0 => String::new(),
        lost => format!(", and {lost} {} lost since there was none", plural(lost, "request")),
    };
    let words = format!("at the least {fewest} of {first} {} ready{lost}", plural_were(first));
    let is_seen = match rule {
        Rule::NoSurge | Rule::TooManyUnavailable => fewest < first,
        _ => fewest == 0,
    };
    told(is_seen, words)
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("{what} was") } else { format!("{what}s were") }
}

fn plural_were(pods: usize) -> &'static str {
    if pods == 1 { "pod was" } else { "pods were" }
}

fn unserved(facts: &Facts<'_>) -> Evidence {
    if let Some(none) = requests(facts) {
        return none;
    }
    let (lost, all) = (facts.run.lost, facts.run.requests);
    if lost == all {
        told(true, format!("all {all} requests were lost"))
    } else {
        told(false, format!("{} of {all} requests were answered", all - lost))
    }
}
