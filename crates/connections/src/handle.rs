//! Talking to a server while it runs, and what it says at its end.

use std::{net::SocketAddr, path::Path, sync::Arc};

use websample_lifecycle::{DrainReport, Lifecycle, Signal};

/// Talks to a running server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    lifecycle: Lifecycle,
    addresses: Arc<[SocketAddr]>,
    admin_addresses: Arc<[SocketAddr]>,
}

impl Handle {
    /// Of a server that leads this life, and listens on these addresses.
    pub fn new(
        lifecycle: Lifecycle,
        addresses: Vec<SocketAddr>,
        admin_addresses: Vec<SocketAddr>,
    ) -> Self {
        Self { lifecycle, addresses: addresses.into(), admin_addresses: admin_addresses.into() }
    }

    /// Begins to drain, as SIGTERM would.
    pub fn drain(&self) {
        self.lifecycle.signal(Signal::Sigterm);
    }

    /// The life that the server leads: its phase, its tokens, what is in flight.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// The addresses that traffic is served on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses of the admin listeners.
    pub fn admin_addresses(&self) -> &[SocketAddr] {
        &self.admin_addresses
    }
}

/// One structured line for the logs, and the termination message.
pub fn publish(report: &DrainReport, termination_log: &Path) {
    tracing::info!(
        target: "websample::report",
        outcome = ?report.outcome,
        exit_code = report.exit_code,
        termination_seconds = report.termination_seconds,
        last_arrival_seconds = report.last_arrival_seconds,
        delay_needed_seconds = report.delay_needed_seconds,
        cut = report.cut_total,
        report = report.to_json(),
        "drained"
    );
    if let Err(error) = report.write_termination_message(termination_log) {
        tracing::warn!(path = %termination_log.display(), %error, "no termination message written");
    }
}
