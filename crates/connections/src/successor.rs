//! A process that is to take over: its start, and the proof that it is ready.

use std::{
    env,
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt as _, FdMapping};
use tempfile::TempDir;
use tokio::{
    net::UnixDatagram,
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::{
    inherited::{ACTIVATED, COUNT, NAMES},
    notify::Notifier,
    ports::Port,
};

/// The first descriptor of the protocol; see sd_listen_fds(3).
const FIRST: i32 = 3;

/// Why the running server goes on serving.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be started: {0}")]
    NotStarted(#[from] io::Error),
    #[error("it has ended before it was ready ({0})")]
    Ended(ExitStatus),
    #[error("it was not ready within {} s", .0.as_secs_f64())]
    NotReady(Duration),
    #[error("this server is leaving")]
    Leaving,
}

/// What is started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: OsString,
    pub(super) arguments: Vec<OsString>,
}

/// A process that has been started, and serves nothing yet.
#[derive(Debug)]
pub(super) struct Successor {
    child: Child,
    /// It waits for the end of this before it accepts anything.
    lifeline: Option<ChildStdin>,
    ready: Ready,
}

impl Successor {
    /// Starts it with these sockets.
    pub(super) fn start(
        program: &Program,
        ports: &[Port],
        notifier: &Notifier,
    ) -> Result<Self, Failure> {
        let ready = Ready::new()?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).stdin(Stdio::piped());
        command.env_remove("LISTEN_PID").env_remove("LISTEN_FDS_FIRST_FD");
        command.env(COUNT, ports.len().to_string());
        let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
        command.env(NAMES, names.join(":"));
        let activated = ports.iter().enumerate().filter(|(_, port)| port.is_activated);
        let activated: Vec<_> = activated.map(|(index, _)| index.to_string()).collect();
        command.env(ACTIVATED, activated.join(","));
        for (name, value) in notifier.for_successor(ready.address()) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mappings = (FIRST..).zip(ports).map(|(child_fd, port)| {
            Ok(FdMapping { parent_fd: OwnedFd::from(port.listener.try_clone()?), child_fd })
        });
        command.fd_mappings(mappings.collect::<io::Result<Vec<_>>>()?).map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline, ready })
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&mut self, longest: Duration) -> Result<(), Failure> {
        let (child, ready) = (&mut self.child, &self.ready);
        let told = async {
            tokio::select! {
                biased;
                told = ready.told() => Ok(told?),
                ended = child.wait() => Err(Failure::Ended(ended?)),
            }
        };
        timeout(longest, told).await.unwrap_or(Err(Failure::NotReady(longest)))
    }

    /// It may accept connections: nobody else does any more.
    pub(super) fn let_go(mut self) {
        drop(self.lifeline.take());
    }

    /// Ends it. It has accepted nothing, so nothing is lost.
    pub(super) async fn give_up(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(%error, "the successor cannot be waited for");
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // Else the end of its lifeline would tell it to take over.
        if self.lifeline.is_some() {
            // An error means that it has ended already.
            let _ = self.child.start_kill();
        }
    }
}

/// Where it says that it is ready: a socket in a directory that other users cannot enter.
#[derive(Debug)]
struct Ready {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Ready {
    fn new() -> io::Result<Self> {
        // A service's own directory, where it has one.
        let within = env::var_os("RUNTIME_DIRECTORY").filter(|path| !path.is_empty());
        let within = within.map_or_else(env::temp_dir, PathBuf::from);
        let directory = tempfile::Builder::new().prefix("handoff-").tempdir_in(within)?;
        let socket = UnixDatagram::bind(directory.path().join("ready"))?;
        Ok(Self { socket, directory })
    }

    fn address(&self) -> OsString {
        self.directory.path().join("ready").into()
    }

    async fn told(&self) -> io::Result<()> {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message).await?;
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(());
            }
        }
    }
}
