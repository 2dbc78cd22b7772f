//! The whole drain sequence, on a paused clock: half a minute passes in no time.

mod a_handoff;
mod a_second_signal;
mod modes;
mod the_last_scrape;

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use websample_lifecycle::{
    BegunBy, Census, Delay, DrainReport, ExitReason, Guard, Lifecycle, Mode, Phase, Policy, Signal,
    Unfinished,
};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A server under test: its handle and its running drain.
struct Server {
    lifecycle: Lifecycle,
    drain: JoinHandle<DrainReport>,
}

impl Server {
    async fn serving(policy: Policy) -> Self {
        let server = Self::starting(policy);
        server.lifecycle.serving().await;
        server
    }

    fn starting(policy: Policy) -> Self {
        let (lifecycle, drain) = Lifecycle::new(policy).expect("a policy that adds up");
        Self { lifecycle, drain: tokio::spawn(drain.run()) }
    }

    /// The seconds until the drain is over, and its report.
    async fn end(self) -> (f64, DrainReport) {
        let began = Instant::now();
        let report = self.drain.await.expect("the drain does not panic");
        (began.elapsed().as_secs_f64(), report)
    }

    fn spawn_hook(&self) -> JoinHandle<(f64, Phase)> {
        let lifecycle = self.lifecycle.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let phase = lifecycle.hook().await;
            (began.elapsed().as_secs_f64(), phase)
        })
    }

    fn arrive(&self) -> Guard {
        self.lifecycle.request(self.lifecycle.phase())
    }
}

fn assert_seconds(actual: f64, expected: f64) {
    // Tokio's timers have a granularity of 1 ms.
    assert!((actual - expected).abs() < 0.005, "{actual} s instead of {expected} s");
}

fn phases(report: &DrainReport) -> Vec<Phase> {
    report.phases.iter().map(|p| p.phase).collect()
}

const WHOLE_LIFE: [Phase; 5] = Phase::ALL;

/// Lets every task that is ready run, without letting time pass.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn sigterm_without_a_hook_waits_the_least_delay_when_quiet() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 5.0);
    assert_eq!(phases(&report), WHOLE_LIFE);
    assert_eq!((report.exit_code, report.outcome), (0, ExitReason::Clean));
    assert_eq!((report.cause, report.signal), (Some(BegunBy::Signal), Some(Signal::Sigterm)));
    assert_seconds(report.delay_seconds.expect("a delay"), 5.0);
    assert_eq!(report.last_arrival_seconds, None);
}

#[tokio::test(start_paused = true)]
async fn a_sigterm_after_a_finished_hook_goes_straight_to_draining() {
    let server = Server::serving(Policy::default()).await;
    let (waited, phase) = server.spawn_hook().await.expect("answered");
    assert_seconds(waited, 5.0);
    assert_eq!(phase, Phase::LameDuck);
    sleep(secs(1)).await;
    assert_eq!(server.lifecycle.phase(), Phase::LameDuck);
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_seconds(report.termination_seconds, 6.0);
    assert_eq!(report.cause, Some(BegunBy::Hook));
    assert_eq!(phases(&report), WHOLE_LIFE);
}

#[tokio::test(start_paused = true)]
async fn a_sigterm_in_the_middle_of_the_hook_joins_its_clock_and_has_the_least_delay_left() {
    let server = Server::serving(Policy::default()).await;
    let hook = server.spawn_hook();
    sleep(secs(2)).await;
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 5.0);
    assert_seconds(report.termination_seconds, 7.0);
    assert_seconds(hook.await.expect("answered").0, 7.0);
}

#[tokio::test(start_paused = true)]
async fn a_sigterm_long_after_a_stray_hook_has_its_whole_time() {
    let server = Server::serving(Policy::default()).await;
    server.spawn_hook().await.expect("answered");
    // 29.5 s after the hook: half a second before it would have been undone.
    sleep(Duration::from_millis(24_500)).await;
    let request = server.arrive();
    server.lifecycle.signal(Signal::Sigterm);
    sleep(secs(1)).await;
    assert_eq!(server.lifecycle.phase(), Phase::LameDuck, "a delay of its own");
    sleep(secs(26)).await;
    drop(request);
    let (_, report) = server.end().await;
    assert_eq!((report.exit_code, report.outcome), (0, ExitReason::Clean));
    assert_seconds(report.termination_seconds, 27.0);
    assert_eq!(report.cause, Some(BegunBy::Signal));
}

#[tokio::test(start_paused = true)]
async fn whoever_calls_the_hook_again_and_again_cannot_keep_a_server_out_of_rotation() {
    let server = Server::serving(Policy::default()).await;
    let lifecycle = server.lifecycle.clone();
    let caller = tokio::spawn(async move {
        loop {
            lifecycle.hook().await;
            sleep(Duration::from_millis(100)).await;
        }
    });
    let (mut ready, mut probes) = (0, 0);
    for _ in 0..3_600 {
        sleep(secs(1)).await;
        probes += 1;
        ready += u32::from(server.lifecycle.phase().is_ready());
    }
    caller.abort();
    assert!(ready * 10 > probes * 9, "ready in {ready} of {probes} probes");
    // And the kubelet, whose call begins nothing now, still gets a whole drain by its SIGTERM.
    server.lifecycle.hook().await;
    server.lifecycle.signal(Signal::Sigterm);
    assert_seconds(server.end().await.0, 5.0);
}

#[tokio::test(start_paused = true)]
async fn requests_that_nobody_can_name_are_cut_and_counted_all_the_same() {
    let server = Server::serving(Policy::default()).await;
    let _requests: Vec<_> = (0..1_000).map(|_| server.arrive()).collect();
    server.lifecycle.signal(Signal::Sigterm);
    let (_, report) = server.end().await;
    assert_eq!((report.exit_code, report.outcome), (3, ExitReason::Cut));
    assert_eq!((report.cut_total, report.cut.len()), (1_000, 100));
}

#[tokio::test(start_paused = true)]
async fn what_others_note_as_cut_is_in_the_report() {
    let server = Server::serving(Policy::default()).await;
    let connection = server.lifecycle.in_flight().connections.enter();
    server.lifecycle.signal(Signal::Sigterm);
    server.lifecycle.deadline().cancelled().await;
    let what = "a request whose head was still arriving".to_owned();
    server.lifecycle.note_cut(Unfinished { kind: "connection", what, age_seconds: 3.0 });
    drop(connection);
    let lifecycle = server.lifecycle.clone();
    let (_, report) = server.end().await;
    assert_eq!((report.exit_code, report.cut_total), (3, 1));
    assert_eq!(report.cut[0].kind, "connection");
    assert_eq!(lifecycle.cut_total(), 1);
}

#[test]
fn a_policy_that_does_not_add_up_is_no_lifecycle() {
    let policy = Policy { grace_period: secs(10), ..Policy::default() };
    let error = Lifecycle::new(policy).expect_err("refused");
    assert_eq!(error.key, "delay.max");
}

#[tokio::test(start_paused = true)]
async fn two_hooks_wait_for_the_same_end_and_each_for_the_least_delay() {
    let server = Server::serving(Policy::default()).await;
    let first = server.spawn_hook();
    sleep(secs(3)).await;
    let second = server.spawn_hook();
    assert_seconds(first.await.expect("answered").0, 8.0);
    assert_seconds(second.await.expect("answered").0, 5.0);
}

#[tokio::test(start_paused = true)]
async fn the_kubelets_hook_behind_a_stray_one_has_a_delay_of_its_own() {
    let server = Server::serving(Policy::default()).await;
    server.spawn_hook().await.expect("answered");
    sleep(secs(11)).await;
    let (waited, phase) = server.spawn_hook().await.expect("answered");
    assert_seconds(waited, 5.0);
    assert_eq!(phase, Phase::LameDuck);
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_seconds(report.termination_seconds, 21.0);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_no_sigterm_follows_is_undone_after_the_grace_period() {
    let server = Server::serving(Policy::default()).await;
    let told_to_leave = server.lifecycle.lame_duck();
    // Whoever waits for the end of accepting goes on waiting for the same end.
    let draining = server.lifecycle.draining();
    let began = Instant::now();
    server.spawn_hook().await.expect("answered");
    assert!(told_to_leave.is_cancelled());
    let mut changes = server.lifecycle.subscribe();
    changes.wait_for(|entered| entered.phase == Phase::Serving).await.expect("it comes back");
    assert_seconds(began.elapsed().as_secs_f64(), 30.0);
    assert!(!server.lifecycle.lame_duck().is_cancelled(), "a fresh token");
    assert_eq!(server.lifecycle.deadline_at(), None);

    // And the next termination has a clock of its own.
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 5.0);
    assert_seconds(report.termination_seconds, 5.0);
    assert!(draining.is_cancelled());
    let back = [
        Phase::Starting,
        Phase::Serving,
        Phase::LameDuck,
        Phase::Serving,
        Phase::LameDuck,
        Phase::Draining,
        Phase::Drained,
    ];
    assert_eq!(phases(&report), back);
}

#[tokio::test(start_paused = true)]
async fn traffic_that_never_stops_ends_the_delay_at_its_maximum() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.signal(Signal::Sigterm);
    let lifecycle = server.lifecycle.clone();
    let traffic = tokio::spawn(async move {
        while lifecycle.phase() < Phase::Draining {
            drop(lifecycle.request(lifecycle.phase()));
            sleep(Duration::from_millis(200)).await;
        }
    });
    let (seconds, report) = server.end().await;
    traffic.await.expect("no panic");
    assert_seconds(seconds, 15.0);
    assert!(report.delay_needed_seconds > 14.5, "{report:?}");
    assert!(report.requests.lame_duck >= 74, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn traffic_that_stops_late_ends_the_delay_once_it_is_quiet() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.signal(Signal::Sigterm);
    for _ in 0..16 {
        sleep(Duration::from_millis(500)).await;
        drop(server.arrive());
    }
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 1.0);
    assert_seconds(report.delay_seconds.expect("a delay"), 9.0);
    assert_seconds(report.last_arrival_seconds.expect("arrivals"), 8.0);
    assert!((8.0..8.15).contains(&report.delay_needed_seconds), "{report:?}");
    assert_eq!(report.requests.lame_duck, 16);
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_the_last_request_and_no_longer() {
    let server = Server::serving(Policy::default()).await;
    let request = server.arrive();
    server.lifecycle.signal(Signal::Sigterm);
    server.lifecycle.reached(Phase::Draining).await;
    sleep(secs(4)).await;
    assert_eq!(server.lifecycle.phase(), Phase::Draining);
    drop(request);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_eq!(report.exit_code, 0);
    assert_seconds(report.termination_seconds, 9.0);
}

struct OneRequest;

impl Census for OneRequest {
    fn count(&self) -> usize {
        1
    }

    fn oldest(&self, _: usize) -> Vec<Unfinished> {
        vec![Unfinished { kind: "request", what: "/sleep/{n}".to_owned(), age_seconds: 28.0 }]
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_outlives_the_deadline_is_cut_and_named() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.register_census(Arc::new(OneRequest));
    let request = server.arrive();
    let cut = server.lifecycle.deadline();
    server.lifecycle.signal(Signal::Sigterm);
    let began = Instant::now();
    cut.cancelled().await;
    assert_seconds(began.elapsed().as_secs_f64(), 28.0);
    drop(request);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_eq!((report.exit_code, report.outcome), (3, ExitReason::Cut));
    assert_eq!(report.cut_total, 1);
    assert_eq!(report.cut[0].what, "/sleep/{n}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_even_outlives_its_cut_does_not_hold_the_exit() {
    let server = Server::serving(Policy::default()).await;
    server.lifecycle.register_census(Arc::new(OneRequest));
    let request = server.arrive();
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 29.0);
    assert_eq!(report.exit_code, 3);
    drop(request);
}

#[tokio::test(start_paused = true)]
async fn work_that_is_registered_and_finishes_is_waited_for() {
    let server = Server::serving(Policy::default()).await;
    let work = server.lifecycle.work("flush");
    let draining = server.lifecycle.draining();
    let task = tokio::spawn(async move {
        draining.cancelled().await;
        sleep(secs(3)).await;
        drop(work);
    });
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    task.await.expect("no panic");
    assert_seconds(seconds, 8.0);
    assert_eq!(report.exit_code, 0);
}

#[tokio::test(start_paused = true)]
async fn work_that_never_finishes_is_named_in_the_report() {
    let server = Server::serving(Policy::default()).await;
    let _work = server.lifecycle.work("rebuild the index");
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 29.0);
    assert_eq!(report.exit_code, 3);
    assert_eq!(report.cut.len(), 1);
    assert_eq!((report.cut[0].kind, report.cut[0].what.as_str()), ("work", "rebuild the index"));
    assert_seconds(report.cut[0].age_seconds, 28.0);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_off_before_anybody_is_told_to_leave() {
    let server = Server::serving(Policy::default()).await;
    let told = server.lifecycle.lame_duck();
    let lifecycle = server.lifecycle.clone();
    let seen = tokio::spawn(async move {
        told.cancelled().await;
        lifecycle.phase()
    });
    server.lifecycle.signal(Signal::Sigterm);
    assert_eq!(seen.await.expect("no panic"), Phase::LameDuck);
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_every_startup_hold() {
    let server = Server::starting(Policy::default());
    let listeners = server.lifecycle.hold_startup();
    let cache = server.lifecycle.hold_startup();
    drop(listeners);
    settle().await;
    assert_eq!(server.lifecycle.phase(), Phase::Starting);
    // Saying that it is done does not override who still holds it back.
    server.lifecycle.ready();
    settle().await;
    assert_eq!(server.lifecycle.phase(), Phase::Starting);
    drop(cache);
    server.lifecycle.reached(Phase::Serving).await;
    assert_eq!(server.lifecycle.phase(), Phase::Serving);
}

#[tokio::test(start_paused = true)]
async fn a_hook_call_that_is_abandoned_has_still_begun_the_lame_duck() {
    let server = Server::serving(Policy::default()).await;
    assert!(timeout(secs(1), server.lifecycle.hook()).await.is_err());
    assert_eq!(server.lifecycle.phase(), Phase::LameDuck);
}

#[tokio::test(start_paused = true)]
async fn no_delay_means_no_delay() {
    let delay = Delay { min: secs(0), quiet: secs(0), max: secs(0) };
    let server = Server::serving(Policy { delay, ..Policy::default() }).await;
    server.lifecycle.signal(Signal::Sigterm);
    let (seconds, report) = server.end().await;
    assert_seconds(seconds, 0.0);
    assert_eq!(phases(&report), WHOLE_LIFE);
}
