//! `websample serve` as a process.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{PATIENCE, raw::Client};

/// A shutdown short enough for a test. Later flags win, so a test may say otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("--listen", "127.0.0.1:0"),
    ("--admin.listen", "127.0.0.1:0"),
    ("--workers", "2"),
    ("--delay.min", "200ms"),
    ("--delay.quiet", "100ms"),
    ("--delay.max", "2s"),
    ("--log.format", "json"),
    ("--termination_log", "/nonexistent/termination-log"),
];

/// A server that is killed when the test ends.
pub(crate) struct Server {
    child: Child,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
    pub(crate) app: SocketAddr,
    pub(crate) admin: SocketAddr,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<Value>>,
    more: Condvar,
}

/// How a server ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// The drain report, if it wrote one.
    pub(crate) report: Value,
    pub(crate) log: Vec<Value>,
    /// From the call of `wait` to the exit.
    pub(crate) took: Duration,
}

impl Ended {
    /// Asserts a clean exit, and shows the report if it was not.
    #[track_caller]
    pub(crate) fn clean(self) -> Self {
        assert_eq!(self.code, Some(0), "{:#}", self.report);
        assert_eq!(self.report["outcome"], "clean", "{:#}", self.report);
        self
    }

    /// What was cut, by name.
    pub(crate) fn cut(&self) -> Vec<String> {
        let cut = self.report["cut"].as_array().cloned().unwrap_or_default();
        cut.iter().map(|item| item["what"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Requests that came, in any phase.
    pub(crate) fn arrived(&self) -> u64 {
        let phases = ["serving", "lame_duck", "draining"];
        phases.map(|phase| self.report["requests"][phase].as_u64().expect("a count")).iter().sum()
    }

    /// Requests that came while draining.
    pub(crate) fn late(&self) -> u64 {
        self.report["requests"]["draining"].as_u64().expect("a count")
    }
}

/// The binary under test: that of this build, or another one to measure.
pub(crate) fn binary() -> Command {
    let binary =
        std::env::var_os("WEBSAMPLE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_websample").into());
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name == "version" || name.to_string_lossy().starts_with("WEBSAMPLE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The framework under test. The same tests are built for each of them, which their name tells.
pub(crate) fn framework() -> &'static str {
    if env!("CARGO_CRATE_NAME").ends_with("_hyper") { "hyper" } else { "actix" }
}

impl Server {
    /// Starts a server with these flags and waits until it serves.
    #[track_caller]
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_as(binary(), flags)
    }

    /// The same, with a shell's words before it, such as `ulimit -n 64`.
    #[track_caller]
    pub(crate) fn start_after(words: &str, flags: &[&str]) -> Self {
        let plain = binary();
        let mut command = Command::new("sh");
        command.args(["-ec", &format!("{words}; exec \"$0\" \"$@\"")]).arg(plain.get_program());
        Self::start_as(command, flags)
    }

    #[track_caller]
    pub(crate) fn start_as(command: Command, flags: &[&str]) -> Self {
        Self::start_with(command, flags, |_| true)
    }

    /// The same, and only these lines of the log are kept. A server drops what nobody takes in time,
    /// so under load others have to be let go of quickly.
    #[track_caller]
    pub(crate) fn start_with(mut command: Command, flags: &[&str], keep: fn(&str) -> bool) -> Self {
        command.args(["serve", "--framework", framework()]);
        for (flag, value) in DEFAULTS {
            if !flags.contains(flag) {
                command.args([flag, value]);
            }
        }
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server's binary");
        let log = Arc::<Log>::default();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in stdout.lines().map_while(Result::ok).filter(|line| keep(line)) {
                    let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    log.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    log.more.notify_all();
                }
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self { child, log, reader: Some(reader), app: nowhere, admin: nowhere };
        let starts = server.log_line(|line| line["message"] == "websample starts");
        server.app = first_address(&starts["listen"]).expect("a traffic listener");
        server.admin = first_address(&starts["admin"]).unwrap_or(nowhere);
        server.phase("serving");
        server
    }

    /// Waits for a log line.
    #[track_caller]
    pub(crate) fn log_line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the line never came; the log: {lines:#?}");
            lines =
                self.log.more.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a phase to begin.
    #[track_caller]
    pub(crate) fn phase(&self, name: &str) -> &Self {
        self.log_line(|line| line["message"] == "phase changed" && line["to"] == name);
        self
    }

    /// Everything that was logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.look(<[Value]>::to_vec)
    }

    /// Looks at everything that was logged so far: it may be much.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&[Value]) -> R) -> R {
        look(&self.log.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many lines say that a phase has begun.
    pub(crate) fn times_in_phase(&self, name: &str) -> usize {
        let begins = |line: &&Value| line["message"] == "phase changed" && line["to"] == name;
        self.log().iter().filter(begins).count()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) -> &Self {
        kill_process(Pid::from_child(&self.child), signal).expect("it is alive");
        self
    }

    pub(crate) fn sigterm(&self) -> &Self {
        self.signal(Signal::TERM)
    }

    /// Holds the whole process still: what clients send meanwhile waits in the kernel.
    pub(crate) fn freeze(&self) -> &Self {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        super::eventually("the process stands still", || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        });
        self
    }

    pub(crate) fn thaw(&self) -> &Self {
        self.signal(Signal::CONT)
    }

    /// What `/status` says.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        let response = Client::to(self.admin).get("/status");
        serde_json::from_slice(&response.body).expect("JSON")
    }

    /// Waits until `/status` says something.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        super::eventually(what, || holds(&self.status()));
    }

    /// Waits for so many requests in flight and connections.
    #[track_caller]
    pub(crate) fn until_counts(&self, requests: u64, connections: u64) {
        let mut last = Value::Null;
        let start = Instant::now();
        loop {
            let status = self.status();
            let now = [&status["in_flight"]["requests"], &status["connections"]];
            if now[0] == requests && now[1] == connections {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "counts never came, last: {last}");
            last = serde_json::json!(now);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of the process, which somebody has asked for.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let start = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status.code();
            }
            assert!(start.elapsed() < 2 * PATIENCE, "it does not end: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = start.elapsed();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it does not panic");
        }
        let log = std::mem::take(&mut *self.log.lines.lock().expect("nobody panicked with it"));
        let report = log.iter().find(|line| line["target"] == "websample::report");
        let report = report.and_then(|line| serde_json::from_str(line["report"].as_str()?).ok());
        Ended { code, report: report.unwrap_or(Value::Null), log, took }
    }

    /// Waits for the end of the process, and asserts that it is a clean one.
    #[track_caller]
    pub(crate) fn exits(&mut self) {
        let mut code = None;
        super::eventually("the process ends", || {
            code = self.child.try_wait().expect("it can be waited for");
            code.is_some()
        });
        assert_eq!(code.and_then(|code| code.code()), Some(0), "{:#?}", self.log());
    }

    /// SIGTERM, and then the end.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.sigterm();
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already dead, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Addresses are logged as a list: `[127.0.0.1:5000]`.
fn first_address(logged: &Value) -> Option<SocketAddr> {
    logged.as_str()?.trim_matches(['[', ']']).split(", ").next()?.parse().ok()
}
