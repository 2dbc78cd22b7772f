use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

/// A pod and what was heard of it.
struct Seen {
    observer: Observer,
    timeline: Timeline,
}

impl Seen {
    fn new() -> Self {
        let served = Served {
            container: Some("websample".into()),
            port_name: Some("http".to_owned()),
            port: 5_000,
        };
        Self { observer: Observer::new(served), timeline: Timeline::new(Instant::now()) }
    }

    fn pod(&mut self, at: u64, pod: &Value) {
        let pod: Pod = serde_json::from_value(pod.clone()).expect("a pod");
        let pod = Arc::new(pod);
        let version = |pod: &Pod| -> Arc<str> {
            let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.as_deref());
            image.and_then(|image| image.rsplit(':').next()).unwrap_or_default().into()
        };
        self.observer.pod(Duration::from_secs(at), &pod, version, &self.timeline);
    }

    fn slice(&mut self, at: u64, endpoints: &Value) {
        let slice = json!({
            "metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": endpoints,
        });
        let slice: EndpointSlice = serde_json::from_value(slice).expect("a slice");
        self.observer.slice(Duration::from_secs(at), &slice, &self.timeline);
    }

    fn events(&self) -> Vec<(u64, String)> {
        let pods = self.timeline.pods();
        let events = pods.iter().flat_map(|pod| &pod.events);
        events
            .map(|event| {
                let detail = event.what.detail().map_or_else(String::new, |d| format!(" {d}"));
                (event.at.as_secs(), format!("{}{detail}", event.what.name()))
            })
            .collect()
    }
}

fn pod(status: &Value) -> Value {
    json!({
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "websample", "image": "websample:v1"}]},
        "status": status,
    })
}

fn with_state(state: &Value, ready: bool, restarts: u32, last: &Value) -> Value {
    pod(&json!({
        "podIP": "10.0.0.7",
        "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        "containerStatuses": [{
            "name": "websample", "image": "i", "imageID": "i", "ready": ready,
            "restartCount": restarts, "state": state, "lastState": last,
        }],
    }))
}

fn deleted(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:30Z".into();
    pod
}

fn running() -> Value {
    json!({"running": {}})
}

fn exited(code: i32, message: &str) -> Value {
    json!({"terminated": {"exitCode": code, "message": message, "reason": "Completed"}})
}

fn told(events: &[(u64, &str)]) -> Vec<(u64, String)> {
    events.iter().map(|(at, what)| (*at, (*what).to_owned())).collect()
}

#[tokio::test]
async fn a_pods_life_is_told_as_it_was_seen() {
    let none = json!({});
    let mut seen = Seen::new();
    seen.pod(1, &pod(&none));
    seen.pod(2, &with_state(&running(), false, 0, &none));
    seen.pod(3, &with_state(&running(), true, 0, &none));
    seen.slice(
        3,
        &json!([{
            "addresses": ["10.0.0.7"], "targetRef": {"kind": "Pod", "name": "a"},
            "conditions": {"ready": true, "serving": true, "terminating": false},
        }]),
    );
    seen.pod(9, &deleted(with_state(&running(), true, 0, &none)));
    seen.slice(
        9,
        &json!([{
            "addresses": ["10.0.0.7"], "targetRef": {"kind": "Pod", "name": "a"},
            "conditions": {"ready": false, "serving": true, "terminating": true},
        }]),
    );
    let report = r#"{"cause":"signal","signal":"SIGTERM","phases":
        [{"phase":"lame_duck","entered":100.0,"seconds":5.0}]}"#;
    let gone = deleted(with_state(&exited(0, report), false, 0, &none));
    seen.pod(15, &gone);
    seen.slice(15, &json!([]));
    let last: Pod = serde_json::from_value(gone).expect("a pod");
    seen.observer.pod_gone(Duration::from_secs(16), &Arc::new(last), &seen.timeline);
    assert_eq!(
        seen.events(),
        told(&[
            (1, "created"),
            (2, "started"),
            (3, "ready"),
            (3, "endpoint_ready_true serving=true terminating=false"),
            (9, "deleted"),
            (9, "endpoint_ready_false serving=true terminating=true"),
            (15, "exited exit code 0"),
            (15, "not_ready"),
            (15, "endpoint_ready_false serving=false terminating=true"),
            (16, "removed"),
        ])
    );
    let reports = seen.observer.reports();
    assert_eq!((reports.len(), reports[0].exited), (1, Duration::from_secs(15)));
    assert!((reports[0].drained.ended() - 105.0).abs() < 1e-9);
    assert!(seen.observer.pods().is_empty());
}

#[tokio::test]
async fn what_came_between_two_looks_is_told_in_its_order() {
    let mut seen = Seen::new();
    seen.pod(1, &deleted(with_state(&exited(137, ""), false, 0, &json!({}))));
    assert_eq!(
        seen.events(),
        told(&[
            (1, "created"),
            (1, "started"),
            (1, "deleted"),
            (1, "sigkill"),
            (1, "exited signal 9 (status 137)"),
        ])
    );
}

#[tokio::test]
async fn a_restart_tells_how_the_process_before_it_ended() {
    let mut seen = Seen::new();
    seen.pod(1, &with_state(&running(), true, 0, &json!({})));
    seen.pod(2, &with_state(&running(), false, 1, &exited(1, "")));
    let expected = [
        (1, "created"),
        (1, "started"),
        (1, "ready"),
        (2, "exited exit code 1"),
        (2, "restarted restart 1"),
        (2, "not_ready"),
    ];
    assert_eq!(seen.events(), told(&expected));
}

#[tokio::test]
async fn what_a_new_listing_does_not_name_is_gone() {
    let mut seen = Seen::new();
    seen.pod(1, &with_state(&running(), true, 0, &json!({})));
    for (at, named, gone) in [(5, true, false), (6, false, true), (7, false, true)] {
        seen.observer.pods_listing();
        if named {
            seen.pod(at, &with_state(&running(), true, 0, &json!({})));
        }
        seen.observer.pods_listed(Duration::from_secs(at), &seen.timeline);
        assert_eq!(seen.observer.pods().is_empty(), gone, "at {at}");
    }
    assert_eq!(seen.events().last(), Some(&(6, "removed".to_owned())));
}
