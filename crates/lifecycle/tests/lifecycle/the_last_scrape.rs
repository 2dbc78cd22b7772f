//! The wait for the last scrape.

use super::*;

#[tokio::test(start_paused = true)]
async fn is_waited_for_until_it_lands() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.scrape(None).landed();
    sleep(secs(5)).await;
    server.lifecycle.scrape(None).landed();
    server.lifecycle.signal(Signal::Sigterm);
    server.lifecycle.reached(Phase::Drained).await;
    sleep(secs(4)).await;
    server.lifecycle.scrape(None).landed();
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_seconds(report.termination_seconds, 9.0);
}

#[tokio::test(start_paused = true)]
async fn that_never_comes_is_waited_for_twice_the_interval() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.scrape(None).landed();
    sleep(secs(4)).await;
    server.lifecycle.scrape(None).landed();
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, _) = server.end().await;
    assert_seconds(seconds, 5.0 + 8.0);
}

#[tokio::test(start_paused = true)]
async fn is_waited_for_in_graceful_mode_too() {
    let policy = Policy { mode: Mode::Graceful, ..Policy::default() };
    let server = Server::serving(policy).await;
    server.lifecycle.scrape(None).landed();
    sleep(secs(3)).await;
    server.lifecycle.scrape(None).landed();
    sleep(secs(1)).await;
    server.lifecycle.signal(Signal::Sigterm);
    server.lifecycle.reached(Phase::Drained).await;
    sleep(secs(2)).await;
    server.lifecycle.scrape(None).landed();
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_seconds(report.termination_seconds, 2.0);
}

#[tokio::test(start_paused = true)]
async fn is_none_that_began_before_the_end_of_the_drain() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.scrape(None).landed();
    sleep(secs(4)).await;
    server.lifecycle.signal(Signal::Sigterm);
    let straddling = server.lifecycle.scrape(None);
    server.lifecycle.reached(Phase::Drained).await;
    straddling.landed();
    sleep(secs(3)).await;
    assert!(!server.drain.is_finished(), "the drained phase has not been seen");
    server.lifecycle.scrape(None).landed();
    assert_seconds(server.end().await.0, 0.0);
}

#[tokio::test(start_paused = true)]
async fn is_waited_for_from_each_of_a_pair() {
    let [one, two] = [1, 2].map(|n| Some(std::net::Ipv4Addr::new(10, 0, 0, n).into()));
    let server = Server::serving(Policy::default()).await;
    for _ in 0..2 {
        server.lifecycle.scrape(one).landed();
        sleep(secs(1)).await;
        server.lifecycle.scrape(two).landed();
        sleep(secs(4)).await;
    }
    server.lifecycle.signal(Signal::Sigterm);
    server.lifecycle.reached(Phase::Drained).await;
    server.lifecycle.scrape(one).landed();
    sleep(secs(1)).await;
    assert!(!server.drain.is_finished(), "the other one is still owed its own");
    server.lifecycle.scrape(two).landed();
    assert_seconds(server.end().await.0, 0.0);
}

#[tokio::test(start_paused = true)]
async fn never_outlasts_the_deadline() {
    let policy = Policy { linger: secs(300), ..Policy::default() };
    let server = Server::serving(policy).await;
    server.lifecycle.scrape(None).landed();
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 28.0);
    assert_eq!(report.exit_code, 0);
}
