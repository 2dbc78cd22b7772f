//! Watches and logs that break off: nothing that happened meanwhile is missed.

use serde_json::Value;

use crate::{api::Server, behaviour::Behaviour, lab::Ran, rollout::start};

/// A rollout whose connections are broken off in the middle of the update in this way.
fn broken(breaks: impl Fn(&Server)) -> (Server, Ran) {
    let server = Server::start(Behaviour::Real, Behaviour::Real);
    let mut lab = start(&server, &["--modes", "drain", "--rate", "40"]);
    lab.is_rolling_out();
    breaks(&server);
    (server, lab.end())
}

/// Checks that the whole history was seen, and every request counted.
fn whole(server: &Server, ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let run = ran.report()["runs"][0].clone();
    assert_eq!(run["lost"], 0, "{ran:?}");
    let pods = run["pods"].as_array().expect("pods");
    let old: Vec<_> = pods.iter().filter(|pod| pod["version"] == "v1").collect();
    assert_eq!((pods.len(), old.len()), (4, 2), "{run}");
    for pod in old {
        let events = pod["events"].as_array().expect("events");
        assert!(events.iter().any(|event| event["what"] == "removed"), "{pod}");
        let times: Vec<_> = events.iter().map(|event| event["at"].as_f64()).collect();
        assert!(times.is_sorted(), "{pod}");
    }
    assert_eq!(server.api.store.titles(), ["namespaces/websample"]);
    run
}

#[test]
fn a_dropped_watch_is_taken_up_where_it_was() {
    let (server, ran) = broken(|server| server.api.break_watches());
    let run = whole(&server, &ran);
    // An orderly end of a watch is nothing to speak of: nothing was late.
    assert_eq!(run["clock"]["watch_restarts"], 0);
}

#[test]
fn after_410_gone_everything_is_listed_again() {
    let (server, ran) = broken(|server| {
        server.api.store.compact();
        server.api.break_watches();
    });
    let run = whole(&server, &ran);
    assert!(run["clock"]["watch_restarts"].as_u64() > Some(0), "{}", run["clock"]);
}

#[test]
fn a_log_that_broke_off_is_read_again_and_counted_once() {
    let (server, ran) = broken(|server| server.api.break_logs());
    let run = whole(&server, &ran);
    let outcomes = run["outcomes"].as_object().expect("outcomes");
    let counted: u64 = outcomes.values().filter_map(Value::as_u64).sum();
    assert_eq!(Some(counted), run["requests"].as_u64());
    let by_second = run["seconds"].as_array().expect("seconds").iter();
    let versions = by_second.filter_map(|second| second["versions"].as_object());
    let ended: u64 =
        versions.flat_map(|versions| versions.values()).filter_map(Value::as_u64).sum();
    assert_eq!(Some(ended), run["requests"].as_u64(), "each ended in one second");
}
