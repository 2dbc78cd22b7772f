//! The rollout lab: a real rolling update of real processes, under load, for every drain mode.
//!
//! ```text
//! args ─► plan ─► comparison ─┬─► experiment: cluster + load ─► recorder ┐
//!                             ├─► experiment …                           ├─► causes ─► report
//!                             └─► experiment …                           ┘
//! ```
//!
//! | file | its subject |
//! |---|---|
//! | `args`, `plan` | what was asked, and what is going to be done |
//! | `comparison` | all experiments, side by side, until they end or are interrupted |
//! | `experiment`, `ground` | one rolling update of one mode under load, and where it takes place |
//! | `provided` | what pods are given on this disk: a certificate, a directory each |
//! | `disruption` | what happens to the pods meanwhile: a rolling update, or another way to go |
//! | `recorder` | what the requests of an experiment add up to, a second at a time |
//! | `causes`, `unseen`, `losses` | why each lost request was lost, and what they add up to |
//! | `advice` | what somebody's manifest has to do with it, and the smallest change that ends it |
//! | `report`, `summary`, `confidence` | the results: as JSON, as a table, and how sure they are |
//! | `watch` | the same of somebody else's rollout, which is only looked at |
//! | `page`, `markdown`, `junit`, `sarif` | the results for others: a page with charts, a comment, files for other systems |
//! | `saved`, `rebuild` | reports read back, and `websample report` |
//! | `metrics` | the same for Prometheus, and the pods as its targets |
//! | `audience` | who looks on, and what is told meanwhile |
//! | `timeline` | what happened to every pod |
//! | `timings` | how long it took, in a file, for a rollout that takes as long |
//! | `cluster` | where it happens, here or on Kubernetes; what is sent is [`websample_load`]'s |
//! | `through` | a real proxy between the load and the pods |

pub mod advice;
pub mod args;
pub mod audience;
pub mod causes;
pub mod cluster;
pub mod comparison;
pub mod confidence;
pub mod disruption;
pub mod experiment;
pub mod gate;
pub mod ground;
mod junit;
pub mod losses;
pub mod markdown;
pub mod metrics;
pub mod page;
pub mod plan;
pub mod provided;
pub mod rebuild;
pub mod recorder;
pub mod report;
mod sarif;
pub mod saved;
pub mod summary;
pub mod through;
pub mod timeline;
pub mod timings;
pub mod unseen;
pub mod versions;
pub mod watch;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
