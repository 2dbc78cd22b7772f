//! What ends a cause: the findings that it comes from, where the manifest has them, or what else is to be
//! done.

use websample_manifest::{Finding, Rule, fix::Patched};

use super::{Remedy, facts::Facts};
use crate::{causes::Cause, losses::CauseCount};

/// The pod does not go on serving until nobody sends to it any more.
const LEAVES_EARLY: &[Rule] = &[
    Rule::EndpointRace,
    Rule::DelayTooShort,
    Rule::GraceZero,
    Rule::HookWithoutProgram,
    Rule::HookTcpSocket,
    Rule::HookPortNotExposed,
    Rule::HookRefused,
    Rule::ExitsAtOnce,
    Rule::ProbeOutlastsDelay,
    Rule::ProxyLeavesFirst,
    Rule::NoReadinessGate,
];
/// It is not given the time that it needs.
const KILLED: &[Rule] = &[
    Rule::GraceZero,
    Rule::HookOutlastsGrace,
    Rule::GraceTooShort,
    Rule::DrainOutlastsGrace,
    Rule::NoTimeToDrain,
    Rule::ServerGraceTooLong,
    Rule::SigtermIgnored,
    Rule::ShellAsPid1,
];
const CUT: &[Rule] = &[
    Rule::ServerGraceTooShort,
    Rule::ServerGraceTooLong,
    Rule::GraceTooShort,
    Rule::NoTimeToDrain,
];
/// Too few pods are left.
const FEW: &[Rule] = &[
    Rule::StrategyRecreate,
    Rule::NoPodLeft,
    Rule::SurgeAndUnavailableZero,
    Rule::TooManyUnavailable,
    Rule::NoSurge,
];
/// A pod is sent to before it serves, or is taken for one that does.
const EARLY: &[Rule] = &[Rule::NoReadinessProbe, Rule::PublishesNotReady];
const PROBED: &[Rule] = &[
    Rule::LivenessBeforeReadiness,
    Rule::LivenessLikeReadiness,
    Rule::ProbeTimeoutOverPeriod,
    Rule::UnknownPortName,
];
const IN_FRONT: &[Rule] = &[Rule::NoReadinessGate, Rule::DeregistrationTooShort];

/// What a cause comes from: the first of these of which there is a finding.
const fn rules_of(cause: Cause) -> &'static [&'static [Rule]] {
    match cause {
        Cause::ClosedListener
        | Cause::DeadPod
        | Cause::GoneAddress
        | Cause::StaleEndpoint
        | Cause::AcceptQueue
        | Cause::RefusedByLeavingPod
        | Cause::CutAtExit => &[LEAVES_EARLY],
        Cause::IdleClosed => &[&[Rule::ExitsAtOnce, Rule::GraceZero]],
        Cause::CutAtKill => &[KILLED],
        Cause::CutAtDeadline => &[CUT],
        Cause::NoEndpoint => &[FEW, EARLY, &[Rule::SingleReplica, Rule::ScalesToZero]],
        Cause::Crash => &[PROBED],
        Cause::ErrorStatus | Cause::Unexplained => &[EARLY],
        Cause::ProxyClosed | Cause::Proxy => &[IN_FRONT],
        Cause::TooSlow => &[FEW],
        Cause::Tls => &[],
    }
}

/// The rules whose fixes end a cause in a manifest with these findings.
pub(super) fn rules(cause: Cause, findings: &[&Finding]) -> &'static [Rule] {
    let has = |rules: &&&[Rule]| findings.iter().any(|finding| rules.contains(&finding.rule));
    rules_of(cause).iter().find(has).copied().unwrap_or(&[])
}

/// What ends a cause, with what its rules come to.
pub(super) fn remedy(cause: &CauseCount, patched: &Patched, facts: &Facts<'_>) -> Remedy {
    let mends: Vec<_> =
        patched.mended.iter().map(|finding| finding.rule.name().to_owned()).collect();
    let left = patched.left.iter().map(|left| {
        let Finding { rule, fix, .. } = &left.finding;
        format!("{rule}: {}", fix.text().replace('\n', "\n  "))
    });
    let words = if !patched.patches.is_empty() {
        format!("the smallest change of the manifest; it mends {}", mends.join(", "))
    } else if !patched.left.is_empty() {
        left.collect::<Vec<_>>().join("\n")
    } else {
        otherwise(cause.cause, facts)
    };
    Remedy {
        cause: cause.cause,
        count: cause.count,
        mends,
        patches: patched.patches.iter().map(|patch| patch.patch.clone()).collect(),
        words,
    }
}

/// What to do where the manifest has nothing that a change would end.
fn otherwise(cause: Cause, facts: &Facts<'_>) -> String {
    match cause {
        Cause::ClosedListener
        | Cause::DeadPod
        | Cause::GoneAddress
        | Cause::StaleEndpoint
        | Cause::AcceptQueue => {
            let until = facts.sending().map_or_else(String::new, |sending| {
                format!(" (seen here: {:.1} s after the deletion)", sending.as_secs_f64())
            });
            return format!(
                "the program, or its hook, has to go on accepting until nobody sends to the pod any \
                 more{until}; as far as the manifest shows it, it does"
            );
        }
        Cause::CutAtKill if facts.ignores_sigterm() => {
            "the program went on after SIGTERM until SIGKILL: it has to end by itself once it is told to, \
             with what is in flight finished"
        }
        Cause::CutAtKill => "the grace period has to be longer than hook and slowest request together",
        Cause::CutAtExit => {
            "the program has to finish what is in flight before it exits, or to be held by a hook for as \
             long as requests take"
        }
        Cause::CutAtDeadline => {
            "the server's own deadline has to be longer than the slowest request, and the grace period \
             longer than that"
        }
        Cause::RefusedByLeavingPod => {
            "a pod that is leaving has to go on answering until nobody sends to it any more"
        }
        Cause::IdleClosed => {
            "no change of the manifest ends it: the program has to tell its clients while it still \
             answers (`Connection: close`), or they have to send again what met a closed connection"
        }
        Cause::NoEndpoint => "a ready pod has to be left at any time: see what took the last one out",
        Cause::Crash => "the program ended by itself: see its log, its exit code and its memory limit",
        Cause::ErrorStatus => {
            "the program answered so itself: see its log; --expect says which statuses are as they should be"
        }
        Cause::ProxyClosed => {
            "what is in front closed the connection: its clients have to send again what met a closed \
             connection, or to keep it for less long than that does"
        }
        Cause::Proxy => "what is in front failed it: see its log",
        Cause::Tls => {
            "every pod needs a certificate for the name that clients use, of an authority that they trust"
        }
        Cause::TooSlow => "no answer came in time, from a program that was there: see its load meanwhile",
        Cause::Unexplained => "nothing that was seen explains it, so that nothing can be said against it",
    }
    .to_owned()
}
