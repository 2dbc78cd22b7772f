//! A program beside the pods, such as a real proxy: it lives and dies with the cluster.

use std::{io, process::Command};

use nix::sys::signal::Signal;

use super::{
    LocalCluster,
    error::LogTail,
    logs::Logs,
    process::{Process, Processes},
};
use crate::timeline::Exit;

/// Starts programs that end with a cluster, however it ends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Companions(Processes);

/// Such a program, the leader of a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Companion {
    process: Process,
    logs: Logs,
}

impl LocalCluster {
    /// What starts programs beside the pods.
    pub fn companions(&self) -> Companions {
        Companions(self.node.processes.clone())
    }
}

impl Companions {
    /// Starts a program, its output kept for messages.
    ///
    /// # Errors
    /// It cannot be started, or the cluster is shutting down.
    pub fn start(&self, command: Command) -> io::Result<Companion> {
        let logs = Logs::new(None);
        let process = self.0.spawn(command, &logs, None, |_| ())?;
        Ok(Companion { process, logs })
    }
}

impl Companion {
    /// A signal to the program alone; `false` if it has ended.
    pub fn signal(&self, signal: Signal) -> bool {
        self.process.signal(signal)
    }

    /// SIGKILL to all of its processes; `false` if it has ended.
    pub fn kill(&self) -> bool {
        self.process.kill()
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.process.exit()
    }

    /// Waits for its end.
    pub async fn exited(&self) -> Exit {
        self.process.exited().await
    }

    /// What it wrote last, once it has ended.
    pub async fn last_words(&self) -> LogTail {
        self.logs.last_words().await
    }

    /// What it wrote last, so far.
    pub fn tail(&self) -> LogTail {
        self.logs.tail()
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.kill();
    }
}
