//! Rollouts drawn at random, each held against the promise.
//!
//! ```text
//! draw ─► trial ─► run (harm, leftovers) ─► judge ─► findings ─► shrink
//! ```
//!
//! | file | its subject |
//! |---|---|
//! | `trial` | everything that makes up one rollout, as one line of JSON |
//! | `draw` | the trial of a number, at random |
//! | `run` | a trial carried out: the real binary, in a directory of its own |
//! | `harm` | clients that misbehave and signals that nobody expects |
//! | `processes` | whose processes there are, and what is left of them |
//! | `judge`, `excuse` | what must be so whatever was drawn, and which losses nobody promised to avoid |
//! | `sums` | whether the report's numbers are what the clients saw |
//! | `shrink` | the simplest trial that still fails |
//! | `state` | what of a campaign is done |

pub(crate) mod draw;
mod excuse;
mod harm;
pub(crate) mod judge;
mod processes;
pub(crate) mod run;
pub(crate) mod shrink;
pub(crate) mod state;
mod sums;
pub(crate) mod trial;
