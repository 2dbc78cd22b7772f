//! A second signal, wherever it comes.

use super::*;

#[tokio::test(start_paused = true)]
async fn sigterm_in_the_lame_duck_changes_nothing() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.signal(Signal::Sigterm);
    sleep(secs(2)).await;
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 3.0);
    assert_eq!(report.exit_code, 0);
}

#[tokio::test(start_paused = true)]
async fn sigint_in_the_lame_duck_ends_the_delay() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.signal(Signal::Sigint);
    sleep(secs(2)).await;
    server.lifecycle.signal(Signal::Sigint);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_eq!(report.exit_code, 0);
    assert_eq!(phases(&report), WHOLE_LIFE);
}

#[tokio::test(start_paused = true)]
async fn while_draining_forces_the_exit() {
    for (signal, code) in [(Signal::Sigterm, 143), (Signal::Sigint, 130)] {
        let server = Server::serving(Policy::default()).await;
        let _request = server.arrive();
        let deadline = server.lifecycle.deadline();
        server.lifecycle.signal(Signal::Sigterm);
        server.lifecycle.reached(Phase::Draining).await;
        server.lifecycle.signal(signal);
        let (seconds, report) = server.end().await;
        assert!(deadline.is_cancelled());
        assert_seconds(seconds, 1.0);
        assert_eq!((report.exit_code, report.outcome), (code, ExitReason::Forced));
    }
}

#[tokio::test(start_paused = true)]
async fn while_waiting_for_the_last_scrape_ends_the_wait() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.scrape(None).landed();
    server.lifecycle.signal(Signal::Sigterm);
    server.lifecycle.reached(Phase::Drained).await;
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_eq!(report.exit_code, 0, "the drain itself was clean");
}

#[tokio::test(start_paused = true)]
async fn while_starting_the_first_one_ends_the_server() {
    let server = Server::starting(Policy::default());
    let hold = server.lifecycle.hold_startup();
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    drop(hold);
    assert_seconds(seconds, 0.0);
    assert_eq!(phases(&report), [Phase::Starting, Phase::Draining, Phase::Drained]);
    assert_eq!(report.exit_code, 0);
}
