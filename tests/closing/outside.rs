//! What is around a server and goes wrong: the log's reader, files that are none, descriptors that run
//! out, a process that is stopped.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::{
    PATIENCE, eventually,
    raw::Client,
    server::{Server, binary},
    tls::{Pair, make, shown_by},
};

const QUICK: [&str; 8] =
    ["--delay.min", "200ms", "--delay.quiet", "50ms", "--delay.max", "1s", "--log.format", "json"];

/// A server whose output is this test's business.
struct Process {
    child: Child,
    app: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    fn start(mut command: Command, flags: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        // Free now, and asked for in a moment: nobody else in these tests binds a chosen port.
        let [app, admin] = [(), ()].map(|()| {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("it is bound")
        });
        let child = command
            .arg("serve")
            .args(["--listen", &app.to_string(), "--admin.listen", &admin.to_string()])
            .args(QUICK)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("the server's binary");
        let process = Self { child, app, admin };
        eventually("it is ready", || {
            Client::try_to(admin).is_ok_and(|mut client| client.get("/readiness").status == 200)
        });
        process
    }

    fn sigterm(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is alive");
    }

    fn exit(mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Answers before, in and after the lame duck, and ends well.
    fn drains(self, report: &Path) {
        let mut kept = Client::to(self.app);
        for _ in 0..200 {
            assert_eq!(kept.get("/").status, 201);
        }
        let mut slow = Client::to(self.app);
        slow.ask("/sleep/1");
        eventually("it is in flight", || {
            let status = Client::to(self.admin).get("/status");
            let status: Value = serde_json::from_slice(&status.body).expect("JSON");
            status["in_flight"]["requests"] == 1
        });
        self.sigterm();
        eventually("readiness is off", || Client::to(self.admin).get("/readiness").status == 503);
        assert!(kept.get("/").says_close());
        assert_eq!(slow.response().status, 201);
        assert_eq!(self.exit(), Some(0));
        let report = fs::read_to_string(report).expect("a termination message");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["outcome"], "clean");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already dead, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with an empty termination message, as the kubelet makes one.
fn termination_log() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("termination-log");
    fs::write(&path, "").expect("made");
    let text = path.to_str().expect("text").to_owned();
    (directory, text)
}

#[test]
fn a_log_that_nobody_reads_any_more_costs_nothing() {
    let (_directory, log) = termination_log();
    let mut process =
        Process::start(binary(), &["--termination_log", &log], Stdio::piped(), Stdio::piped());
    // `websample serve 2>&1 | head -1`
    drop((process.child.stdout.take(), process.child.stderr.take()));
    process.drains(Path::new(&log));
}

#[test]
fn a_full_disk_costs_nothing() {
    let (_directory, log) = termination_log();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let flags = ["--termination_log", &log];
    let process = Process::start(binary(), &flags, full().into(), full().into());
    process.drains(Path::new(&log));
}

#[test]
fn a_reader_of_the_log_that_sleeps_holds_nothing_up_and_hears_what_it_missed() {
    let mut process = Process::start(binary(), &[], Stdio::piped(), Stdio::inherit());
    let mut client = Client::to(process.app);
    let mut asked = 0_u64;
    let dropped = || {
        let metrics = Client::to(process.admin).get("/metrics");
        let text = String::from_utf8(metrics.body).expect("text");
        let line = text.lines().find_map(|l| l.strip_prefix("websample_log_lines_dropped_total "));
        line.expect("the family").parse::<f64>().expect("a number")
    };
    // The pipe takes 64 KiB, the queue some thousand lines.
    while dropped() == 0.0 {
        for _ in 0..1_000 {
            assert_eq!(client.get("/").status, 201);
        }
        asked += 1_000;
        assert!(asked < 100_000, "where does it keep them?");
    }
    let mut slow = Client::to(process.app);
    slow.ask("/sleep/1");
    // Now somebody reads.
    let reader = BufReader::new(process.child.stdout.take().expect("piped"));
    let lines =
        std::thread::spawn(move || reader.lines().map_while(Result::ok).collect::<Vec<_>>());
    assert_eq!(slow.response().status, 201);
    process.sigterm();
    assert_eq!(process.exit(), Some(0));
    let lines: Vec<Value> = lines
        .join()
        .expect("no panic")
        .iter()
        .map(|line| serde_json::from_str(line).expect("whole lines"))
        .collect();
    let told = lines.iter().filter(|line| line["target"] == "websample::log");
    let told: u64 = told.filter_map(|line| line["lines"].as_u64()).sum();
    let requests = lines.iter().filter(|line| line["target"] == "websample::request").count();
    assert!(told > 0);
    assert_eq!(requests as u64 + told, asked + 1, "each is there or is told of");
    assert!(lines.iter().any(|line| line["target"] == "websample::report"), "the last lines");
}

#[test]
fn a_stuck_reader_of_the_log_does_not_hold_the_exit() {
    let (_directory, log) = termination_log();
    let flags = ["--termination_log", &log];
    let mut process = Process::start(binary(), &flags, Stdio::piped(), Stdio::inherit());
    // Held open, and never read.
    let _reader = process.child.stdout.take();
    let mut client = Client::to(process.app);
    for _ in 0..2_000 {
        assert_eq!(client.get("/").status, 201);
    }
    process.drains(Path::new(&log));
}

#[test]
fn a_termination_log_that_is_a_pipe_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = directory.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("coreutils");
    assert!(made.success());
    let server = Server::start(&["--termination_log", pipe.to_str().expect("text")]);
    let ended = server.stop().clean();
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
    let warned = |line: &&Value| line["message"] == "no termination message written";
    assert!(ended.log.iter().any(|line| warned(&line)));
}

#[test]
fn a_certificate_that_becomes_a_pipe_is_refused_and_blocks_nobody() {
    let pair = Pair::new("one");
    let server = Server::start(&pair.flags(&[]));
    let first = shown_by(server.app);
    fs::remove_file(pair.cert()).expect("removed");
    assert!(Command::new("mkfifo").arg(pair.cert()).status().expect("coreutils").success());
    server.log_line(|line| {
        line["message"].as_str().is_some_and(|text| text.contains("certificate not reloaded"))
    });
    assert_eq!(shown_by(server.app), first, "the old one stays");
    assert_eq!(Client::to(server.admin).get("/liveness").status, 200);
    fs::remove_file(pair.cert()).expect("removed");
    let (cert, key) = make("two");
    fs::write(pair.key(), key).expect("written");
    fs::write(pair.cert(), cert).expect("written");
    eventually("the new one is shown", || shown_by(server.app) != first);
    server.stop().clean();
}

#[test]
fn idle_clients_at_the_limit_of_open_files_leave_the_probes_their_own() {
    let server = Server::start_after("ulimit -n 64", &["--workers", "1"]);
    let mut kept: Vec<_> = (0..60).map(|_| Client::to(server.app)).collect();
    assert_eq!(kept[0].get("/").status, 201);
    for _ in 0..20 {
        assert_eq!(Client::to(server.admin).get("/liveness").status, 200);
        assert_eq!(Client::to(server.admin).get("/readiness").status, 200);
    }
    // Those that wait have their turn when others go.
    kept.drain(..50);
    assert_eq!(kept.last_mut().expect("ten").get("/").status, 201);
    drop(kept);
    server.stop().clean();
}

#[test]
fn what_is_due_when_a_stopped_process_goes_on_is_answered_and_not_cut() {
    let server = Server::start(&["--grace_period", "3s", "--margin", "1s", "--delay.max", "500ms"]);
    let mut client = Client::to(server.app);
    client.ask("/sleep/1.5");
    server.until_counts(1, 1);
    server.sigterm().phase("draining");
    server.freeze();
    std::thread::sleep(Duration::from_millis(2_500));
    server.thaw();
    assert_eq!(client.response().status, 201);
    let ended = server.wait().clean();
    assert_eq!(ended.report["cut_total"], 0);
}

#[test]
fn sigterm_long_after_a_stray_hook_has_its_whole_time() {
    let server = Server::start(&[
        "--grace_period",
        "10s",
        "--margin",
        "2s",
        "--delay.min",
        "1s",
        "--delay.quiet",
        "200ms",
        "--delay.max",
        "2s",
    ]);
    let hook = Client::to(server.admin).get("/prestop");
    assert_eq!(hook.status, 200);
    let answered = Instant::now();
    // Just before the stray hook's own deadline, 8 s after its call.
    std::thread::sleep(Duration::from_millis(5_900).saturating_sub(answered.elapsed()));
    let mut client = Client::to(server.app);
    client.ask("/sleep/3");
    server.until_counts(1, 1);
    std::thread::sleep(Duration::from_millis(6_500).saturating_sub(answered.elapsed()));
    server.sigterm();
    assert_eq!(client.response().status, 201);
    server.wait().clean();
}

/// As PID 1 of a namespace of its own, where the kernel discards signals that nobody handles.
fn pid_1() -> Option<Command> {
    let works = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "true"])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        println!("skipped: this user may not make a PID namespace");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(binary().get_program());
    Some(command)
}

#[test]
fn sigterm_in_its_first_moments_reaches_pid_1() {
    for round in 0..20 {
        let Some(mut command) = pid_1() else { return };
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin.listen", "off"])
            .args(QUICK)
            .args(["--mode", "graceful"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        // The server is unshare's only child; it is there as soon as it is seen.
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let mut server = None;
        eventually("the server is there", || {
            let text = fs::read_to_string(&children).unwrap_or_default();
            server = text.trim().parse().ok().and_then(Pid::from_raw);
            server.is_some()
        });
        let server = server.expect("it was seen");
        // Its program has replaced unshare's, and its handlers are the first thing it makes.
        let status = format!("/proc/{}/status", server.as_raw_nonzero());
        eventually("it catches SIGTERM", || {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
            caught.is_some_and(|mask| {
                u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & (1 << 14) != 0)
            })
        });
        std::thread::sleep(Duration::from_micros(200 * round));
        kill_process(server, Signal::TERM).expect("it is alive");
        let start = Instant::now();
        let code = loop {
            if let Some(status) = child.try_wait().expect("it can be waited for") {
                break status.code();
            }
            assert!(start.elapsed() < PATIENCE, "SIGTERM was lost in round {round}");
            std::thread::sleep(Duration::from_millis(2));
        };
        let mut log = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut log).expect("text");
        assert_eq!(code, Some(0), "round {round}: {log}");
    }
}
