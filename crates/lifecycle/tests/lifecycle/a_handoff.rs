//! Another process takes over the listening sockets.

use tokio::time::sleep;
use websample_lifecycle::{BegunBy, Delay, ExitReason, Mode, Phase, Policy, Signal};

use super::{Server, WHOLE_LIFE, assert_seconds, phases, secs, settle};

#[tokio::test(start_paused = true)]
async fn it_is_a_lame_duck_that_no_signal_has_to_follow() {
    let server = Server::serving(Policy::default()).await;
    assert!(server.lifecycle.hand_over().await);
    settle().await;
    assert!(server.lifecycle.is_handed_over());
    assert_eq!(server.lifecycle.phase(), Phase::LameDuck);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 5.0);
    assert_eq!(phases(&report), WHOLE_LIFE);
    assert_eq!((report.exit_code, report.outcome), (0, ExitReason::Clean));
    assert_eq!((report.cause, report.signal), (Some(BegunBy::Handoff), None));
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_is_known_before_the_phase_has_changed() {
    let server = Server::serving(Policy::default()).await;
    let handed_over = server.lifecycle.handed_over();
    let mut phases = server.lifecycle.subscribe();
    assert!(server.lifecycle.hand_over().await);
    phases.wait_for(|entered| entered.phase == Phase::LameDuck).await.expect("it lives");
    assert!(handed_over.is_cancelled());
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_finished_or_cut_at_the_deadline() {
    let server = Server::serving(Policy::default()).await;
    let request = server.arrive();
    assert!(server.lifecycle.hand_over().await);
    sleep(secs(20)).await;
    assert_eq!(server.lifecycle.phase(), Phase::Draining);
    drop(request);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_eq!(report.outcome, ExitReason::Clean);

    let server = Server::serving(Policy::default()).await;
    let _request = server.arrive();
    assert!(server.lifecycle.hand_over().await);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 29.0);
    assert_eq!((report.exit_code, report.outcome), (3, ExitReason::Cut));
}

#[tokio::test(start_paused = true)]
async fn a_signal_to_the_whole_service_neither_prolongs_it_nor_forces_it() {
    for after in [2, 10] {
        let server = Server::serving(Policy::default()).await;
        let request = server.arrive();
        assert!(server.lifecycle.hand_over().await);
        sleep(secs(after)).await;
        server.lifecycle.signal(Signal::Sigterm);
        settle().await;
        sleep(secs(11 - after)).await;
        assert_eq!(server.lifecycle.phase(), Phase::Draining, "signal after {after} s");
        drop(request);
        let (_, report) = server.end().await;
        assert_eq!((report.exit_code, report.outcome), (0, ExitReason::Clean), "{after} s");
        assert_seconds(report.delay_seconds.expect("a delay"), 5.0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_begun_to_leave_hands_nothing_over() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.signal(Signal::Sigterm);
    settle().await;
    assert!(!server.lifecycle.hand_over().await);
    assert!(!server.lifecycle.is_handed_over());
    let (_, report) = server.end().await;
    assert_eq!(report.cause, Some(BegunBy::Signal));
}

#[tokio::test(start_paused = true)]
async fn modes_that_do_not_leave_hand_nothing_over_and_graceful_has_no_lame_duck() {
    for mode in [Mode::Ignore, Mode::Immediate] {
        let server = Server::serving(Policy { mode, ..Policy::default() }).await;
        assert!(!server.lifecycle.hand_over().await);
        assert_eq!(server.lifecycle.phase(), Phase::Serving);
    }
    let server = Server::serving(Policy { mode: Mode::Graceful, ..Policy::default() }).await;
    assert!(server.lifecycle.hand_over().await);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_eq!(phases(&report), [Phase::Starting, Phase::Serving, Phase::Draining, Phase::Drained]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_scrape_of_an_address_that_is_anothers() {
    let policy = Policy { delay: Delay { max: secs(6), ..Delay::default() }, ..Policy::default() };
    let server = Server::serving(policy).await;
    for _ in 0..3 {
        server.lifecycle.scrape(None).landed();
        sleep(secs(5)).await;
    }
    assert!(server.lifecycle.hand_over().await);
    let (seconds, _) = server.end().await;
    assert_seconds(seconds, 5.0);
}
