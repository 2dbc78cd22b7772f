//! `scripts/observe` and what it starts.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::client::Prometheus;

/// A file of this repository.
pub(crate) fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether the real Prometheus is installed; where it is not, its test says so.
pub(crate) fn installed() -> bool {
    let found = Command::new("prometheus")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("skipped: there is no prometheus on the PATH (Debian package prometheus)");
    }
    found
}

/// An address that nobody has. Below the ports that clients are given, which may take any other
/// one away before it is used.
pub(crate) fn unused() -> SocketAddr {
    (12_000..20_000)
        .map(|_| rand::random_range(12_000..20_000))
        .map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a port that nobody has")
}

/// The script on its way.
#[derive(Debug)]
pub(crate) struct Observer {
    script: Child,
    said: Vec<String>,
    pub(crate) prometheus: Prometheus,
    pub(crate) lab: SocketAddr,
}

impl Observer {
    /// Starts it on addresses of its own, and returns when Prometheus is ready.
    pub(crate) fn start() -> Self {
        let (prometheus, lab) = (unused(), unused());
        let mut script = Command::new(repository("scripts/observe"))
            .args(["--prometheus", &prometheus.to_string(), "--lab", &lab.to_string()])
            .args(["--grafana", "off"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let stdout = script.stdout.take().expect("a pipe");
        let mut said = Vec::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let last = line == "Ctrl-C ends";
            said.push(line);
            if last {
                break;
            }
        }
        Self { script, said, prometheus: Prometheus(prometheus), lab }
    }

    /// What it told whoever started it.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// Ends it.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.signal();
        self.script.wait().expect("it can be waited for")
    }

    fn signal(&self) {
        let pid = i32::try_from(self.script.id()).expect("a process id");
        // An error means that it has ended by itself, as its status tells.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // After a panic: what it has started ends with it.
        if self.script.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal();
            let _ = self.script.wait();
        }
    }
}
