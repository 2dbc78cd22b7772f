//! The threads of a server, from their start to their end.

use std::{io, time::Duration};

use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use websample_lifecycle::Lifecycle;

use super::worker::{Inbox, Started, Worker};

/// How long the destructors of what the workers own may take, once the report is published. They are
/// the application's; one that hangs must not keep a pod until SIGKILL.
const FAREWELL: Duration = Duration::from_secs(1);

/// The threads of a server. They stop when this is dropped, wherever its owner was then.
#[derive(Debug)]
pub struct Threads {
    lifecycle: Lifecycle,
    stop: CancellationToken,
    _stops: DropGuard,
    starting: Vec<oneshot::Receiver<io::Result<()>>>,
}

impl Threads {
    /// None yet.
    pub fn new(lifecycle: Lifecycle) -> Self {
        let stop = CancellationToken::new();
        Self { lifecycle, _stops: stop.clone().drop_guard(), stop, starting: Vec::new() }
    }

    /// Starts a worker and keeps the promise that it is ready; see [`Worker::start`].
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start<M, F>(
        &mut self,
        name: &str,
        blocking_threads: Option<usize>,
        main: M,
    ) -> io::Result<Worker>
    where
        M: FnOnce(Inbox, Started) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (worker, started) = Worker::start(name, blocking_threads, self.stop.clone(), main)?;
        self.starting.push(started);
        Ok(worker)
    }

    /// Waits until all of them are ready.
    ///
    /// # Errors
    /// Why one of them is not.
    pub async fn ready(&mut self) -> io::Result<()> {
        for started in std::mem::take(&mut self.starting) {
            started.await.map_err(io::Error::other)??;
        }
        Ok(())
    }

    /// Stops them; those that have nothing left to lose are waited for, within bounds.
    pub async fn stop(self, workers: Vec<Worker>, wait: bool) {
        self.stop.cancel();
        if !wait {
            return;
        }
        let limit = FAREWELL.min(self.lifecycle.policy().margin / 2);
        let ends = async {
            for worker in workers {
                worker.ended().await;
            }
        };
        if timeout(limit, ends).await.is_err() {
            tracing::warn!(
                seconds = limit.as_secs_f64(),
                "a worker's thread does not end: something of the application blocks it"
            );
        }
    }
}
