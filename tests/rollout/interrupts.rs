//! Whoever ends the lab in the middle finds nothing left of it.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::harness::{Lab, PATIENCE, Process, Ran, gone};

/// Waits until nobody listens there. A killed process shows as gone when its first thread is, and
/// its sockets go with the last.
fn free(address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = TcpListener::bind(address) {
        assert!(Instant::now() < deadline, "{address}: {error}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Interrupts a rollout that is under way, and checks that all that it started is gone.
fn interrupted_by(signal: Signal) -> Ran {
    // `ignore` would go on for 30 s, and no SIGTERM ends it.
    let mut lab = Lab::start(&[], &["--modes", "drain,ignore", "--rate", "40"]);
    lab.is_rolling_out();
    let children = lab.children();
    let listeners: Vec<_> = children.iter().filter_map(Process::listens_at).collect();
    assert!(listeners.len() >= 8, "two clusters of four pods: {children:?}");
    lab.send(signal);
    let ran = lab.end();
    gone(&children);
    for address in listeners {
        free(address);
    }
    assert!(ran.out.is_empty() && !ran.report_file().exists(), "{ran:?}");
    ran
}

#[test]
fn ctrl_c_is_130_and_leaves_nothing() {
    let ran = interrupted_by(Signal::SIGINT);
    assert_eq!(ran.code, Some(130), "{ran:?}");
    let last = ran.err.lines().last().unwrap();
    assert_eq!(
        last,
        "websample: interrupted by SIGINT; everything that was started has been stopped"
    );
}

#[test]
fn sigterm_is_143_and_leaves_nothing() {
    let ran = interrupted_by(Signal::SIGTERM);
    assert_eq!(ran.code, Some(143), "{ran:?}");
    assert!(ran.err.lines().last().unwrap().contains("interrupted by SIGTERM"), "{ran:?}");
}

#[test]
fn after_sigkill_the_watchdog_ends_the_pods() {
    let ran = interrupted_by(Signal::SIGKILL);
    assert_eq!(ran.code, None, "{ran:?}");
}

/// As PID 1 of a container, whose end ends everything in it; an image of the lab alone has no shell.
#[test]
fn as_the_first_process_of_a_container_it_needs_no_shell() {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-ec", script])
            .env("WEBSAMPLE", env!("CARGO_BIN_EXE_websample"));
        command
    };
    if !unshare("true").output().is_ok_and(|output| output.status.success()) {
        // Not by a macro, whose output the test runner keeps to itself.
        let _ =
            writeln!(std::io::stderr(), "skipped: only root may have namespaces of its own here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mix = "--mix '20/s new GET /'";
    let script = format!(
        "mount --bind \"$(type -P false)\" \"$(readlink -f /bin/sh)\"
         ! /bin/sh -c true
         exec \"$WEBSAMPLE\" rollout --modes immediate --replicas 1 {mix}"
    );
    let output = unshare(&script).current_dir(directory.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(directory.path().join("websample-rollout/report.html").is_file());
}
