//! The signals that end an attack early.

use std::{io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGINT from a terminal, SIGTERM from whoever runs it: as PID 1 of a container it would not even
/// end by one that is not caught.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The first one ends the sending and, after a while, the waiting; the second one ends the
    /// waiting at once.
    pub(super) async fn obey(
        mut self,
        stop: CancellationToken,
        abandon: CancellationToken,
        wait: Duration,
        stopping: impl FnOnce(),
    ) {
        self.next().await;
        stopping();
        stop.cancel();
        tokio::select! {
            () = self.next() => {}
            () = tokio::time::sleep(wait) => {}
        }
        abandon.cancel();
    }
}
