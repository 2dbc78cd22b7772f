//! The servers as processes.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::client;

/// No server takes longer to start or to stop, even under valgrind.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at a server that starts.
const LOOK: Duration = Duration::from_micros(200);

/// Starting is tried again, since the port that was free may be taken meanwhile.
const ATTEMPTS: usize = 3;

/// Where the servers are.
pub(crate) struct Programs {
    pub(crate) websample: PathBuf,
    pub(crate) plain: PathBuf,
    /// The axum application, see crates/hyper/examples/cost.rs.
    pub(crate) axum: PathBuf,
}

/// Which server, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This project's, without its access log, since plain has none.
    Websample,
    /// With its access log, in one of its formats.
    Logging(&'static str),
    /// actix-web's.
    Plain,
    /// The axum application: plain, draining or named.
    Axum(&'static str),
}

/// How a server is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) kind: Kind,
    /// Threads; the server's own default where there is none.
    pub(crate) workers: Option<usize>,
    /// The lame duck's least time.
    pub(crate) delay: Duration,
    /// A program and its arguments to run the server under.
    pub(crate) under: &'a [&'a str],
}

impl Settings<'_> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, workers: None, delay: Duration::ZERO, under: &[] }
    }

    pub(crate) const fn workers(self, workers: usize) -> Self {
        Self { workers: Some(workers), ..self }
    }

    fn command(
        &self,
        programs: &Programs,
        address: SocketAddr,
        admin: SocketAddr,
    ) -> Result<Command> {
        let program = match self.kind {
            Kind::Websample | Kind::Logging(_) => &programs.websample,
            Kind::Plain => &programs.plain,
            Kind::Axum(_) => &programs.axum,
        };
        let mut command = match self.under {
            [] => Command::new(program),
            [tool, arguments @ ..] => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(program);
                command
            }
        };
        let cpus = thread::available_parallelism()?.get();
        let workers = self.workers.unwrap_or(cpus).to_string();
        if self.kind == Kind::Plain {
            command.arg(address.to_string()).arg(workers);
        } else if let Kind::Axum(how) = self.kind {
            command.arg(how).arg(address.to_string());
        } else {
            let (level, format) = match self.kind {
                Kind::Logging(format) => ("info", format),
                _ => ("warn", "json"),
            };
            let delay = format!("{}ms", self.delay.as_millis());
            command
                .args(["serve", "--version", "v1", "--instance", "bench"])
                .args(["--listen", &address.to_string()])
                .args(["--admin.listen", &admin.to_string()])
                .args(["--workers", &workers, "--log.level", level, "--log.format", format])
                .args(["--delay.min", &delay, "--delay.quiet", "0s", "--delay.max", &delay]);
        }
        // Neither settings nor a logger's level come from whoever runs this.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WEBSAMPLE_") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// Starts a server and waits until it answers.
    pub(crate) fn start(&self, programs: &Programs) -> Result<Server> {
        let mut attempt = 1;
        loop {
            let (address, admin) = (free_address()?, free_address()?);
            let mut command = self.command(programs, address, admin)?;
            if !self.under.is_empty() {
                command.stderr(Stdio::piped());
            }
            let began = Instant::now();
            let child =
                command.spawn().with_context(|| format!("{command:?} could not be started"))?;
            let ready_after = Duration::ZERO;
            let mut server = Server { child: Some(child), address, admin, ready_after };
            // The axum application has no probes where it is plain.
            let probe = if matches!(self.kind, Kind::Axum(_)) { "/" } else { "/readiness" };
            match server.wait_ready(began, probe) {
                Ok(()) => return Ok(server),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A running server; dropping it kills the process.
pub(crate) struct Server {
    child: Option<Child>,
    pub(crate) address: SocketAddr,
    /// Where its metrics are; only this project's has any.
    pub(crate) admin: SocketAddr,
    /// From its start to its first good answer on `/readiness`.
    pub(crate) ready_after: Duration,
}

/// How a server ended.
pub(crate) struct Exit {
    pub(crate) at: Instant,
    pub(crate) status: ExitStatus,
    /// What it wrote to standard error, if it ran under a tool.
    pub(crate) stderr: String,
}

impl Server {
    fn wait_ready(&mut self, began: Instant, probe: &str) -> Result<()> {
        loop {
            let answered = client::send(self.address, probe)
                .and_then(|mut stream| client::receive(&mut stream));
            if answered.is_ok_and(|status| (200..300).contains(&status)) {
                self.ready_after = began.elapsed();
                return Ok(());
            }
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("a server ended while it started: {status}");
            }
            ensure!(began.elapsed() < LIMIT, "a server is not ready after {LIMIT:?}");
            thread::sleep(LOOK);
        }
    }

    fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("taken only by `stop`, which consumes the server");
        Pid::from_child(child)
    }

    /// Asks the server to stop.
    pub(crate) fn terminate(&self) -> Result<()> {
        kill_process(self.pid(), Signal::TERM).context("SIGTERM could not be sent")
    }

    /// Waits for the process on a thread of its own, so that the time of its end is not that of
    /// a look at it.
    pub(crate) fn watch(mut self) -> Ending {
        let pid = self.pid();
        let (ended, end) = mpsc::channel();
        if let Some(child) = self.child.take() {
            thread::spawn(move || {
                let waited = wait(child);
                // An error means that nobody waits any more.
                let _ = ended.send(waited);
            });
        }
        Ending { pid, end }
    }

    /// Stops the server with SIGTERM and waits for its end.
    pub(crate) fn stop(self) -> Result<Exit> {
        self.terminate()?;
        self.watch().wait()
    }

    /// Processor time that its threads have used so far, in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(self.proc("task"))? {
            let path = task?.path().join("schedstat");
            let text = fs::read_to_string(&path)?;
            let nanos = text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
            total += nanos.with_context(|| format!("{} is not understood", path.display()))?;
        }
        Ok(total)
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kib.context("no VmRSS in the process' status")
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.pid().as_raw_nonzero().to_string()).join(file)
    }

    pub(crate) fn id(&self) -> String {
        self.pid().as_raw_nonzero().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait(mut child: Child) -> io::Result<Exit> {
    let piped = child.stderr.take().map(io::read_to_string);
    let status = child.wait()?;
    let at = Instant::now();
    Ok(Exit { at, status, stderr: piped.transpose()?.unwrap_or_default() })
}

/// The end of a server, to be waited for.
pub(crate) struct Ending {
    pid: Pid,
    end: mpsc::Receiver<io::Result<Exit>>,
}

impl Ending {
    pub(crate) fn wait(self) -> Result<Exit> {
        if let Ok(exit) = self.end.recv_timeout(LIMIT) {
            return Ok(exit?);
        }
        // The thread that waits for the process keeps its id from being used again.
        let _ = kill_process(self.pid, Signal::KILL);
        bail!("a server did not end within {LIMIT:?} of SIGTERM")
    }
}
