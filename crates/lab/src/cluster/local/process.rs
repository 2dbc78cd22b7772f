//! Pods' processes: started, signalled, reaped, and never left behind.

use std::{
    collections::{BTreeSet, HashSet},
    io,
    net::SocketAddr,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    inside::{self, BehindShell},
    logs::Logs,
    supervisor::Supervision,
    watchdog::Watchdog,
};
use crate::timeline::Exit;

/// All processes of a cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Processes(Arc<Mutex<Children>>);

#[derive(Debug)]
struct Children {
    /// The process groups that live; a pod's process leads one.
    groups: HashSet<i32>,
    /// Nothing may be started any more.
    closed: bool,
    /// None where the lab is PID 1: the kernel ends everything in a container with it, and an image of
    /// the lab alone has no shell.
    watchdog: Option<Watchdog>,
}

impl Processes {
    pub(super) fn new() -> io::Result<Self> {
        let watchdog = match std::process::id() {
            1 => None,
            _ => Some(Watchdog::start()?),
        };
        Ok(Self(Arc::new(Mutex::new(Children { groups: HashSet::new(), closed: false, watchdog }))))
    }

    /// Starts a process in a group of its own, its output going to `logs`. `on_exit` is called
    /// once it has ended and its group was killed, before [`Process::exited`] returns. One under
    /// supervision may have successors, and ends with the last of them.
    pub(super) fn spawn(
        &self,
        mut command: Command,
        logs: &Logs,
        supervision: Option<Supervision>,
        on_exit: impl FnOnce(Exit) + Send + 'static,
    ) -> io::Result<Process> {
        if let Some(supervision) = &supervision {
            command.env("NOTIFY_SOCKET", supervision.address());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        // Held from before the start until it is on the list: whoever closes the list sees it.
        let mut children = self.lock();
        if children.closed {
            return Err(io::Error::other("the cluster is shutting down"));
        }
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let group = group.ok_or_else(|| io::Error::other("the process has no id"))?;
        children.groups.insert(group);
        let watched = children.watchdog.as_mut().map_or(Ok(()), |watchdog| watchdog.watch(group));
        if let Err(error) = watched {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            children.groups.remove(&group);
            return Err(io::Error::other(format!("the watchdog is gone: {error}")));
        }
        drop(children);
        if let Some(output) = child.stdout.take() {
            logs.follow(output);
        }
        if let Some(output) = child.stderr.take() {
            logs.follow(output);
        }
        let (ended, exit) = watch::channel(None);
        let processes = self.clone();
        let main = Arc::new(AtomicI32::new(group));
        let follows = Arc::clone(&main);
        // Outlives the cluster, to reap what its end kills.
        tokio::spawn(async move {
            let exit = match supervision {
                Some(supervision) => supervision.follow(child, group, &follows).await,
                None => exited(&mut child).await,
            };
            processes.ended(group);
            on_exit(exit);
            ended.send_replace(Some(exit));
        });
        Ok(Process { group, main, processes: self.clone(), exit })
    }

    /// The end of PID 1 is the end of all its pod's processes (facts 2.10).
    fn ended(&self, group: i32) {
        let mut children = self.lock();
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        children.groups.remove(&group);
        if let Some(watchdog) = &mut children.watchdog {
            watchdog.forget(group);
        }
    }

    /// The addresses at which any of them listens.
    pub(super) fn listeners(&self) -> BTreeSet<SocketAddr> {
        let groups: Vec<_> = self.lock().groups.iter().copied().collect();
        groups.into_iter().flat_map(inside::listeners).collect()
    }

    /// One that a shell keeps SIGTERM from, if there is any.
    pub(super) fn behind_shell(&self) -> Option<BehindShell> {
        let groups: Vec<_> = self.lock().groups.iter().copied().collect();
        groups.into_iter().find_map(inside::behind_shell)
    }

    /// Kills everything, at once, and starts nothing more.
    pub(super) fn kill_all(&self) {
        let mut children = self.lock();
        children.closed = true;
        for group in &children.groups {
            let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
        }
    }

    /// Waits until everything that was killed has been reaped, so long at most.
    pub(super) async fn reaped(&self, limit: Duration) {
        let all = async {
            while !self.lock().groups.is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(limit, all).await;
    }

    fn lock(&self) -> MutexGuard<'_, Children> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pod's process.
#[derive(Debug)]
pub(super) struct Process {
    group: i32,
    /// Its number: that of the group, unless another has succeeded the first.
    main: Arc<AtomicI32>,
    processes: Processes,
    exit: watch::Receiver<Option<Exit>>,
}

impl Process {
    /// SIGTERM to the process alone (facts 2.10); `false` if it has ended.
    pub(super) fn terminate(&self) -> bool {
        self.signal(Signal::SIGTERM)
    }

    /// A signal to the process alone; `false` if it has ended.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        // Under the lock, a group on the list has not been reaped: the id is still its own.
        let children = self.processes.lock();
        let main = Pid::from_raw(self.main.load(Ordering::Acquire));
        children.groups.contains(&self.group) && kill(main, signal).is_ok()
    }

    /// SIGKILL to all of the pod's processes; `false` if it has ended.
    pub(super) fn kill(&self) -> bool {
        let children = self.processes.lock();
        children.groups.contains(&self.group)
            && killpg(Pid::from_raw(self.group), Signal::SIGKILL).is_ok()
    }

    /// The addresses at which it listens, or what it has started.
    pub(super) fn listeners(&self) -> BTreeSet<SocketAddr> {
        inside::listeners(self.group)
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    pub(super) async fn exited(&self) -> Exit {
        match self.exit.clone().wait_for(Option::is_some).await.as_deref() {
            Ok(Some(exit)) => *exit,
            // The task that reaps it went away with the runtime.
            _ => Exit::Signal(Signal::SIGKILL as i32),
        }
    }
}

/// Waits for a child's end.
pub(super) async fn exited(child: &mut tokio::process::Child) -> Exit {
    // Fails only where somebody else has reaped it: its status is lost.
    child.wait().await.map_or(Exit::Code(-1), exit_of)
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    async fn first_line(logs: &Logs) -> String {
        loop {
            if let Some(line) = logs.tail().0.first() {
                return line.clone();
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    fn lives(pid: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    }

    async fn gone(pid: i32) {
        while lives(pid) {
            sleep(Duration::from_millis(2)).await;
        }
    }

    #[tokio::test]
    async fn rule_2_10_exit_statuses() {
        let processes = Processes::new().unwrap();
        let logs = Logs::new(None);
        let run = |script| processes.spawn(sh(script), &logs, None, |_| ()).unwrap();
        assert_eq!(run("exit 3").exited().await, Exit::Code(3));
        let term = run("echo up; exec sleep 60");
        first_line(&logs).await;
        assert!(term.terminate());
        assert_eq!(term.exited().await.status(), 143);
        assert!(!term.terminate() && !term.kill());
        let killed = run("trap '' TERM; sleep 60");
        assert!(killed.kill());
        assert_eq!(killed.exited().await.status(), 137);
        assert!(processes.lock().groups.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn rule_2_10_sigterm_goes_to_pid_1_and_the_end_of_pid_1_ends_all() {
        let processes = Processes::new().unwrap();
        let logs = Logs::new(None);
        let script = "sleep 60 & echo $!; trap 'kill -0 $! && echo child lives; exit 0' TERM; wait";
        let process = processes.spawn(sh(script), &logs, None, |_| ()).unwrap();
        let child = first_line(&logs).await.parse().unwrap();
        // The trap may come a moment after the line.
        sleep(Duration::from_millis(50)).await;
        process.terminate();
        assert_eq!(process.exited().await, Exit::Code(0));
        assert_eq!(logs.last_words().await.0[1], "child lives");
        gone(child).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn nothing_outlives_a_kill_of_all_and_nothing_starts_after_it() {
        let processes = Processes::new().unwrap();
        let logs = Logs::new(None);
        let script = "trap '' TERM; sleep 60 & echo $!; wait";
        let process = processes.spawn(sh(script), &logs, None, |_| ()).unwrap();
        let child = first_line(&logs).await.parse().unwrap();
        processes.kill_all();
        assert_eq!(process.exited().await.status(), 137);
        gone(child).await;
        processes.reaped(Duration::from_secs(5)).await;
        assert!(processes.spawn(sh("true"), &logs, None, |_| ()).is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_watchdog_kills_what_a_dead_lab_leaves() {
        let mut watchdog = Watchdog::start().unwrap();
        let spawn = || {
            let mut command = tokio::process::Command::new("sleep");
            command.arg("60").process_group(0).kill_on_drop(true).spawn().unwrap()
        };
        let (mut left, mut forgotten) = (spawn(), spawn());
        let group = |child: &tokio::process::Child| i32::try_from(child.id().unwrap()).unwrap();
        watchdog.watch(group(&forgotten)).unwrap();
        watchdog.watch(group(&left)).unwrap();
        watchdog.forget(group(&forgotten));
        // What the kernel does to the pipe when the lab is killed.
        drop(watchdog);
        assert_eq!(left.wait().await.unwrap().signal(), Some(9));
        assert_eq!(forgotten.try_wait().unwrap(), None);
    }
}
