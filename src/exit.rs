//! The exit codes of the program.
//!
//! Those of `serve` after a drain are the report's: see
//! [`DrainReport::exit_code`](websample_lifecycle::DrainReport).

/// What a gate looks for was found: a loss (`rollout --fail-on-loss`), an error in a manifest.
pub const FOUND: u8 = 1;
/// The load generator did not keep up, so that a result says nothing: sysexits' `EX_TEMPFAIL`.
pub const SAYS_NOTHING: u8 = 75;
/// A configuration or a command line cannot work: sysexits' `EX_USAGE`.
pub const USAGE: u8 = 64;
/// The command could not be carried out: sysexits' `EX_UNAVAILABLE`.
pub const UNAVAILABLE: u8 = 69;
