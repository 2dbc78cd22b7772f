//! What a manifest says of a rollout, as the check reads it, in the lab's words.

use std::time::Duration;

use websample::known::SampleServer;
use websample_manifest::{self as manifest, Replacing, Rule, Source, Told};

/// Longer sleeps are shortened to this, and the grace period with them: their proportion is what counts.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) replicas: u32,
    pub(crate) recreate: bool,
    pub(crate) surge: u32,
    pub(crate) unavailable: u32,
    pub(crate) grace: Duration,
    pub(crate) sleep: Duration,
    pub(crate) readiness: bool,
    pub(crate) mode: &'static str,
}

impl Settings {
    pub(crate) fn of(sources: &[Source]) -> Self {
        let report = manifest::check(sources, Told::default(), &SampleServer).unwrap();
        let has = |rule: Rule| report.findings.iter().any(|finding| finding.rule == rule);
        let [checked] = report.checked.as_slice() else { panic!("one workload: {report:#?}") };
        let replicas = checked.replicas.unwrap();
        let (recreate, surge, unavailable) = match checked.replacing {
            Replacing::Rolling { fewest, most } => (false, most - replicas, replicas - fewest),
            Replacing::Recreate => (true, 0, replicas),
            other => panic!("{other:?}"),
        };
        let container = checked.containers.iter().find(|one| one.serves == Some(true)).unwrap();
        // A hook that fails is none (facts 2.6); one of somebody's own takes as long as it must.
        let fails = has(Rule::HookTcpSocket) || has(Rule::HookWithoutProgram);
        let sleep = container.hook_takes.unwrap_or(Duration::from_secs(5));
        let sleep = if fails { Duration::ZERO } else { sleep };
        let factor = LONGEST_SLEEP.as_secs_f64() / sleep.max(LONGEST_SLEEP).as_secs_f64();
        Self {
            replicas,
            recreate,
            surge,
            unavailable,
            grace: container.grace.mul_f64(factor),
            sleep: sleep.mul_f64(factor),
            readiness: !has(Rule::NoReadinessProbe),
            mode: match (has(Rule::ExitsAtOnce), container.delay) {
                (true, _) => "immediate",
                (false, Some(_)) => "drain",
                (false, None) => "graceful",
            },
        }
    }
}
