//! The checks. Each looks at what was read and says what it finds; none reads anything itself.
//!
//! | file | its subject |
//! |---|---|
//! | `ending` | how a pod ends: delay, grace period, hook |
//! | `hook` | whether the preStop hook does anything at all |
//! | `ours` | what the sample server is told |
//! | `probes` | whether the pod gets traffic when it can serve, and only then |
//! | `replacing` | how many pods are there while they are replaced |
//! | `placing` | whether a new pod finds a place beside the old ones |
//! | `disruption` | PodDisruptionBudgets |
//! | `services` | whether Services and pods fit together |
//! | `api` | what the API refuses or drops |

mod api;
mod disruption;
mod ending;
mod hook;
mod ours;
mod placing;
mod probes;
mod replacing;
mod services;

use super::{finding::Findings, objects::Objects, subject::Subject};

/// Everything there is to find.
pub(super) fn check(objects: &Objects, subjects: &[Subject<'_>], found: &mut Findings) {
    api::check(objects, found);
    for subject in subjects {
        ending::check(subject, found);
        hook::check(subject, found);
        ours::check(subject, found);
        probes::check(subject, found);
        replacing::check(subject, found);
        placing::check(subject, objects, found);
        disruption::check(subject, found);
        services::check(subject, found);
    }
    disruption::unmatched(objects, subjects, found);
    services::unmatched(objects, subjects, found);
}

/// The labels that select a workload's pods, as lines of YAML.
fn labels(subject: &Subject<'_>, indent: &str) -> String {
    let labels = subject.workload.selector.match_labels.iter().flatten();
    let line = |(key, value): (&String, &String)| {
        // Some would be read as a number or a boolean.
        let value = if value.starts_with(|c: char| c.is_ascii_alphabetic()) && value.len() > 5 {
            value.clone()
        } else {
            format!("{value:?}")
        };
        format!("{indent}{key}: {value}")
    };
    labels.map(line).collect::<Vec<_>>().join("\n")
}

/// How durations are written in sentences.
fn shown(duration: std::time::Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

/// The least whole number of seconds that is enough.
fn whole_seconds(duration: std::time::Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
