//! Whoever ends the lab in the middle finds nothing left of it.

use std::{
    net::{SocketAddr, TcpListener},
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
