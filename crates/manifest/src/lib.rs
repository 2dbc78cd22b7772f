//! The check of manifests: what a rollout of somebody's Deployment will lose, and why.
//!
//! ```text
//! files ─► documents ─► node (with lines) ─► objects (typed) ─► subject: a workload with its
//!          Services, budgets, hook and server ─► checks ─► findings ─► text, JSON, annotations
//! ```
//!
//! | file | its subject |
//! |---|---|
//! | `documents`, `node`, `template` | streams of YAML and JSON; trees that know their lines; what was not rendered |
//! | `live` | objects as an API server has them |
//! | `read`, `objects`, `unknown`, `kinds` | typed objects; fields, versions and kinds that are not known |
//! | `routes` | what sends requests to Services from outside |
//! | `front` | who sends to pods, and how long to one that is deleted |
//! | `subject`, `select`, `index` | a workload with everything that was read about it |
//! | `traffic` | which of its containers requests come to |
//! | `hook`, `server`, `known`, `drains`, `image` | what is known of its containers |
//! | `rule`, `finding`, `fix` | what can be wrong, what is, and what would be right |
//! | `checks` | the checks themselves |
//! | `ignore`, `kustomization` | what somebody lives with; folders that kustomize builds |
//! | `report`, `output` | the result, and how it is printed |
//!
//! The arithmetic is [`websample_kubernetes`]'; what a server does with its own settings is asked of
//! whoever [`Knows`] it.

mod checks;
mod documents;
mod drains;
mod finding;
pub mod fix;
mod front;
mod hook;
mod ignore;
mod image;
mod index;
mod kinds;
mod known;
pub mod kustomization;
mod live;
mod node;
mod objects;
pub mod output;
mod problem;
mod read;
mod report;
mod routes;
mod rule;
mod select;
mod server;
mod subject;
mod template;
mod traffic;
mod unknown;

use std::time::Duration;

pub use self::{
    finding::Finding,
    fix::Fix,
    front::{Front, Sender},
    ignore::{Ignore, IgnoreError},
    known::{Given, Knows, OnTermination, OwnHook, Termination},
    live::yaml,
    problem::{Problem, Unusable},
    read::Source,
    report::{CheckReport, Checked, Ending, Ignored, Replacing, check},
    rule::{PAGE, Rule, Severity},
    select::labels as selects,
    server::Told,
};

/// The name of a [`Source`] that was read from standard input.
pub const STANDARD_INPUT: &str = "-";

/// Longer than anything that is waited for, and small enough for sums of durations.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A number of seconds as the API has it, within bounds: it refuses negative ones, and what is
/// beyond all measure would be no more than long.
fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST)
}

/// Without control characters: what is repeated here must not drive a terminal or break a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
