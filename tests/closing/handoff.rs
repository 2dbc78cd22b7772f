//! Restarts that close no port.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    busy::{Load, Protocol},
    common::{
        self, eventually,
        raw::Client,
        server::{Server, binary},
        tls,
    },
};

const TAKES_OVER: &str = "the successor is ready and takes over";
const STARTS: &str = "the successor starts";
const FAILED: &str = "the successor has failed; serving on";

/// A server and all that have succeeded it; they write to one log.
struct Service {
    server: Server,
    handoffs: usize,
}

impl Service {
    fn start(flags: &[&str]) -> Self {
        let keep = |line: &str| !line.contains("\"target\":\"websample::request\"");
        Self { server: Server::start_with(binary(), flags, keep), handoffs: 0 }
    }

    fn lines(&self, message: &str) -> Vec<Value> {
        let wanted = |line: &&Value| line["message"] == message;
        self.server.look(|log| log.iter().filter(wanted).cloned().collect())
    }

    fn wait_for(&self, message: &str, times: usize) {
        eventually(&format!("{message}, {times} times"), || self.lines(message).len() >= times);
    }

    /// The process that serves now.
    fn pid(&self) -> u32 {
        let last = self.lines(TAKES_OVER).last().and_then(|line| line["pid"].as_u64());
        last.map_or(self.server.pid(), |pid| pid as u32)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("it is alive");
    }

    /// Restarts it, and waits until the next process serves.
    fn hand_over(&mut self) {
        self.signal(Signal::USR2);
        self.handoffs += 1;
        self.wait_for(TAKES_OVER, self.handoffs);
    }

    /// The reports of those that have left.
    fn reports(&self) -> Vec<Value> {
        self.server.look(|log| {
            let reports = log.iter().filter(|line| line["target"] == "websample::report");
            let text = reports.filter_map(|line| line["report"].as_str());
            text.map(|report| serde_json::from_str(report).expect("JSON")).collect()
        })
    }

    /// Waits until all but the last have left, each of them in peace.
    #[track_caller]
    fn all_others_leave(&self) {
        eventually("the others leave", || self.reports().len() >= self.handoffs);
        for report in self.reports() {
            assert_eq!(report["outcome"], "clean", "{report:#}");
            assert_eq!(report["cause"], "handoff", "{report:#}");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let started = self.lines(STARTS);
        let started: BTreeSet<_> = started.iter().filter_map(|line| line["pid"].as_u64()).collect();
        for pid in started {
            // Most of them have left, and their numbers may be somebody else's.
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if command.contains("--admin.listen")
                && let Some(pid) = Pid::from_raw(pid as i32)
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// A program that stands for the next version; it may be written anew.
struct Next {
    directory: tempfile::TempDir,
}

impl Next {
    fn new(script: &str) -> Self {
        let next = Self { directory: tempfile::tempdir().expect("a directory") };
        next.becomes(script);
        next
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("next")
    }

    /// Puts another program in its place, as a deployment does.
    fn becomes(&self, script: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("permitted");
        fs::rename(&new, self.path()).expect("in its place");
    }

    fn flags<'a>(path: &'a Path, others: &[&'a str]) -> Vec<&'a str> {
        [&["--handoff.program", path.to_str().expect("text")][..], others].concat()
    }
}

/// The server under test as another version.
fn version(name: &str) -> String {
    let binary = binary();
    format!("WEBSAMPLE_VERSION={name} exec {} \"$@\"", binary.get_program().display())
}

#[test]
fn the_next_version_serves_on_the_same_sockets() {
    let next = Next::new(&version("v2"));
    let path = next.path();
    let mut service = Service::start(&Next::flags(&path, &[]));
    let (app, admin) = (service.server.app, service.server.admin);
    assert_eq!(Client::to(app).get("/").status, 201);
    service.hand_over();
    assert_eq!(Client::to(app).get("/").status, 202);
    assert_eq!(Client::to(app).get("/readiness").status, 200);
    assert_eq!(Client::to(admin).get("/readiness").status, 200);
    service.all_others_leave();
    assert_eq!(Client::to(app).get("/").status, 202);
    assert_eq!(Client::to(admin).get("/status").status, 200);
    service.server.exits();
}

#[test]
fn open_connections_are_told_to_leave_while_the_address_is_ready() {
    let mut service = Service::start(&["--delay.min", "1s"]);
    let mut app = Client::to(service.server.app);
    let mut second = Client::to(service.server.app);
    let mut admin = Client::to(service.server.admin);
    for client in [&mut app, &mut second, &mut admin] {
        let ready = client.get("/readiness");
        assert_eq!((ready.status, ready.says_close()), (200, false));
    }
    service.hand_over();
    // Asked on an old connection, which is the old process'.
    for (client, path) in [(&mut app, "/readiness"), (&mut second, "/"), (&mut admin, "/readiness")]
    {
        let answer = client.get(path);
        assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
        assert!(answer.says_close(), "{path}: {answer:?}");
        client.ends();
    }
    service.all_others_leave();
}

#[test]
fn what_is_in_flight_is_finished_by_the_old_process() {
    let next = Next::new(&version("v2"));
    let path = next.path();
    let mut service = Service::start(&Next::flags(&path, &[]));
    let mut slow = Client::to(service.server.app);
    slow.ask("/sleep/1");
    service.server.until_counts(1, 1);
    service.hand_over();
    assert_eq!(Client::to(service.server.app).get("/").status, 202);
    let answer = slow.response();
    assert_eq!((answer.status, answer.says_close()), (201, true));
    slow.ends();
    service.all_others_leave();
}

#[test]
fn the_accept_queue_is_kept() {
    let mut service = Service::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    for _ in 0..common::count(3, 30) {
        let pid = Pid::from_raw(service.pid().cast_signed()).expect("a process");
        kill_process(pid, Signal::STOP).expect("it is alive");
        let mut clients: Vec<_> = (0..200).map(|_| Client::to(service.server.app)).collect();
        for client in &mut clients {
            client.ask("/");
        }
        // Both come when it runs on: the connections, and the wish that it leaves.
        kill_process(pid, Signal::USR2).expect("it is alive");
        kill_process(pid, Signal::CONT).expect("it is alive");
        service.handoffs += 1;
        service.wait_for(TAKES_OVER, service.handoffs);
        for client in &mut clients {
            assert_eq!(client.response().status, 201);
            client.finish();
        }
        service.all_others_leave();
    }
}

#[track_caller]
fn nothing_is_lost(protocol: Protocol) {
    let pair = tls::Pair::new("handoff");
    // The long run may share its machine: a client that gets no processor for longer than the lame
    // duck lasts has not been told.
    let delay: &[_] =
        if common::full() { &["--delay.min", "2s", "--delay.max", "5s"] } else { &[] };
    let flags = if protocol.is_tls() { pair.flags(delay) } else { delay.to_vec() };
    let mut service = Service::start(&flags);
    let load = Load::begin(protocol, service.server.app);
    let handoffs = common::count(4, 250);
    for _ in 0..handoffs {
        load.until(load.answered() + 200);
        service.hand_over();
        service.all_others_leave();
    }
    load.until(load.answered() + 200);
    let (answered, lost) = load.end();
    println!("{protocol:?}: {handoffs} handoffs, {answered} requests, {} lost", lost.len());
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {:?} …",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
}

#[test]
fn clients_that_connect_for_each_request_lose_nothing() {
    nothing_is_lost(Protocol::Once);
}

#[test]
fn http1_clients_that_move_when_told_lose_nothing() {
    nothing_is_lost(Protocol::Http1);
}

#[test]
fn http2_clients_that_move_when_told_lose_nothing() {
    nothing_is_lost(Protocol::Http2);
}

#[test]
fn http1_tls_clients_that_move_when_told_lose_nothing() {
    nothing_is_lost(Protocol::Http1Tls);
}

#[test]
fn a_next_version_that_fails_leaves_the_old_one_serving() {
    let next = Next::new("exit 1");
    let path = next.path();
    let mut service = Service::start(&Next::flags(&path, &["--handoff.timeout", "300ms"]));
    let load = Load::begin(Protocol::Once, service.server.app);
    let bad_setting = format!("WEBSAMPLE_LINGER=nonsense {}", version("v2"));
    let mut failures = 0;
    for _ in 0..common::count(1, 25) {
        for (script, why) in [
            ("exit 1", "it has ended before it was ready (exit status: 1)"),
            (bad_setting.as_str(), "it has ended before it was ready (exit status: 64)"),
            ("kill -9 $$", "it has ended before it was ready (signal: 9 (SIGKILL))"),
            ("exec sleep 60", "it was not ready within 0.3 s"),
        ] {
            next.becomes(script);
            load.until(load.answered() + 50);
            service.signal(Signal::USR2);
            failures += 1;
            service.wait_for(FAILED, failures);
            let line = service.lines(FAILED).pop().expect("it was waited for");
            assert_eq!(line["failure"], why, "{script}");
        }
    }
    fs::remove_file(&path).expect("it was there");
    service.signal(Signal::USR2);
    service.wait_for(FAILED, failures + 1);
    let line = service.lines(FAILED).pop().expect("it was waited for");
    assert!(
        line["failure"].as_str().unwrap_or_default().starts_with("it cannot be started"),
        "{line}"
    );
    load.until(load.answered() + 50);
    let (answered, lost) = load.end();
    println!("{} failed versions, {answered} requests, {} lost", failures + 1, lost.len());
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(service.server.times_in_phase("lame_duck"), 0);

    // Nothing of the failures is in the way of one that works.
    next.becomes(&version("v2"));
    service.hand_over();
    assert_eq!(Client::to(service.server.app).get("/").status, 202);
}

#[test]
fn a_termination_ends_the_successor_that_is_not_ready_yet() {
    for mode in ["drain", "graceful"] {
        let next = Next::new("exec sleep 60");
        let path = next.path();
        let mut service = Service::start(&Next::flags(&path, &["--mode", mode]));
        service.signal(Signal::USR2);
        service.wait_for(STARTS, 1);
        let starts = service.lines(STARTS).pop().expect("it was waited for");
        service.server.sigterm();
        service.server.exits();
        let cmdline = format!("/proc/{}/cmdline", starts["pid"]);
        eventually("the successor ends", || {
            // Empty where nobody has asked yet how it has ended.
            std::fs::read_to_string(&cmdline).unwrap_or_default().is_empty()
        });
        assert_eq!(service.lines(TAKES_OVER).len(), 0, "{mode}");
        let report = service.reports().pop().expect("a report");
        assert_eq!((&report["cause"], &report["exit_code"]), (&"signal".into(), &0.into()));
    }
}

#[test]
fn a_server_that_has_taken_over_serves_its_queue_when_it_goes_for_good() {
    let mut service = Service::start(&["--delay.min", "0s", "--delay.quiet", "0s"]);
    service.hand_over();
    service.all_others_leave();
    let pid = Pid::from_raw(service.pid().cast_signed()).expect("a process");
    kill_process(pid, Signal::STOP).expect("it is alive");
    let mut clients: Vec<_> = (0..100).map(|_| Client::to(service.server.app)).collect();
    for client in &mut clients {
        client.ask("/");
    }
    kill_process(pid, Signal::TERM).expect("it is alive");
    kill_process(pid, Signal::CONT).expect("it is alive");
    for client in &mut clients {
        assert_eq!(client.response().status, 201);
        client.ends();
    }
    eventually("it leaves", || service.reports().len() == 2);
    assert_eq!(service.reports()[1]["cause"], "signal");
    assert!(Client::try_to(service.server.app).is_err(), "nobody listens any more");
}

#[test]
fn modes_that_lose_requests_hand_nothing_over() {
    for mode in ["ignore", "immediate"] {
        let service = Service::start(&["--mode", mode]);
        service.signal(Signal::USR2);
        service.wait_for("SIGUSR2 received and ignored", 1);
        assert_eq!(Client::to(service.server.app).get("/").status, 201);
        assert_eq!(service.lines(STARTS).len(), 0);
    }
}
