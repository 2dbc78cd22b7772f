//! Requests that this process sends.

use std::{io, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use websample_load::{Bounds, Connect, Engine, LoadReport, Mix};

use super::{Failure, REQUEST_LIMIT};
use crate::{plan::connect_timeout, timeline::Timeline};

/// The load generator at work; it stops when this is dropped.
pub(crate) struct Sending {
    stop: DropGuard,
    task: JoinHandle<io::Result<LoadReport>>,
}

impl Sending {
    /// Begins to send what is planned; `set_up` says what else the generator is told.
    pub(crate) fn start(
        mix: &Mix,
        target: Arc<dyn Connect>,
        timeline: &Timeline,
        set_up: impl FnOnce(Engine) -> Engine,
    ) -> Self {
        let bounds = Bounds {
            connect_timeout: connect_timeout(),
            timeout: REQUEST_LIMIT,
            ..Bounds::default()
        };
        let engine = Engine::new(mix.clone(), target, bounds);
        let stop = CancellationToken::new();
        let running = set_up(engine.clock(timeline.start().into_std())).run(None, stop.clone());
        Self { stop: stop.drop_guard(), task: tokio::spawn(running) }
    }

    /// Returns when no more is sent although nobody stopped it.
    pub(crate) async fn failed(&mut self) -> Failure {
        Failure::Load(Arc::new(match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) => io::Error::other("it ended by itself"),
            Err(error) => io::Error::other(error),
        }))
    }

    /// Stops, and waits for outstanding answers.
    pub(crate) async fn stop(self) -> Result<LoadReport, Failure> {
        drop(self.stop);
        let ended = self.task.await.map_err(io::Error::other).flatten();
        ended.map_err(|error| Failure::Load(Arc::new(error)))
    }
}
