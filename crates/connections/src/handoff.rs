//! A restart that closes no port: the next process is given the listening sockets, and this one leaves
//! once that has proved itself ready.
//!
//! ```text
//! this process   ── SIGUSR2 ── starts it ─────────────── stops accepting, lets go ── lame duck ── exit
//! its successor                └─ starts ── READY=1 ──┘                 └─ accepts ── …
//! ```
//!
//! The sockets are the same ones, so the kernel's queue of them is, too: no connection is refused or
//! reset, whoever accepts it. Until the old process lets go, the new one accepts nothing, so one that
//! fails, or is given up, has nothing that could be lost.

use std::{ffi::OsString, future::pending, io, process, time::Duration};

use futures_util::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use websample_lifecycle::{Lifecycle, Mode, Phase};

use super::{
    notify::Notifier,
    ports::Port,
    successor::{Failure, Program, Successor},
};

/// For the next process to be ready, where nobody says otherwise.
const LONGEST_START: Duration = Duration::from_secs(60);

/// What is started on SIGUSR2, to take over.
#[derive(Debug)]
pub struct Handoff {
    program: Program,
    longest_start: Duration,
    asked: Signal,
}

impl Handoff {
    /// Starts this program again, with its arguments: what is there by its name when the signal comes.
    /// SIGUSR2 is caught from now on.
    ///
    /// # Errors
    /// When the signal cannot be caught, or the program's name is not known.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn on_sigusr2() -> io::Result<Self> {
        let asked = signal(SignalKind::user_defined2())?;
        let mut arguments = std::env::args_os();
        let path = arguments
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this program has no name"))?;
        let program = Program { path, arguments: arguments.collect() };
        Ok(Self { program, longest_start: LONGEST_START, asked })
    }

    /// Starts another program, with the same arguments. It has to be the server itself, or to become it:
    /// a shell has to `exec` it.
    #[must_use]
    pub fn program(mut self, path: impl Into<OsString>) -> Self {
        self.program.path = path.into();
        self
    }

    /// How long the next process may take to be ready; 60 s by default. Then it is ended, and this one
    /// serves on.
    #[must_use]
    pub fn longest_start(mut self, longest: Duration) -> Self {
        self.longest_start = longest;
        self
    }

    /// Does it when it is asked, with copies of the sockets, until this server leaves; has no end.
    pub(super) async fn serve(mut self, ports: Vec<Port>, lifecycle: &Lifecycle, to: &Notifier) {
        let draining = lifecycle.draining();
        loop {
            tokio::select! {
                biased;
                () = draining.cancelled() => break,
                _ = self.asked.recv() => {}
            }
            if self.attempt(&ports, lifecycle, to).await {
                break;
            }
            // Asked again meanwhile: that was about the same successor.
            while self.asked.recv().now_or_never().is_some() {}
        }
        // Like all others: a port is open for as long as there is one descriptor of it.
        drop(ports);
        while self.asked.recv().await.is_some() {
            tracing::warn!("SIGUSR2 received and ignored: this server is leaving");
        }
        pending::<()>().await;
    }

    /// Whether a successor has taken over.
    async fn attempt(&self, ports: &[Port], lifecycle: &Lifecycle, notifier: &Notifier) -> bool {
        if let Some(why) = obstacle(lifecycle) {
            tracing::error!(why, "SIGUSR2 received and ignored");
            return false;
        }
        tracing::info!(program = %self.program.path.display(), "SIGUSR2 received; starting a successor");
        notifier.reloading(self.longest_start);
        match self.try_once(ports, lifecycle, notifier).await {
            Ok(()) => true,
            Err(failure) => {
                tracing::error!(%failure, "the successor has failed; serving on");
                notifier.goes_on(&failure.to_string());
                false
            }
        }
    }

    async fn try_once(
        &self,
        ports: &[Port],
        lifecycle: &Lifecycle,
        notifier: &Notifier,
    ) -> Result<(), Failure> {
        // Both: without a lame duck the second comes alone.
        let (lame_duck, draining) = (lifecycle.lame_duck(), lifecycle.draining());
        let mut successor = Successor::start(&self.program, ports, notifier)?;
        let pid = successor.pid().unwrap_or_default();
        tracing::info!(pid, "the successor starts");
        let ready = tokio::select! {
            biased;
            () = lame_duck.cancelled() => Err(Failure::Leaving),
            () = draining.cancelled() => Err(Failure::Leaving),
            ready = successor.ready(self.longest_start) => ready,
        };
        let taken = match ready {
            Ok(()) if lifecycle.hand_over().await => Ok(()),
            Ok(()) => Err(Failure::Leaving),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = taken {
            successor.give_up().await;
            return Err(failure);
        }
        tracing::info!(pid, "the successor is ready and takes over");
        notifier.succeeded_by(pid);
        successor.let_go();
        Ok(())
    }
}

/// Why nothing can be handed over.
fn obstacle(lifecycle: &Lifecycle) -> Option<&'static str> {
    match (lifecycle.policy().mode, lifecycle.phase()) {
        (Mode::Ignore | Mode::Immediate, _) => Some("only the modes drain and graceful hand over"),
        (_, Phase::Starting) => Some("this server is still starting"),
        (_, Phase::LameDuck | Phase::Draining | Phase::Drained) => Some("this server is leaving"),
        // Whoever has started it watches this process alone, and takes its end for the service's.
        (_, Phase::Serving) if process::id() == 1 => {
            Some("this is process 1, with whose end its container ends")
        }
        (_, Phase::Serving) => None,
    }
}
