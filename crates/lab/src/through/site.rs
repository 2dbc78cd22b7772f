//! Where a proxy lives, as each of the programs is told.

use std::{net::SocketAddr, path::PathBuf};

use super::options::Options;

/// Worker threads or processes of a proxy. Several experiments share this machine, and with one
/// alone nothing would show that has to do with several.
pub(super) const WORKERS: usize = 2;

/// Where a proxy lives.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// For its files.
    pub(super) directory: PathBuf,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// How it is set up.
    pub(super) options: Options,
}
