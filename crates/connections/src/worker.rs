//! Worker threads: each has a runtime of its own, and is given connections.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::accepted::{Accepted, Dispatched};

/// Told once a worker can serve, or why it cannot; an error means that nobody waits for it any more.
pub type Started = oneshot::Sender<io::Result<()>>;

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    connections: mpsc::UnboundedSender<Dispatched>,
    load: Arc<AtomicUsize>,
    /// An error once its thread has ended.
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

/// The connections that a worker is given, on its thread.
#[derive(Debug)]
pub struct Inbox {
    received: mpsc::UnboundedReceiver<Dispatched>,
    load: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Inbox {
    /// The next connection, what its TLS is accepted with, and what has to be dropped once it is
    /// closed; `None` when the worker has to stop.
    pub async fn next(&mut self) -> Option<(Accepted, Option<TlsAcceptor>, Loaded)> {
        let dispatched = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            dispatched = self.received.recv() => dispatched,
        };
        let Some(Dispatched { accepted, permit, tls }) = dispatched else {
            self.stop.cancelled().await;
            return None;
        };
        Some((accepted, tls, Loaded { load: Arc::clone(&self.load), permit }))
    }
}

/// Takes a connection off its worker's load when it is dropped.
#[derive(Debug)]
pub struct Loaded {
    load: Arc<AtomicUsize>,
    #[expect(dead_code, reason = "held for its drop")]
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Starts a thread, whose runtime runs `main` until that ends; it ends when `stop` is cancelled.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start<M, F>(
        name: &str,
        blocking_threads: Option<usize>,
        stop: CancellationToken,
        main: M,
    ) -> io::Result<(Self, oneshot::Receiver<io::Result<()>>)>
    where
        M: FnOnce(Inbox, Started) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (connections, received) = mpsc::unbounded_channel();
        let (started, start) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        let load = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox { received, load: Arc::clone(&load), stop };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Dropped last, by a panic too.
            let _ends: oneshot::Sender<()> = ends;
            let mut builder = Builder::new_current_thread();
            if let Some(threads) = blocking_threads {
                builder.max_blocking_threads(threads);
            }
            let runtime = builder.enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    runtime.block_on(main(inbox, started));
                    // Blocking closures that still run are not waited for: whoever needs them
                    // finished has registered them with the lifecycle.
                    runtime.shutdown_background();
                }
                // An error means that nobody waits for the worker any more.
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        Ok((Self { connections, load, ended, thread }, start))
    }

    /// Connections that this worker has.
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Whether its thread runs: one that has died has no load, and would be given everything.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Hands over a connection.
    ///
    /// # Errors
    /// Gives it back where the worker's thread is gone.
    pub fn dispatch(&self, dispatched: Dispatched) -> Result<(), Dispatched> {
        self.load.fetch_add(1, Ordering::Relaxed);
        self.connections.send(dispatched).map_err(|unsent| {
            self.load.fetch_sub(1, Ordering::Relaxed);
            unsent.0
        })
    }

    /// Waits for the thread to end, once it was told to stop. What runs on it is the application's,
    /// and may block it: whoever waits has to have a bound.
    pub async fn ended(self) {
        drop(self.connections);
        // An error is the end of the thread, which sends nothing.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
}
