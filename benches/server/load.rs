//! Load from h2load.

use std::{
    net::SocketAddr,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

/// No run takes longer, even under valgrind.
const LIMIT: Duration = Duration::from_secs(120);

/// What is asked of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    path: &'static str,
    /// File with the body of a POST.
    posts: bool,
    protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

pub(crate) const GET: Load =
    Load { name: "HTTP/1.1 GET", path: "/", posts: false, protocol: Protocol::Http1 };
pub(crate) const POST: Load =
    Load { name: "HTTP/1.1 POST /echo", path: "/echo", posts: true, protocol: Protocol::Http1 };
pub(crate) const H2C: Load =
    Load { name: "HTTP/2 GET", path: "/", posts: false, protocol: Protocol::Http2 };

/// Enough that the server always has something to do.
const CONNECTIONS: [&str; 2] = ["--clients", "32"];
const STREAMS: [&str; 4] = ["--clients", "8", "--max-concurrent-streams", "16"];

/// 256 bytes, as many as a small form has.
const BODY: [u8; 256] = [b'x'; 256];

impl Load {
    pub(crate) const fn is_http2(self) -> bool {
        matches!(self.protocol, Protocol::Http2)
    }

    /// Sends this many requests and gives how many were answered in a second.
    ///
    /// `before` is a program and its arguments that h2load is run under.
    pub(crate) fn run(self, address: SocketAddr, requests: u64, before: &[&str]) -> Result<f64> {
        let mut command = match before {
            [] => Command::new("h2load"),
            [tool, arguments @ ..] => {
                let mut command = Command::new(tool);
                command.args(arguments).arg("h2load");
                command
            }
        };
        command.args(["--requests", &requests.to_string(), "--threads", "1"]);
        match self.protocol {
            Protocol::Http1 => command.arg("--h1").args(CONNECTIONS),
            Protocol::Http2 => command.args(STREAMS),
        };
        // h2load wants a file; it lives until the run has ended.
        let body = tempfile::NamedTempFile::new()?;
        if self.posts {
            std::fs::write(body.path(), BODY)?;
            command.arg("--data").arg(body.path()).args(["--header", "content-type: text/plain"]);
        }
        command.arg(format!("http://{address}{}", self.path));
        let output = bounded(command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "h2load failed: {}\n{text}", output.status);
        let answered = format!(" {requests} succeeded,");
        ensure!(text.contains(&answered), "not every request was answered:\n{text}");
        let rate = text.lines().find_map(|line| {
            let (_, rest) = line.strip_prefix("finished in ")?.split_once(", ")?;
            rest.split_once(" req/s")?.0.parse().ok()
        });
        rate.with_context(|| format!("h2load's output is not understood:\n{text}"))
    }
}

/// Runs a program that writes little, for a limited time.
fn bounded(mut command: Command) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?} could not be started"))?;
    let began = Instant::now();
    while child.try_wait()?.is_none() {
        if began.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            bail!("{command:?} took longer than {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(child.wait_with_output()?)
}
