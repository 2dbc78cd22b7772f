//! Reports that hold what the tests look for.

use serde_json::{Value, json};

/// The causes with an outcome that goes with each.
const CAUSES: [(&str, &str); 3] =
    [("closed_listener", "refused"), ("idle_closed", "reset_reused"), ("cut_at_exit", "reset")];

const STREAMS: [&str; 2] = ["new GET /", "keep-alive POST /echo"];

/// A report of four modes; graceful loses so many of so many requests.
pub(crate) fn report(requests: u64, losses: u64) -> Value {
    let runs: Vec<Value> = ["ignore", "immediate", "graceful", "drain"]
        .into_iter()
        .map(|mode| match mode {
            "graceful" => run(mode, requests, losses),
            "immediate" => run(mode, requests, 7.min(losses)),
            _ => run(mode, requests, 0),
        })
        .collect();
    json!({
        "runs": runs,
        "environment": {
            "websample": "0.1.0", "platform": "linux x86_64", "cpus": 2, "started": 1.7e9,
            "command": ["/opt/bin/websample", "rollout", "--mix", "100/s new GET /", "--seed", "7"],
            "mix": "100/s new GET /", "rate": 200.0, "replicas": 4, "propagation": "0s..1.2s",
            "grace_seconds": 30.0, "from_the_future": {"ignored": true},
        },
    })
}

fn run(mode: &str, requests: u64, lost: u64) -> Value {
    let latency = json!({"p50": 0.7, "p90": 1.1, "p95": 1.6, "p99": 5.2, "max": 5006.98});
    let losses: Vec<Value> = (0..lost).map(|index| loss(index, lost)).collect();
    let causes: Vec<Value> = CAUSES
        .iter()
        .enumerate()
        .map(|(index, (cause, outcome))| {
            let count = (0..lost).filter(|n| *n as usize % CAUSES.len() == index).count();
            json!({"cause": cause, "count": count, "outcomes": {*outcome: count}, "latest_after_sigterm": 0.9})
        })
        .filter(|cause| cause["count"] != 0)
        .collect();
    let killed = mode == "ignore";
    json!({
        "mode": mode, "repeat": 0, "seed": 7, "pre_stop": "http",
        "requests": requests, "lost": lost, "outcomes": {"ok": requests - lost, "refused": lost},
        "lost_with_retries": lost / 2, "latency_ms": latency, "send_delay_ms": latency,
        "latency_histogram": [{"upto_ms": 1.0, "count": requests - 10}, {"upto_ms": 5011.872, "count": 10}],
        "rollout_began": 3.0, "rollout_seconds": if killed { 32.5 } else { 8.25 },
        "killed": if killed { 4 } else { 0 }, "causes": causes,
        "streams": STREAMS.map(|name| json!({
            "name": name, "requests": requests / 2, "lost": lost / 2,
            "outcomes": {"ok": (requests - lost) / 2}, "latency_ms": latency,
        })),
        "pods": (0..8).map(|index| pod(index, killed)).collect::<Vec<_>>(),
        "losses": losses,
        "seconds": (0..40).map(|at| second(at, requests, &losses)).collect::<Vec<_>>(),
    })
}

fn loss(index: u64, of: u64) -> Value {
    let at = 4.0 + 6.0 * index as f64 / of as f64;
    let (cause, outcome) = CAUSES[index as usize % CAUSES.len()];
    json!({
        "at": at, "sent": at - 0.01, "stream": STREAMS[index as usize % 2], "outcome": outcome,
        "pod": format!("websample-v1-abc-{}", index % 4), "after_deletion": 0.6,
        "after_sigterm": 0.5, "cause": cause,
    })
}

fn pod(index: usize, killed: bool) -> Value {
    let old = index < 4;
    let name =
        if old { format!("websample-v1-abc-{index}") } else { format!("websample-v2-def-{index}") };
    let begin = if old { 0.0 } else { 3.0 + index as f64 / 4.0 };
    let mut events = vec![
        json!({"at": begin, "what": "created"}),
        json!({"at": begin + 0.3, "what": "started"}),
        json!({"at": begin + 0.6, "what": "ready"}),
        json!({"at": begin + 0.65, "what": "endpoint_ready_true", "detail": "serving=true terminating=false"}),
        json!({"at": begin + 0.7, "what": "proxy_changed", "detail": "service: routed"}),
    ];
    if old {
        let leaves = 4.0 + index as f64;
        let exits = if killed { leaves + 30.0 } else { leaves + 1.4 };
        events.extend([
            json!({"at": leaves, "what": "deleted"}),
            json!({"at": leaves + 0.01, "what": "hook_called"}),
            json!({"at": leaves + 0.1, "what": "sigterm"}),
            json!({"at": leaves + 0.9, "what": "proxy_changed", "detail": "service: not routed"}),
        ]);
        if killed {
            events.push(json!({"at": exits, "what": "sigkill"}));
        }
        let exit = if killed { "signal 9 (status 137)" } else { "exit code 0" };
        events.extend([
            json!({"at": exits, "what": "exited", "detail": exit}),
            json!({"at": exits + 0.3, "what": "sandbox_gone"}),
            json!({"at": exits + 0.8, "what": "removed"}),
        ]);
    }
    json!({"name": name, "version": if old { "v1" } else { "v2" }, "address": format!("127.1.1.{}:5000", index + 1), "events": events})
}

fn second(at: u64, requests: u64, losses: &[Value]) -> Value {
    let within = |loss: &&Value| loss["at"].as_f64().is_some_and(|time| time as u64 == at);
    let lost = losses.iter().filter(within).count();
    let answers = requests / 40;
    json!({
        "at": at, "versions": {"v1": if at < 6 { answers } else { 0 }, "v2": if at < 6 { 0 } else { answers }},
        "lost": if lost > 0 { json!({"refused": lost}) } else { json!({}) },
        "streams": {
            STREAMS[0]: {"versions": {"v2": answers / 2}, "lost": lost / 2},
            STREAMS[1]: {"versions": {"v2": answers / 2}, "lost": lost - lost / 2},
        },
        "in_flight": {"websample-v1-abc-0": 1.25, "websample-v2-def-5": 0.5},
    })
}
