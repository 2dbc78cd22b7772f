//! `websample watch`, run against an API server, and read as it writes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{api::Server, lab::PATIENCE};

/// One that is under way.
pub(crate) struct Looking {
    child: Child,
    directory: TempDir,
    out: Lines,
    err: Lines,
}

/// What it left behind.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    directory: TempDir,
}

/// Lines as they come.
struct Lines {
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { lines, seen: Vec::new() }
    }

    /// Waits for a line with all these words; those before it are read as well.
    fn wait(&mut self, words: &[&str]) {
        let has = |line: &String| words.iter().all(|word| line.contains(word));
        if self.seen.iter().any(has) {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line =
                line.unwrap_or_else(|error| panic!("{error}; no {words:?} in {:#?}", self.seen));
            self.seen.push(line);
            if self.seen.last().is_some_and(has) {
                return;
            }
        }
    }

    fn all(mut self) -> String {
        self.seen.extend(self.lines.iter());
        self.seen.join("\n")
    }
}

impl Looking {
    pub(crate) fn start(server: &Server, arguments: &[&str]) -> Self {
        Self::command(server, &["watch"], arguments)
    }

    /// Another command that looks on.
    pub(crate) fn command(server: &Server, command: &[&str], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let namespace =
            if arguments.contains(&"-n") { &[][..] } else { &["-n", crate::api::NAMESPACE] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_websample"))
            .args(command)
            .args(arguments)
            .args(namespace)
            .args(["--kubeconfig", &server.kubeconfig()])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        let err = Lines::of(child.stderr.take().expect("a pipe"));
        Self { child, directory, out, err }
    }

    /// Waits for an event's line with these words.
    pub(crate) fn saw(&mut self, words: &[&str]) {
        self.out.wait(words);
    }

    /// Waits for something about the watch itself.
    pub(crate) fn said(&mut self, words: &str) {
        self.err.wait(&[words]);
    }

    pub(crate) fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("it is there");
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Looked {
        let status = self.child.wait().expect("it can be waited for");
        let (out, err) = (self.out.all(), self.err.all());
        Looked { code: status.code(), out, err, directory: self.directory }
    }
}

impl Looked {
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.directory.path().join("websample-watch").join(name);
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Where it was started.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file that was written where it was started.
    pub(crate) fn beside(&self, name: &str) -> String {
        let path = self.directory.path().join(name);
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.file("report.json")).expect("report.json is JSON")
    }
}
