//! slowhttptest's three attacks, with a good client beside them and a drain in the middle.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    common::{count, raw::Client, server::Server},
    program::{Running, find},
};

/// The deadline comes 6 s after the signal.
const FLAGS: [&str; 10] = [
    "--grace_period",
    "8s",
    "--margin",
    "2s",
    "--delay.min",
    "500ms",
    "--delay.max",
    "2s",
    "--limits.body",
    "1MiB",
];

fn attack(mode: &[&str]) {
    let Some(program) = find("slowhttptest") else { return };
    let server = Server::start(&FLAGS);
    let connections = count(200, 1_000).to_string();
    let attackers = Running::start(
        Command::new(program)
            .args(["-c", &connections, "-r", "500", "-i", "1", "-l", "60", "-p", "2"])
            .args(mode)
            .args(["-u", &format!("http://{}/echo", server.app)])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    server.until("the attack has begun", |status| status["connections"].as_u64() > Some(100));
    let good = |seconds: u64| {
        let start = Instant::now();
        let mut slowest = Duration::ZERO;
        let mut answered = 0;
        while start.elapsed() < Duration::from_secs(seconds) {
            let asked = Instant::now();
            let mut client = Client::to(server.app);
            assert_eq!(client.get("/").status, 201);
            slowest = slowest.max(asked.elapsed());
            answered += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        (answered, slowest)
    };
    let (answered, slowest) = good(3);
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    server.sigterm().phase("lame_duck");
    let mut last = Client::to(server.app);
    assert!(last.get("/").says_close());
    let ended = server.wait();
    println!(
        "{mode:?}, {connections} connections: {answered} answers beside, the slowest in \
         {slowest:.0?}; ended {:.1?} after the signal with {:?}, {} cut",
        ended.took, ended.code, ended.report["cut_total"],
    );
    // The grace period is over after 8 s.
    assert!(ended.took < Duration::from_millis(7_500), "{:?}", ended.took);
    assert!(matches!(ended.code, Some(0 | 3)), "{:#}", ended.report);
    drop(attackers);
}

#[test]
fn slow_heads() {
    attack(&["-H"]);
}

#[test]
fn slow_bodies() {
    attack(&["-B", "-s", "8192"]);
}

#[test]
fn slow_readers() {
    attack(&["-X", "-w", "1", "-y", "10", "-n", "1", "-z", "1", "-k", "3"]);
}
