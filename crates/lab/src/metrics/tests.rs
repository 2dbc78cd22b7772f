use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, advance};
use websample_load::Outcome;

use super::*;
use crate::timeline::{Exit, What};

/// When the run of these tests began, and its name.
const BEGAN: Duration = Duration::from_secs(1_795_688_103);
const RUN: &str = "20261126T101503Z";

fn comparing<const N: usize>(compared: [(&str, Option<Mode>); N]) -> Metrics {
    Metrics::new(SystemTime::UNIX_EPOCH + BEGAN, compared)
}

fn scraped(metrics: &Metrics) -> Vec<String> {
    let mut out = Vec::new();
    metrics.write(&mut out).expect("written");
    String::from_utf8(out).expect("text").lines().map(str::to_owned).collect()
}

fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    // Every series carries the run.
    let run = format!("run=\"{RUN}\"");
    let lines = scraped(metrics).into_iter().map(|line| {
        assert!(line.starts_with('#') || line.contains(&run), "{line}");
        line.replacen(&format!("{run},"), "", 1).replacen(&format!(",{run}"), "", 1)
    });
    let lines: Vec<_> = lines.collect();
    let value = lines.iter().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().expect("a number"))
}

fn attempt(outcome: Outcome, version: Option<Version>) -> Attempt {
    Attempt {
        seq: 0,
        stream: 0,
        intended: Duration::ZERO,
        sent: Duration::from_secs(1),
        finished: Duration::from_secs(2),
        outcome,
        status: None,
        peer: Some(ADDRESS),
        reused: false,
        retryable: false,
        version,
        instance: None,
        proxied: None,
        bytes_in: 0,
        bytes_out: 0,
        error: None,
    }
}

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);

/// A timeline with one pod, `old`, of v1.
fn timeline() -> (Timeline, Arc<str>) {
    let timeline = Timeline::new(Instant::now());
    let old: Arc<str> = "old".into();
    timeline.created(&old, &"v1".into(), ADDRESS);
    (timeline, old)
}

fn listening(pod: &'static str) -> AdminAddress {
    Box::new(move |name| (name == pod).then_some(ADDRESS))
}

#[test]
fn what_is_known_to_come_is_zero_from_the_start() {
    let metrics = comparing([("drain", Some(Mode::Drain)), ("app", None)]);
    for series in [
        "websample_lab_requests_total{mode=\"drain\",outcome=\"ok\",version=\"v2\"}",
        "websample_lab_requests_total{mode=\"app\",outcome=\"reset_reused\",version=\"none\"}",
        "websample_lab_requests_total{mode=\"drain\",outcome=\"status_503\",version=\"v1\"}",
        "websample_lab_requests_due_total{mode=\"drain\"}",
        "websample_lab_request_duration_seconds_count{mode=\"app\"}",
        "websample_lab_termination_duration_seconds_count{exit=\"3\",mode=\"drain\"}",
        "websample_lab_termination_duration_seconds_count{exit=\"137\",mode=\"app\"}",
        "websample_lab_pods{mode=\"drain\",state=\"terminating\",version=\"v1\"}",
        "websample_lab_rollout_began_timestamp_seconds{mode=\"drain\"}",
        "websample_lab_rollout_ended_timestamp_seconds{mode=\"drain\"}",
        "websample_lab_rollout_duration_seconds{mode=\"drain\"}",
        "websample_lab_pod_deletion_duration_seconds_count{mode=\"drain\"}",
        "websample_lab_request_latency_seconds{mode=\"drain\",percentile=\"p99\"}",
        "websample_lab_losses_total{cause=\"closed_listener\",mode=\"drain\"}",
    ] {
        assert_eq!(value(&metrics, series), Some(0.0), "{series}\n{:#?}", scraped(&metrics));
    }
}

#[tokio::test]
async fn attempts_are_counted_by_who_answered_and_how_they_ended() {
    let metrics = comparing([("drain", Some(Mode::Drain))]);
    let (timeline, _) = timeline();
    let mut count = metrics.of("drain").attempts(timeline);
    let named = |name: &str| Some(Version::Named(name.into()));
    count(&attempt(Outcome::Ok, named("v2")));
    // Somebody else's server says something of its own, or nothing: the pod's version counts.
    count(&attempt(Outcome::Ok, named("2026-11-24")));
    count(&attempt(Outcome::Ok, Some(Version::Status(200))));
    count(&attempt(Outcome::Refused, None));
    let elsewhere = ([127, 0, 0, 1], 1).into();
    let unknown = attempt(Outcome::Ok, Some(Version::Status(200)));
    count(&Attempt { peer: Some(elsewhere), ..unknown });
    let total = |outcome, version| {
        let labels = format!("mode=\"drain\",outcome=\"{outcome}\",version=\"{version}\"");
        value(&metrics, &format!("websample_lab_requests_total{{{labels}}}"))
    };
    assert_eq!(total("ok", "v2"), Some(1.0));
    assert_eq!(total("ok", "v1"), Some(2.0));
    assert_eq!(total("ok", "none"), Some(1.0));
    assert_eq!(total("refused", "none"), Some(1.0));
    // From the intended send, which was a second before the real one.
    let sum = "websample_lab_request_duration_seconds_sum{mode=\"drain\"}";
    assert_eq!(value(&metrics, sum), Some(10.0));
}

#[tokio::test(start_paused = true)]
async fn pods_and_terminations_are_read_at_the_scrape_and_stay_once_it_is_over() {
    let metrics = comparing([("drain", Some(Mode::Drain))]);
    let (timeline, old) = timeline();
    let following = metrics.of("drain").follow(timeline.clone(), listening("old"));
    let pods = |state: &str| {
        let labels = format!("mode=\"drain\",state=\"{state}\",version=\"v1\"");
        value(&metrics, &format!("websample_lab_pods{{{labels}}}")).expect("known")
    };
    let by_state = || ["starting", "ready", "terminating"].map(|state| pods(state) as i64);
    assert_eq!(by_state(), [1, 0, 0]);
    for (what, expected) in [
        (What::Started, [1, 0, 0]),
        (What::Ready, [0, 1, 0]),
        (What::NotReady, [1, 0, 0]),
        (What::Ready, [0, 1, 0]),
        (What::Deleted, [0, 0, 1]),
        (What::NotReady, [0, 0, 1]),
    ] {
        timeline.record(&old, what.clone());
        assert_eq!(by_state(), expected, "{what:?}");
    }
    // The hook's time is part of the deletion, and not of the termination.
    advance(Duration::from_secs(5)).await;
    timeline.record(&old, What::Sigterm);
    assert_eq!(by_state(), [0, 0, 1]);
    advance(Duration::from_secs(6)).await;
    timeline.record(&old, What::Exited(Exit::Code(0)));
    let exited = "websample_lab_termination_duration_seconds_count{exit=\"0\",mode=\"drain\"}";
    let took = "websample_lab_termination_duration_seconds_sum{exit=\"0\",mode=\"drain\"}";
    assert_eq!((value(&metrics, exited), value(&metrics, took)), (Some(1.0), Some(6.0)));
    let gone = "websample_lab_pod_deletion_duration_seconds_sum{mode=\"drain\"}";
    assert_eq!(value(&metrics, gone), Some(11.0));
    timeline.record(&old, What::Removed);
    assert_eq!(by_state(), [0, 0, 0]);
    // A pod of which nothing was scraped after its end is counted all the same.
    let killed: Arc<str> = "killed".into();
    timeline.created(&killed, &"v1".into(), ADDRESS);
    for what in [What::Started, What::Sigterm, What::Exited(Exit::Signal(9))] {
        timeline.record(&killed, what);
    }
    // Nor need anybody have seen its SIGTERM, as behind a hook on a cluster.
    let unseen: Arc<str> = "unseen".into();
    timeline.created(&unseen, &"v1".into(), ADDRESS);
    for what in [What::Started, What::Deleted, What::HookCalled, What::Exited(Exit::Signal(9))] {
        timeline.record(&unseen, what);
    }
    drop(following);
    assert_eq!(by_state(), [0, 0, 0]);
    let killed = "websample_lab_termination_duration_seconds_count{exit=\"137\",mode=\"drain\"}";
    assert_eq!((value(&metrics, exited), value(&metrics, killed)), (Some(1.0), Some(2.0)));
}

#[tokio::test]
async fn a_process_that_ends_by_itself_was_not_terminated() {
    let metrics = comparing([("drain", Some(Mode::Drain))]);
    let (timeline, old) = timeline();
    let _following = metrics.of("drain").follow(timeline.clone(), listening("old"));
    for what in [What::Started, What::Exited(Exit::Code(3)), What::Restarted(1)] {
        timeline.record(&old, what);
    }
    let crashed = "websample_lab_termination_duration_seconds_count{exit=\"3\",mode=\"drain\"}";
    assert_eq!(value(&metrics, crashed), Some(0.0));
    assert_eq!(metrics.targets().len(), 1, "it runs again");
}

#[tokio::test]
async fn a_pod_is_a_target_from_its_start_until_its_process_is_gone() {
    let metrics = comparing([("drain", Some(Mode::Drain))]);
    let (timeline, old) = timeline();
    // The cluster's answer may need the timeline, as when it is just recording something.
    let (records, listening) = (timeline.clone(), listening("old"));
    let admin = move |name: &str| listening(name).filter(|_| !records.pods().is_empty());
    let following = metrics.of("drain").follow(timeline.clone(), Box::new(admin));
    let targets = || serde_json::to_value(metrics.targets()).expect("JSON");
    let none = serde_json::json!([]);
    assert_eq!(targets(), none, "nothing listens yet");
    timeline.record(&old, What::Started);
    let listed = serde_json::json!([{
        "targets": ["127.0.0.1:5000"],
        "labels": { "run": RUN, "mode": "drain", "version": "v1", "pod": "old" },
    }]);
    assert_eq!(targets(), listed);
    for what in [What::Ready, What::Deleted, What::Sigterm] {
        timeline.record(&old, what);
        assert_eq!(targets(), listed);
    }
    timeline.record(&old, What::Exited(Exit::Code(0)));
    assert_eq!(targets(), none, "nobody is there to be scraped");
    let without: Arc<str> = "without".into();
    timeline.created(&without, &"v1".into(), ADDRESS);
    timeline.record(&without, What::Started);
    assert_eq!(targets(), none, "it has no admin listener");
    drop(following);
    assert_eq!(targets(), none);
}

#[tokio::test]
async fn a_repeat_begins_with_its_own_times() {
    let metrics = comparing([("drain", Some(Mode::Drain))]);
    let drain = metrics.of("drain");
    let time = |name: &str| {
        value(
            &metrics,
            &format!("websample_lab_rollout_{name}_timestamp_seconds{{mode=\"drain\"}}"),
        )
        .expect("known")
    };
    drain.rollout_began();
    let began = time("began");
    drain.rollout_ended();
    assert!(began > 0.0 && time("ended") >= began);
    drain.rollout_began();
    assert!(time("began") >= began);
    assert_eq!(time("ended").to_bits(), 0);
}
