//! The schedule waits for nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, sync::watch};
use tokio_util::sync::CancellationToken;
use websample_load::{Bounds, Direct, Outcome};

use crate::harness::{OK, Run, hold, outcomes, read_request, serve, write};

#[tokio::test]
async fn a_stalled_server_delays_answers_and_not_requests() {
    const REQUESTS: usize = 40;
    // Nobody is answered before all have asked: a generator that waits would never get there.
    let (arrived, all) = watch::channel(0);
    let address = serve(move |mut socket, _| {
        let (arrived, mut all) = (arrived.clone(), all.clone());
        async move {
            read_request(&mut socket).await;
            arrived.send_modify(|count| *count += 1);
            let _ = all.wait_for(|count| *count == REQUESTS).await;
            write(&mut socket, OK).await;
        }
    })
    .await;
    let run = Run::of("100/s new GET /", Direct(address), Bounds::default());
    let (report, attempts) = run.finish(Duration::from_millis(400)).await;
    assert_eq!(attempts.len(), REQUESTS);
    assert_eq!(report.total.count(Outcome::Ok), REQUESTS as u64);
    assert_eq!(report.peak_in_flight, REQUESTS);
    for (n, attempt) in attempts.iter().enumerate() {
        let intended = Duration::from_millis(10) * n as u32;
        assert_eq!(attempt.intended, intended);
        // The stall is in the latency of every request that it held up.
        assert!(intended + attempt.latency() >= Duration::from_millis(390));
        assert!(attempt.sent >= intended && attempt.finished >= attempt.sent);
    }
    assert!(report.total.latency.max() >= Duration::from_millis(390));
}

#[tokio::test]
async fn what_is_due_beyond_the_limit_is_recorded_as_unsent() {
    let release = CancellationToken::new();
    let address = serve({
        let release = release.clone();
        move |mut socket, _| {
            let release = release.clone();
            async move {
                read_request(&mut socket).await;
                release.cancelled().await;
                write(&mut socket, OK).await;
            }
        }
    })
    .await;
    let bounds = Bounds { in_flight: 3, ..Bounds::default() };
    let (engine, mut attempts) = Run::of("100/s new GET /", Direct(address), bounds).into_parts();
    let run = tokio::spawn(engine.run(Some(Duration::from_millis(100)), CancellationToken::new()));
    for _ in 0..7 {
        let attempt = attempts.recv().await.expect("an attempt");
        assert_eq!(attempt.outcome, Outcome::Unsent);
    }
    release.cancel();
    let report = run.await.expect("no panic").expect("a report");
    assert_eq!(report.total.count(Outcome::Ok), 3);
    assert_eq!(report.total.count(Outcome::Unsent), 7);
    assert_eq!((report.total.requests, report.total.lost), (10, 0));
}

#[tokio::test]
async fn stopping_ends_the_schedule_and_waits_for_what_is_outstanding() {
    let seen = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
    let address = serve({
        let (seen, stop, stopped) = (Arc::clone(&seen), stop.clone(), stopped.clone());
        move |mut socket, _| {
            let (seen, stop, stopped) = (Arc::clone(&seen), stop.clone(), stopped.clone());
            async move {
                read_request(&mut socket).await;
                if seen.fetch_add(1, Ordering::Relaxed) == 4 {
                    stop.cancel();
                    stopped.cancel();
                }
                stopped.cancelled().await;
                write(&mut socket, OK).await;
            }
        }
    })
    .await;
    let (engine, _attempts) =
        Run::of("50/s new GET /", Direct(address), Bounds::default()).into_parts();
    let report = engine.run(None, stop).await.expect("a report");
    assert!(report.total.requests >= 5);
    assert_eq!(report.total.count(Outcome::Ok), report.total.requests);
}

#[tokio::test]
async fn abandoning_ends_the_run_at_once_and_says_what_was_outstanding() {
    let abandon = CancellationToken::new();
    let address = serve({
        let abandon = abandon.clone();
        move |mut socket, _| {
            let abandon = abandon.clone();
            async move {
                read_request(&mut socket).await;
                abandon.cancel();
                hold(socket).await;
            }
        }
    })
    .await;
    let (engine, _attempts) =
        Run::of("1/s new GET /", Direct(address), Bounds::default()).into_parts();
    let report =
        engine.abandon_on(abandon).run(None, CancellationToken::new()).await.expect("a report");
    assert_eq!(report.total.count(Outcome::Abandoned), report.total.requests);
    assert_eq!(report.total.lost, 0);
}

#[tokio::test]
async fn dropping_a_run_abandons_it() {
    let address = serve(hold_each).await;
    let (engine, mut attempts) =
        Run::of("20/s new GET /", Direct(address), Bounds::default()).into_parts();
    let mut run = Box::pin(engine.run(None, CancellationToken::new()));
    let begun = tokio::time::timeout(Duration::from_millis(100), &mut run).await;
    assert!(begun.is_err(), "it has no end of its own");
    drop(run);
    while let Some(attempt) = attempts.recv().await {
        assert_eq!(attempt.outcome, Outcome::Abandoned);
    }
}

#[tokio::test]
async fn a_busy_pool_opens_another_connection_instead_of_waiting() {
    let (asked, second) = watch::channel(false);
    let address = serve(move |mut socket, number| {
        let (asked, mut second) = (asked.clone(), second.clone());
        async move {
            read_request(&mut socket).await;
            if number == 1 {
                asked.send_replace(true);
            }
            // The first answer comes only once the second request is there.
            let _ = second.wait_for(|asked| *asked).await;
            write(&mut socket, OK).await;
            hold(socket).await;
        }
    })
    .await;
    let attempts = crate::harness::attempts(address, "keep-alive GET / connections=1", 2).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok; 2]);
    assert!(attempts.iter().all(|attempt| !attempt.reused));
}

async fn hold_each(socket: TcpStream, _: usize) {
    hold(socket).await;
}

#[tokio::test]
async fn streams_keep_their_own_rates_on_one_clock() {
    let address = serve(|mut socket, _| async move {
        while read_request(&mut socket).await {
            write(&mut socket, OK).await;
        }
    })
    .await;
    let mix = "100/s new GET /, 50/s keep-alive GET /, 10/s keep-alive POST / body=4";
    let (engine, mut attempts) = Run::of(mix, Direct(address), Bounds::default()).into_parts();
    // As if the run began a minute into something else.
    let origin = Instant::now().checked_sub(Duration::from_secs(60)).expect("a minute of uptime");
    let report = engine
        .clock(origin)
        .run(Some(Duration::from_millis(200)), CancellationToken::new())
        .await
        .expect("a report");
    assert_eq!(report.streams.iter().map(|s| s.requests).collect::<Vec<_>>(), [20, 10, 2]);
    let mut all = Vec::new();
    while let Some(attempt) = attempts.recv().await {
        assert!(attempt.intended >= Duration::from_secs(60));
        all.push(attempt);
    }
    assert_eq!(outcomes(&all), [Outcome::Ok; 32]);
    all.sort_by_key(|attempt| attempt.seq);
    assert!(all.is_sorted_by_key(|attempt| attempt.intended), "vegeta's plot relies on it");
}

#[tokio::test]
async fn a_start_that_is_still_to_come_is_waited_for() {
    let address = serve(|mut socket, _| async move {
        while read_request(&mut socket).await {
            write(&mut socket, OK).await;
        }
    })
    .await;
    let mix = "100/s new GET /, 50/s keep-alive GET /";
    let (engine, mut attempts) = Run::of(mix, Direct(address), Bounds::default()).into_parts();
    let origin = Instant::now() + Duration::from_millis(300);
    engine
        .clock(origin)
        .run(Some(Duration::from_millis(50)), CancellationToken::new())
        .await
        .expect("a report");
    let mut count = 0;
    while let Some(attempt) = attempts.recv().await {
        count += 1;
        // Sent before the clock began, it would have been sent at its zero.
        assert!(attempt.sent > Duration::ZERO, "{attempt:?}");
    }
    assert_eq!(count, 5 + 3);
}
