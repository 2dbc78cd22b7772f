use super::*;

const POD: &str = "websample-v1-7c9f4-x2k8p";

async fn sample() -> (Timeline, SocketAddr) {
    let timeline = Timeline::new(Instant::now());
    let address = "127.1.2.3:5000".parse().unwrap();
    let (pod, version) = (Arc::from(POD), Arc::from("v1"));
    let step = |what| timeline.record(&pod, what);
    let consumer: Arc<str> = Arc::from("proxy");
    timeline.created(&pod, &version, address);
    for what in [
        What::Started,
        What::Ready,
        What::ProxyChanged { consumer: Arc::clone(&consumer), routed: true },
        What::Deleted,
        What::Sigterm,
        What::Exited(Exit::Signal(15)),
        What::ProxyChanged { consumer, routed: false },
        What::SandboxGone,
        What::NotReady,
        What::Removed,
    ] {
        tokio::time::advance(Duration::from_secs(1)).await;
        step(what);
    }
    (timeline, address)
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_pods_state_at_a_moment_follows_its_events() {
    let (timeline, address) = sample().await;
    let phase = |seconds| timeline.pod_at(address, at(seconds)).map(|state| state.phase);
    assert_eq!(phase(0.5), Some(PodPhase::Starting));
    assert_eq!(phase(2.5), Some(PodPhase::Running));
    assert_eq!(phase(4.0), Some(PodPhase::Terminating { since: at(4.0) }));
    assert_eq!(phase(6.5), Some(PodPhase::Dead { since: at(6.0), exit: Exit::Signal(15) }));
    assert_eq!(phase(8.5), Some(PodPhase::SandboxGone { since: at(8.0) }));
    let state = timeline.pod_at(address, at(5.5)).unwrap();
    assert_eq!((state.sigterm, state.ready), (Some(at(5.0)), true));
    assert_eq!(timeline.pod_at("127.1.2.4:5000".parse().unwrap(), at(1.0)), None);
}

#[tokio::test(start_paused = true)]
async fn a_consumers_belief_is_known_for_every_moment() {
    let (timeline, address) = sample().await;
    let routed = |seconds| timeline.in_table("proxy", address, at(seconds));
    assert_eq!([2.5, 3.0, 6.9, 7.0].map(routed), [false, true, true, false]);
    assert!(!timeline.in_table("ingress", address, at(5.0)));
}

#[tokio::test(start_paused = true)]
async fn a_record_serializes_as_the_report_shows_it() {
    let (timeline, _) = sample().await;
    let json = serde_json::to_value(timeline.pods()).unwrap();
    assert_eq!(json[0]["name"], POD);
    assert_eq!(json[0]["exit"], 143);
    assert!((json[0]["termination_seconds"].as_f64().unwrap() - 6.0).abs() < 0.01);
    assert_eq!(json[0]["events"][1], serde_json::json!({"at": 1.0, "what": "started"}));
    assert_eq!(json[0]["events"][6]["detail"], "signal 15 (status 143)");
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_of_late_is_put_where_it_belongs() {
    let (timeline, _) = sample().await;
    let pod: Arc<str> = Arc::from(POD);
    timeline.record_at(&pod, at(4.5), What::HookCalled);
    timeline.correct(POD, at(5.5), |what| matches!(what, What::Exited(_)));
    // Later than it was seen it cannot have been.
    timeline.correct(POD, at(99.0), |what| *what == What::Ready);
    let pods = timeline.pods();
    let events: Vec<_> = pods[0].events.iter().map(|event| (event.at, event.what.name())).collect();
    assert!(events.is_sorted_by_key(|(at, _)| *at), "{events:?}");
    for expected in [(at(4.5), "hook_called"), (at(5.5), "exited"), (at(2.0), "ready")] {
        assert!(events.contains(&expected), "{expected:?} is not among {events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn subscribers_see_what_is_recorded() {
    let timeline = Timeline::new(Instant::now());
    let mut stream = timeline.subscribe();
    let pod = Arc::from("a");
    timeline.created(&pod, &Arc::from("v2"), "127.1.2.3:5000".parse().unwrap());
    timeline.record(&pod, What::Ready);
    assert_eq!(stream.recv().await.unwrap().event.what, What::Created);
    assert_eq!(stream.recv().await.unwrap().event.what, What::Ready);
}
