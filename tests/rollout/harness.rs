//! The binary, run to its end or watched on its way.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing that is awaited here takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    directory: TempDir,
}

impl Ran {
    /// Where `report.json` goes when nothing else is said.
    pub(crate) fn report_file(&self) -> PathBuf {
        self.out().join("report.json")
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("websample-rollout")
    }

    /// The content of another file that the run wrote.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.out().join(name))
            .unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn report(&self) -> Value {
        let json = fs::read(self.report_file()).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        serde_json::from_slice(&json).expect("report.json is JSON")
    }
}

/// `websample rollout` with these arguments, run to its end.
pub(crate) fn rollout(arguments: &[&str]) -> Ran {
    rollout_with(&[], arguments)
}

/// The same with more environment.
pub(crate) fn rollout_with(environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
    Lab::start(environment, arguments).end()
}

/// A run on its way.
pub(crate) struct Lab {
    child: Child,
    directory: TempDir,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    out: thread::JoinHandle<String>,
}

impl Lab {
    pub(crate) fn start(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_websample"))
            .arg("rollout")
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let out = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("text on standard output");
            text
        });
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, directory, lines, seen: Vec::new(), out }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// Waits for a line on standard error.
    pub(crate) fn saw(&mut self, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("{error}; saw {:?}", self.seen));
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| wanted(line)) {
                return;
            }
        }
    }

    /// Waits until load is on a rolling update that has pods on their way out.
    pub(crate) fn is_rolling_out(&mut self) {
        self.saw(|line| {
            line.split_once("leaving ").is_some_and(|(_, leaving)| !leaving.starts_with('0'))
        });
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is there");
    }

    /// The processes that it started and that live: the pods, and the watchdogs.
    pub(crate) fn children(&self) -> Vec<Process> {
        children_of(self.pid())
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        let status = self.child.wait().expect("it can be waited for");
        // The pipes close with it: what it started has others.
        let out = self.out.join().expect("standard output was read");
        self.seen.extend(self.lines.iter());
        let err = self.seen.join("\n");
        assert!(
            !out.contains('\x1b') && !err.contains('\x1b'),
            "escape codes in a pipe: {out}{err}"
        );
        Ran { code: status.code(), out, err, directory: self.directory }
    }
}

/// A process that was seen living.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since boot: a process id may be given out again.
    started: String,
    pub(crate) arguments: Vec<String>,
}

impl Process {
    fn of(pid: i32) -> Option<(Self, i32)> {
        let directory = Path::new("/proc").join(pid.to_string());
        let stat = fs::read_to_string(directory.join("stat")).ok()?;
        // The name in parentheses may hold anything.
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let (state, parent, started) =
            (*fields.first()?, fields.get(1)?.parse().ok()?, fields.get(19)?);
        if state == "Z" || state == "X" {
            return None;
        }
        let arguments = fs::read(directory.join("cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments);
        let arguments = arguments.split_terminator('\0').map(str::to_owned).collect();
        Some((Self { pid, started: (*started).to_owned(), arguments }, parent))
    }

    pub(crate) fn lives(&self) -> bool {
        Self::of(self.pid).is_some_and(|(now, _)| now.started == self.started)
    }

    /// Where this project's server was told to listen.
    pub(crate) fn listens_at(&self) -> Option<SocketAddr> {
        let at = self.arguments.iter().position(|argument| argument == "--listen")?;
        self.arguments.get(at + 1)?.parse().ok()
    }
}

fn children_of(parent: i32) -> Vec<Process> {
    let pids = fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).filter(|(_, of)| *of == parent).map(|(child, _)| child).collect()
}

/// Waits until none of these lives.
pub(crate) fn gone(processes: &[Process]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left: HashSet<_> = processes.iter().filter(|process| process.lives()).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
