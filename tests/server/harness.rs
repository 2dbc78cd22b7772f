//! The real server as a process, and a client that shows every byte.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Nothing that is awaited here takes longer, unless it never comes.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Lines of the log so far.
#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<Value>, bool)>,
    more: Condvar,
}

/// The framework under test. The same tests are built for each of them, which their name tells.
fn framework() -> &'static str {
    if env!("CARGO_CRATE_NAME").ends_with("_hyper") { "hyper" } else { "actix" }
}

/// A running `websample serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: Arc<Log>,
    pub(crate) app: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Server {
    /// Starts a server with these flags and waits until it is serving.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_websample"));
        command.arg("serve");
        Self::spawn(command, flags)
    }

    /// Starts a server by a command that ends with `websample serve`.
    pub(crate) fn spawn(mut command: Command, flags: &[&str]) -> Self {
        command
            .args(["--listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0"])
            .args(["--log.format", "json", "--workers", "2", "--framework", framework()])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("a pipe");
        let log = Arc::<Log>::default();
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("every log line is JSON");
                shared.lines.lock().unwrap_or_else(PoisonError::into_inner).0.push(line);
                shared.more.notify_all();
            }
            shared.lines.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            shared.more.notify_all();
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, log, app: unknown, admin: unknown };
        let started = server.logged(|line| line["message"] == "websample starts");
        let address = |key: &str| {
            let list = started[key].as_str().expect("a list of addresses");
            list.trim_matches(['[', ']']).parse().expect("one address")
        };
        (server.app, server.admin) = (address("listen"), address("admin"));
        server.reaches("serving");
        server
    }

    /// Waits for a log line.
    pub(crate) fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + LIMIT;
        let mut lines = self.log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.0.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            assert!(!lines.1, "the log ended without it: {:#?}", lines.0);
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it was not logged: {:#?}", lines.0);
            lines = self.log.more.wait_timeout(lines, left).expect("not poisoned").0;
        }
    }

    /// Waits until the server says that it is in a phase.
    pub(crate) fn reaches(&self, phase: &str) {
        self.logged(|line| line["message"] == "phase changed" && line["to"] == phase);
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("sent");
    }

    pub(crate) fn sigterm(&self) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("can be asked").is_none()
    }

    /// Waits for the exit; its code.
    pub(crate) fn exit(&mut self) -> i32 {
        let until = Instant::now() + LIMIT + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("can be asked") {
                return status.code().expect("it exited by itself");
            }
            assert!(Instant::now() < until, "it does not exit");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The drain report, once it is logged.
    pub(crate) fn report(&self) -> Value {
        let line = self.logged(|line| line["target"] == "websample::report");
        serde_json::from_str(line["report"].as_str().expect("a report")).expect("JSON")
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        request(self.app, "GET", path, &[], b"")
    }

    pub(crate) fn admin(&self, path: &str) -> Response {
        request(self.admin, "GET", path, &[], b"")
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.admin("/status").body).expect("JSON")
    }

    /// Waits until `/status` fulfils a condition.
    pub(crate) fn status_becomes(&self, what: &str, wanted: impl Fn(&Value) -> bool) {
        let until = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if wanted(&status) {
                return;
            }
            assert!(Instant::now() < until, "{what}: {status:#}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The value of a metric's series, as it stands in the text.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.admin("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let line = line.unwrap_or_else(|| panic!("{series} is not in\n{text}"));
        line.parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Connects; reads give up after the limit instead of hanging.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("it accepts");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    stream
}

/// Sends one request on a connection of its own, and reads the answer to its end.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut stream = connect(to);
    send(&mut stream, method, path, headers, body);
    response(&mut stream)
}

pub(crate) fn send(
    stream: &mut TcpStream,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).expect("sent");
    stream.write_all(body).expect("sent");
}

/// Reads one response with a length, or to the end of the connection.
pub(crate) fn response(stream: &mut TcpStream) -> Response {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1, "closed without an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let status = head[9..12].parse().expect("a status");
    let mut response = Response { status, head, body: String::new() };
    let length = response.header("content-length").map(|n| n.parse::<u64>().expect("a number"));
    match length {
        Some(length) => stream.take(length).read_to_string(&mut response.body).expect("a body"),
        None if status == 101 => 0,
        None => stream.read_to_string(&mut response.body).expect("a body"),
    };
    response
}
