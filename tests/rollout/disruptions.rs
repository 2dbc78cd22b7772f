//! What the drain loses when pods go in another way than by a rolling update.

use serde_json::Value;

use crate::harness::{Ran, rollout_with};

/// So short that only what the drain itself observes keeps it in service for long enough.
const SHORT: (&str, &str) = ("WEBSAMPLE_DELAY__MIN", "500ms");

const FEW: [&str; 6] = ["--modes", "drain", "--replicas", "2", "--rate", "50"];

fn runs(ran: &Ran) -> Vec<Value> {
    ran.report()["runs"].as_array().expect("runs").clone()
}

fn events_of(pod: &Value) -> Vec<String> {
    let events = pod["events"].as_array().unwrap().iter();
    events.map(|event| event["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_drain_loses_nothing_however_pods_are_replaced_or_taken_away() {
    let events = ["--event", "restart,rollback,scale-in,evict", "--fail-on-loss", "drain"];
    let ran = rollout_with(&[SHORT], &[&events[..], &FEW].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let runs = runs(&ran);
    for (run, event) in runs.iter().zip(["restart", "rollback", "scale-in", "evict"]) {
        assert_eq!(
            (&run["mode"], &run["event"]),
            (&format!("drain ({event})").into(), &event.into())
        );
    }
    assert_eq!(runs.len(), 4);
    for run in &runs {
        assert_eq!(run["lost"], 0, "{}: {}", run["mode"], run["losses"]);
        let ended = run["pods"].as_array().unwrap().iter().filter(|pod| pod["exit"] == 0);
        // The others are there when it is over, and are cleared away.
        assert!(ended.count() >= 1, "{run}");
    }
    assert!(ran.out.lines().next().is_some_and(|head| head.contains("over after")), "{ran:?}");
    assert!(
        ran.out.contains("drain (evict): nothing was lost; every pod was replaced after "),
        "{ran:?}"
    );
}

#[test]
fn a_drain_loses_nothing_to_a_node_that_shuts_down_though_its_pods_stay_endpoints() {
    let events = ["--event", "node-shutdown", "--fail-on-loss", "drain"];
    // Nobody has deleted the pod. What the node controller says of it the kubelet takes back, until its
    // own probe has failed: that has to be before the listener is closed.
    let told = [
        ("WEBSAMPLE_READINESS__ON_DRAIN", "fail"),
        ("WEBSAMPLE_DELAY__MIN", "5s"),
        ("WEBSAMPLE_DELAY__MAX", "9s"),
    ];
    let ran = rollout_with(&told, &[&events[..], &FEW].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let run = &runs(&ran)[0];
    assert_eq!((&run["event"], &run["lost"]), (&"node-shutdown".into(), &0.into()), "{ran:?}");
    let pods: Vec<_> = run["pods"].as_array().unwrap().iter().map(events_of).collect();
    let gone: Vec<_> =
        pods.iter().filter(|events| events.iter().any(|what| what == "hook_called")).collect();
    assert_eq!((gone.len(), pods.len()), (1, 3), "half of two, and one in its place: {pods:?}");
    assert!(!gone[0].iter().any(|what| what == "deleted"), "{gone:?}");
}

#[test]
fn servers_that_hand_over_lose_nothing() {
    let ran = rollout_with(&[SHORT], &[&["--event", "handoff"][..], &FEW].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let runs = runs(&ran);
    let [run] = runs.as_slice() else { panic!("one run: {ran:?}") };
    assert_eq!(run["lost"], 0, "{}", run["losses"]);
    for pod in run["pods"].as_array().unwrap() {
        let events = events_of(pod);
        let at = |wanted| events.iter().position(|what| what == wanted);
        let handoff = ["ready", "handoff_asked", "handed_over", "predecessor_exited"].map(at);
        assert!(handoff.iter().all(Option::is_some) && handoff.is_sorted(), "{events:?}");
        let left = ["deleted", "exited", "restarted", "not_ready"].map(at);
        assert_eq!(left, [None; 4], "{events:?}");
        let ended = pod["events"].as_array().unwrap();
        let ended = ended.iter().find(|event| event["what"] == "predecessor_exited").unwrap();
        assert_eq!(ended["detail"], "exit code 0", "{ended}");
    }
    // A mode that was asked for by name is refused: only of the default ones may some be left out.
    let mode = ["--modes", "immediate,drain", "--event", "handoff"];
    let ran = rollout_with(&[SHORT], &mode);
    assert_eq!(ran.code, Some(64), "{ran:?}");
    assert!(ran.err.contains("`immediate` hands nothing over; graceful and drain do"), "{ran:?}");
}

#[test]
fn a_server_that_does_not_hand_over_is_named() {
    let server = ["--event", "handoff", "--replicas", "1", "--", "python3", "-m", "http.server"];
    let server = [&server[..], &["--bind", "{host}", "{port}"]].concat();
    let ran = rollout_with(&[], &server);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    let said = ran.err.lines().last().unwrap();
    assert!(said.contains("did not hand over on SIGUSR2: it ended with signal 12"), "{said}");
    assert!(said.contains("MAINPID"), "{said}");
}

#[test]
fn a_container_killed_for_its_probe_drains_and_one_that_crashes_cannot() {
    let events = ["--event", "liveness,crash", "--fail-on-loss", "drain"];
    // The traffic stays until readiness fails, which is as late as it can be.
    let max = ("WEBSAMPLE_DELAY__MAX", "9s");
    let ran = rollout_with(&[SHORT, max], &[&events[..], &FEW].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let runs = runs(&ran);
    let [liveness, crash] = runs.as_slice() else { panic!("two runs: {ran:?}") };
    assert_eq!(liveness["lost"], 0, "{}", liveness["losses"]);
    assert!(crash["lost"].as_u64().unwrap() > 0, "{ran:?}");
    assert_eq!(crash["causes"][0]["cause"], "crash", "{}", crash["causes"]);
    let said = ran.err.lines().last().unwrap();
    assert!(said.starts_with("websample: --fail-on-loss: drain (crash) lost "), "{said}");
    // No pod was deleted while it lasted.
    for run in [liveness, crash] {
        let pods = run["pods"].as_array().unwrap();
        assert_eq!(pods.len(), 2, "{}", run["pods"]);
        for pod in pods {
            let whats: Vec<_> =
                pod["events"].as_array().unwrap().iter().map(|e| e["what"].as_str()).collect();
            assert!(whats.contains(&Some("restarted")), "{whats:?}");
        }
    }
}
