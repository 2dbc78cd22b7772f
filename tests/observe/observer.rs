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

/// A listener on a port of its own. Below the ports that clients are given, which may take any
/// other one away before it is used.
pub(crate) fn listener() -> TcpListener {
    let addresses = (0..1_000).map(|_| ([127, 0, 0, 1], rand::random_range(12_000..20_000)));
    addresses
        .map(SocketAddr::from)
        .find_map(|address| TcpListener::bind(address).ok())
        .expect("a port that nobody has")
}

/// An address that nobody has.
fn unused() -> SocketAddr {
    listener().local_addr().expect("it is bound")
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
        Self::until("Ctrl-C ends", &[])
    }

    /// Lets it run a rollout, and returns when that has ended well.
    pub(crate) fn with_rollout(arguments: &[&str]) -> Self {
        Self::until(
            "the rollout has ended (0); Ctrl-C ends the rest",
            &[&["--"], arguments].concat(),
        )
    }

    fn until(wanted: &str, arguments: &[&str]) -> Self {
        let (prometheus, lab) = (unused(), unused());
        let mut script = Command::new(repository("scripts/observe"))
            .args(["--prometheus", &prometheus.to_string(), "--lab", &lab.to_string()])
            .args(["--grafana", "off"])
            .args(arguments)
            .env("WEBSAMPLE", env!("CARGO_BIN_EXE_websample"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let stdout = script.stdout.take().expect("a pipe");
        let mut observer =
            Self { script, said: Vec::new(), prometheus: Prometheus(prometheus), lab };
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            observer.said.push(line);
            if observer.said.last().is_some_and(|line| line == wanted) {
                return observer;
            }
        }
        panic!("it never said '{wanted}': {:?}", observer.said);
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
