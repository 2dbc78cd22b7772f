//! However a server ends: what it has answered is in its log, and the log is in order.

use std::{
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use serde_json::Value;

use crate::common::{
    eventually,
    raw::Client,
    server::{Ended, Server},
};

/// Requests that are answered before the end begins.
const BEFORE: u64 = 2_000;

/// Two clients ask as fast as they are answered, on connections that they keep, until they are left.
/// How many answers they had, and how the server ended.
fn busy_until(server: Server, end: impl FnOnce(&Server)) -> (u64, Ended) {
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut client = Client::to(server.app);
            let answered = &answered;
            scope.spawn(move || {
                loop {
                    let asked = client.stream().write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
                    let Ok(response) = asked.and_then(|()| client.try_response()) else { return };
                    assert_eq!(response.status, 201);
                    answered.fetch_add(1, Ordering::Relaxed);
                    if response.says_close() {
                        client = match Client::try_to(server.app) {
                            Ok(client) => client,
                            Err(_) => return,
                        };
                    }
                }
            });
        }
        eventually("they are busy", || answered.load(Ordering::Relaxed) >= BEFORE);
        end(&server);
    });
    (answered.into_inner(), server.wait())
}

fn has_them_all(busy: (u64, Ended), code: i32) {
    lacks_at_most(0, busy, code);
}

fn lacks_at_most(missing: u64, (answered, ended): (u64, Ended), code: i32) {
    assert_eq!(ended.code, Some(code), "{:#}", ended.report);
    let lines = ended.log.iter().filter(|line| line["target"] == "websample::request");
    let lines = lines.filter(|line| line["status"] == 201).count() as u64;
    assert!(lines + missing >= answered, "{lines} lines for {answered} answers");
    let times: Vec<&str> = ended.log.iter().filter_map(|line| line["timestamp"].as_str()).collect();
    assert_eq!(times.len(), ended.log.len(), "whole lines");
    let back = times.windows(2).filter(|two| two[0] > two[1]).count();
    // Two threads that log at the same moment, while their lines are fetched.
    assert!(back * 100 <= times.len(), "{back} of {} lines are before their turn", times.len());
    assert!(!ended.log.iter().any(|line: &Value| line["message"] == "log lines were dropped"));
}

fn terminate(server: &Server) {
    server.sigterm();
}

/// What cannot end before it is cut.
fn hold(server: &Server) -> Client {
    let mut slow = Client::to(server.app);
    slow.ask("/sleep/60");
    server.until("it is in flight", |status| status["in_flight"]["requests"] != 0);
    slow
}

#[test]
fn nothing_is_missing_from_the_log_of_a_clean_end() {
    let server = Server::start(&["--workers", "2"]);
    has_them_all(busy_until(server, terminate), 0);
}

#[test]
fn nothing_is_missing_from_the_log_when_something_is_cut() {
    let flags = ["--grace_period", "2s", "--margin", "1s", "--delay.max", "500ms"];
    let server = Server::start(&[&["--workers", "2"], &flags[..]].concat());
    let _slow = hold(&server);
    has_them_all(busy_until(server, terminate), 3);
}

#[test]
fn nothing_is_missing_from_the_log_when_a_second_signal_forces_the_exit() {
    let server = Server::start(&["--workers", "2"]);
    let _slow = hold(&server);
    let end = |server: &Server| terminate(server.sigterm().phase("draining"));
    has_them_all(busy_until(server, end), 143);
}

/// This mode asks nobody to stop: what is answered after the log's last line is without one.
#[test]
fn no_more_than_the_last_moment_is_missing_from_the_log_of_an_exit_at_once() {
    let server = Server::start(&["--workers", "2", "--mode", "immediate"]);
    lacks_at_most(20, busy_until(server, terminate), 143);
}
