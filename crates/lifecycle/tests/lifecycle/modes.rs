//! The modes that do not drain.

use super::*;

fn policy(mode: Mode) -> Policy {
    Policy { mode, ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn ignore_goes_on_serving_whatever_comes() {
    let server = Server::serving(policy(Mode::Ignore)).await;
    for signal in [Signal::Sigterm, Signal::Sigint, Signal::Sigterm] {
        server.lifecycle.signal(signal);
    }
    assert_seconds(server.spawn_hook().await.expect("answered").0, 0.0);
    assert!(timeout(secs(3600), server.drain).await.is_err(), "it never ends");
    assert_eq!(server.lifecycle.phase(), Phase::Serving);
    assert_eq!(server.lifecycle.signals(Signal::Sigterm), 2);
}

#[tokio::test(start_paused = true)]
async fn immediate_exits_at_once_with_the_signals_code() {
    for (signal, code) in [(Signal::Sigterm, 143), (Signal::Sigint, 130)] {
        let server = Server::serving(policy(Mode::Immediate)).await;
        let _request = server.arrive();
        server.lifecycle.signal(signal);
        let (seconds, report) = server.end().await;
        assert_seconds(seconds, 0.0);
        assert_eq!((report.exit_code, report.outcome), (code, ExitReason::Immediate));
    }
}

#[tokio::test(start_paused = true)]
async fn graceful_has_no_lame_duck_and_waits_for_what_is_in_flight() {
    let server = Server::serving(policy(Mode::Graceful)).await;
    assert_seconds(server.spawn_hook().await.expect("answered").0, 0.0);
    assert_eq!(server.lifecycle.phase(), Phase::Serving, "the hook changes nothing");
    let request = server.arrive();
    server.lifecycle.signal(Signal::Sigterm);
    server.lifecycle.reached(Phase::Draining).await;
    sleep(secs(7)).await;
    drop(request);
    let (_, report) = server.end().await;
    assert_seconds(report.termination_seconds, 7.0);
    assert_eq!(phases(&report), [Phase::Starting, Phase::Serving, Phase::Draining, Phase::Drained]);
}

#[tokio::test(start_paused = true)]
async fn graceful_cuts_at_the_deadline_too() {
    let server = Server::serving(policy(Mode::Graceful)).await;
    server.lifecycle.register_census(Arc::new(OneRequest));
    let _request = server.arrive();
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 29.0);
    assert_eq!(report.exit_code, 3);
}
