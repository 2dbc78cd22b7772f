//! The checks. Each looks at what was read and says what it finds; none reads anything itself.
//!
//! | file | its subject |
//! |---|---|
//! | `ending` | how a pod ends: delay, grace period, hook |
//! | `front` | what those in front need besides time |
//! | `hook` | whether the preStop hook does anything at all |
//! | `ours` | what the sample server is told |
//! | `probes` | whether the pod gets traffic when it can serve, and only then |
//! | `replacing` | how many pods are there while they are replaced |
//! | `placing` | whether a new pod finds a place beside the old ones |
//! | `disruption` | PodDisruptionBudgets |
//! | `services` | whether Services and pods fit together |
//! | `references` | whether routes, autoscalers and Services find what they name |
//! | `jobs` | what a drain does to Jobs |
//! | `api` | what the API refuses or drops |
//! | `judged` | what was not judged |

mod api;
mod disruption;
mod ending;
mod front;
mod hook;
mod jobs;
mod judged;
mod ours;
mod placing;
mod probes;
mod references;
mod replacing;
mod services;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    finding::Findings,
    fix::Fix,
    index::{BySpace, Index},
    objects::{Objects, Origin},
    rule::Rule,
    subject::Subject,
};

/// Everything there is to find.
pub(super) fn check<'a>(
    objects: &'a Objects,
    index: &Index<'a>,
    subjects: &[Subject<'a>],
    found: &mut Findings,
) {
    api::check(objects, found);
    api::services(objects, found);
    api::routes(objects, found);
    judged::objects(objects, found);
    for subject in subjects {
        judged::check(subject, found);
        api::pods(subject, found);
        ending::check(subject, found);
        front::check(subject, found);
        hook::check(subject, found);
        ours::check(subject, found);
        probes::check(subject, found);
        replacing::check(subject, found);
        placing::check(subject, index, found);
        disruption::check(subject, found);
        services::check(subject, found);
    }
    jobs::check(objects, index, found);
    let named = Named::new(subjects);
    disruption::budgets(objects, subjects, found);
    disruption::unmatched(objects, subjects, &named, found);
    let sending = references::sending(objects, index, subjects);
    services::unmatched(objects, subjects, &named, &sending, found);
    services::shared(objects, subjects, found);
    references::check(objects, index, &sending, found);
}

/// Workloads by name, for those who are named after one and select nobody.
struct Named<'a>(BySpace<'a, &'a str, usize>);

impl<'a> Named<'a> {
    fn new(subjects: &[Subject<'a>]) -> Self {
        let mut by_name = BySpace::new();
        for (place, subject) in subjects.iter().enumerate() {
            let origin = &subject.workload.origin;
            by_name.file(origin.name.as_str(), origin.namespace.as_deref(), place);
        }
        Self(by_name)
    }

    /// The first workload beside `origin` that its name is made of, with one of these endings.
    fn meant<'s>(
        &self,
        subjects: &'s [Subject<'a>],
        origin: &'a Origin,
        endings: [&str; 3],
    ) -> Option<&'s Subject<'a>> {
        let names = endings.iter().filter_map(|end| origin.name.strip_suffix(end));
        let places = names.flat_map(|name| self.0.get(name, origin.namespace.as_deref()));
        subjects.get(places.min()?)
    }
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

/// An object that is meant for another names no namespace, or the other does not: where they end is
/// decided by whoever applies them.
fn apart(origin: &Origin, other: &Origin, what: &str, found: &mut Findings) {
    let space = |origin: &Origin| match &origin.namespace {
        Some(namespace) => format!("is in namespace {namespace}"),
        None => "names no namespace".to_owned(),
    };
    let message = format!(
        "{} {}, and it {}: it {what} only if both are applied to the same one",
        other.title(),
        space(other),
        space(origin)
    );
    let namespace = origin.namespace.as_ref().or(other.namespace.as_ref());
    let fix = namespace.map_or_else(String::new, |name| format!("metadata:\n  namespace: {name}"));
    let fix = if origin.namespace.is_none() {
        Fix::within("", fix)
    } else {
        Fix::advice(format!("{fix}  # in {} too", other.title()))
    };
    found.object(Rule::NamespaceApart, origin, "metadata", message, fix);
}

/// A port as it is written.
fn port_text(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

/// How durations are written in sentences.
fn shown(duration: std::time::Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

/// The least whole number of seconds that is enough.
pub(super) fn whole_seconds(duration: std::time::Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
