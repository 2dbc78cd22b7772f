//! A service manager's part for a server that hands over to its successor: it is told of it
//! (sd_notify(3)), and follows the main process.

use std::{
    io,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram},
    },
    sync::atomic::{AtomicI32, Ordering},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, WaitId, WaitIdOptions, getpgid, pidfd_open, set_child_subreaper, waitid,
    },
};
use tokio::{net::UnixDatagram, process::Child, sync::oneshot};

use super::process;
use crate::timeline::Exit;

/// Longer messages are not read to their end; those of a server that hands over are short.
const LONGEST: usize = 4096;

/// What a server says of its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// The process of this number is the main one from now on.
    Succeeded(i32),
    /// It goes on itself, and why.
    GoesOn(String),
}

/// What becomes of a process that was told to hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Another one serves.
    HandedOver,
    /// The one from before has ended, while the other serves.
    PredecessorExited(Exit),
    /// It has not, for this reason.
    Failed(String),
}

/// Where a server says how it is.
#[derive(Debug)]
pub(super) struct Supervisor {
    name: String,
    socket: UnixDatagram,
    /// The same, for what has come and was not awaited.
    now: StdUnixDatagram,
    reloads: bool,
}

impl Supervisor {
    /// Has a place of this name, which leaves no file. From now on this process is told of the ends
    /// of all that its children leave behind.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        // What a predecessor has started is this process' own once that has ended.
        set_child_subreaper(Some(rustix::process::getpid()))?;
        let name = format!("websample-{}-{name}", std::process::id());
        let socket = StdUnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        let now = socket.try_clone()?;
        Ok(Self { name, socket: UnixDatagram::from_std(socket)?, now, reloads: false })
    }

    /// What it says next of its successor.
    async fn told(&mut self) -> Told {
        let mut message = [0; LONGEST];
        loop {
            match self.socket.recv(&mut message).await {
                Ok(length) => {
                    if let Some(told) = self.read(&message[..length]) {
                        return told;
                    }
                }
                // A datagram socket has no end: whoever fails goes on with the next.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// The same, of what has come already.
    fn told_already(&mut self) -> Option<Told> {
        let mut message = [0; LONGEST];
        while let Ok(length) = self.now.recv(&mut message) {
            if let Some(told) = self.read(&message[..length]) {
                return Some(told);
            }
        }
        None
    }

    fn read(&mut self, message: &[u8]) -> Option<Told> {
        let message = String::from_utf8_lossy(message);
        let value =
            |key: &str| message.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if value("RELOADING") == Some("1") {
            self.reloads = true;
        }
        if let Some(pid) = value("MAINPID").and_then(|pid| pid.parse().ok()) {
            self.reloads = false;
            return Some(Told::Succeeded(pid));
        }
        if value("READY") == Some("1") && std::mem::take(&mut self.reloads) {
            let why = value("STATUS").unwrap_or("it said that it goes on");
            return Some(Told::GoesOn(why.to_owned()));
        }
        None
    }
}

/// A supervisor, and whom it tells what becomes of a handoff.
pub(super) struct Supervision {
    supervisor: Supervisor,
    on_news: Box<dyn Fn(News) + Send>,
}

impl Supervision {
    pub(super) fn new(supervisor: Supervisor, on_news: impl Fn(News) + Send + 'static) -> Self {
        Self { supervisor, on_news: Box::new(on_news) }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(super) fn address(&self) -> String {
        format!("@{}", self.supervisor.name)
    }

    /// Follows a process of this group and its successors, and returns how the last of them ended;
    /// `main` is the number of the one that serves.
    pub(super) async fn follow(mut self, child: Child, group: i32, main: &AtomicI32) -> Exit {
        let mut serving = Main::Child(child);
        let mut next = None;
        loop {
            tokio::select! {
                biased;
                told = self.supervisor.told() => next = self.take(told, group, main).or(next),
                exit = serving.exited() => {
                    // It may have said so just before.
                    while let Some(told) = self.supervisor.told_already() {
                        next = self.take(told, group, main).or(next);
                    }
                    let Some(adopted) = next.take() else { return exit };
                    (self.on_news)(News::PredecessorExited(exit));
                    serving = Main::Adopted(adopted);
                }
            }
        }
    }

    fn take(&self, told: Told, group: i32, main: &AtomicI32) -> Option<Adopted> {
        let adopted = match told {
            Told::Succeeded(pid) => Adopted::follow(pid, group).map_err(|error| error.to_string()),
            Told::GoesOn(why) => Err(why),
        };
        match adopted {
            Ok(adopted) => {
                main.store(adopted.pid, Ordering::Release);
                (self.on_news)(News::HandedOver);
                Some(adopted)
            }
            Err(why) => {
                (self.on_news)(News::Failed(why));
                None
            }
        }
    }
}

/// The process that is followed.
enum Main {
    Child(Child),
    Adopted(Adopted),
}

impl Main {
    async fn exited(&mut self) -> Exit {
        match self {
            Self::Child(child) => process::exited(child).await,
            Self::Adopted(adopted) => adopted.exited().await,
        }
    }
}

/// A process that somebody else has started, and that this one follows to its end.
#[derive(Debug)]
struct Adopted {
    pid: i32,
    exit: oneshot::Receiver<Exit>,
}

impl Adopted {
    /// Follows the process, if it is of this group: a server speaks for nobody else.
    fn follow(pid: i32, group: i32) -> io::Result<Self> {
        let process = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw);
        let process = process.ok_or_else(|| io::Error::other(format!("{pid} is no process")))?;
        let held = pidfd_open(process, PidfdFlags::empty())?;
        // Asked when it is held: before, its number could have become another's.
        if getpgid(Some(process))?.as_raw_nonzero().get() != group {
            return Err(io::Error::other(format!("process {pid} is not of this pod")));
        }
        let (ended, exit) = oneshot::channel();
        // A thread, since the runtime waits for no process but its own children; it lives as long as
        // the process, which does not outlive the cluster.
        std::thread::Builder::new().name(format!("pid {pid}")).spawn(move || {
            // Nobody listens where the cluster is gone.
            let _ = ended.send(exited(process, &held));
        })?;
        Ok(Self { pid, exit })
    }

    async fn exited(&mut self) -> Exit {
        (&mut self.exit).await.unwrap_or(UNKNOWN)
    }
}

/// How a process ended whose status another has taken.
const UNKNOWN: Exit = Exit::Code(-1);

/// Waits for the end of a process, and reaps it where it has become a child of this one.
fn exited(process: Pid, held: &OwnedFd) -> Exit {
    loop {
        match poll(&mut [PollFd::new(held, PollFlags::IN)], None) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(_) => return UNKNOWN,
        }
    }
    match waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => UNKNOWN,
        },
        // Reaped by the one from before, which still runs.
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(supervisor: &Supervisor, message: &str) {
        let address = SocketAddr::from_abstract_name(&supervisor.name).unwrap();
        let socket = StdUnixDatagram::unbound().unwrap();
        socket.send_to_addr(message.as_bytes(), &address).unwrap();
    }

    #[tokio::test]
    async fn a_server_names_its_successor_or_says_why_it_has_none() {
        let mut supervisor = Supervisor::new("tests").unwrap();
        // That it serves, in the beginning, is no answer to anything.
        said(&supervisor, "READY=1\nSTATUS=serving\n");
        said(&supervisor, "RELOADING=1\nMONOTONIC_USEC=1\n");
        said(&supervisor, "READY=1\nSTATUS=the successor has failed: it is ill\n");
        let failed = Told::GoesOn("the successor has failed: it is ill".to_owned());
        assert_eq!(supervisor.told().await, failed);
        said(&supervisor, "RELOADING=1\n");
        said(&supervisor, "MAINPID=7\nREADY=1\n");
        assert_eq!(supervisor.told_already(), Some(Told::Succeeded(7)));
        assert_eq!(supervisor.told_already(), None);
    }

    #[tokio::test]
    async fn nobody_speaks_for_another_pods_process() {
        let own = getpgid(None).unwrap().as_raw_nonzero().get();
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        assert_eq!(Adopted::follow(pid, own).unwrap().pid, pid);
        let refused = Adopted::follow(pid, own + 1).unwrap_err().to_string();
        assert!(refused.contains("is not of this pod"), "{refused}");
        assert!(Adopted::follow(-1, own).is_err());
    }
}
