//! Faults around a server: files that cannot be written, a clock that steps, names that nobody resolves.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::common::{raw::Client, server::Server};

/// Long enough for what has to be asked in it.
const LONG: [&str; 4] = ["--delay.min", "2s", "--delay.max", "2s"];

/// A library that is loaded before all others. In it the wall clock steps by an hour, back and forth, with
/// every look at it, and whoever resolves a name ends the process.
const SHIM: &str = r"
#define _GNU_SOURCE
#include <netdb.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int looks;
    int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += looks++ % 2 ? 3600 : -3600;
    return result;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    (void)name, (void)service, (void)hints, (void)found;
    abort();
}
";

/// The library, or `None` where there is no C compiler.
fn shim() -> Option<(TempDir, PathBuf)> {
    let directory = tempfile::tempdir().expect("a directory");
    let (source, library) = (directory.path().join("shim.c"), directory.path().join("shim.so"));
    std::fs::write(&source, SHIM).expect("written");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    match compiler.status() {
        Ok(status) => assert!(status.success(), "the shim is C"),
        Err(error) => {
            println!("skipped: there is no cc: {error}");
            return None;
        }
    }
    Some((directory, library))
}

/// Loses nothing of a kept connection, of one that is new, and of what is in flight; ends well.
fn drains(server: Server) -> crate::common::server::Ended {
    let mut kept = Client::to(server.app);
    assert_eq!(kept.get("/").status, 201);
    let mut slow = Client::to(server.app);
    slow.ask("/sleep/3");
    server.until_counts(1, 2);
    server.sigterm().phase("lame_duck");
    assert!(kept.get("/").says_close());
    assert_eq!(Client::to(server.app).get("/").status, 201);
    assert_eq!(slow.response().status, 201);
    server.wait().clean()
}

#[test]
fn a_clock_that_steps_moves_no_deadline_and_nobody_asks_for_names() {
    let Some((_directory, library)) = shim() else { return };
    let preload = format!("export LD_PRELOAD={}", library.display());
    let server = Server::start_after(&preload, &LONG);
    let ended = drains(server);
    // Measured by a clock that does not step.
    let took =
        ended.report["termination_seconds"].as_f64().unwrap_or_else(|| panic!("{}", ended.report));
    assert!((0.0..60.0).contains(&took), "{took} s");
}

#[test]
fn a_termination_message_that_cannot_be_written_costs_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let below_a_file = file.join("termination-log");
    for path in [directory.path(), Path::new("/dev/full"), &below_a_file] {
        let path = path.to_str().expect("text");
        drains(Server::start(&[&LONG[..], &["--termination_log", path]].concat()));
    }
}
