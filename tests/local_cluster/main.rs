//! The local cluster with real processes: a small Python server in place of the sample.

mod disruptions;
mod harness;
mod sample;

use std::{io, time::Duration};

use harness::{Events, get, gone, pids, spec, version_behind};
use tokio::time::{Instant, sleep, timeout};
use websample_lab::{
    cluster::local::{
        ClusterError, ClusterSpec, CommandTemplate, Fallback, IntOrPercent, LocalCluster, Port,
        PreStop, Probe, ProgressCondition, Propagation, Scheme,
    },
    timeline::{Conditions, Exit, PodPhase, PodRecord, What},
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn started(spec: ClusterSpec) -> LocalCluster {
    let cluster = LocalCluster::new(spec, Instant::now()).unwrap();
    cluster.start("v1").await.unwrap();
    cluster
}

/// One pod that is replaced in place: its successor is created when it is deleted.
fn recreate(spec: ClusterSpec) -> ClusterSpec {
    let (max_surge, max_unavailable) = (IntOrPercent::Int(0), IntOrPercent::Int(1));
    ClusterSpec { replicas: 1, max_surge, max_unavailable, ..spec }
}

fn of(cluster: &LocalCluster, version: &str) -> Vec<PodRecord> {
    let pods = cluster.timeline().pods().into_iter();
    pods.filter(|pod| &*pod.version == version).collect()
}

fn at(pod: &PodRecord, what: &What) -> Duration {
    pod.first(|event| event == what).unwrap_or_else(|| panic!("no {what:?} in {pod:?}"))
}

/// From one moment to a later one.
fn from(earlier: Duration, later: Duration) -> Duration {
    later.checked_sub(earlier).unwrap_or_else(|| panic!("{later:?} is before {earlier:?}"))
}

/// Facts 8.2: at every event, never more than replicas + surge that are not terminating, and
/// never fewer than the minimum available.
fn assert_bounds(cluster: &LocalCluster) {
    let bounds = cluster.spec().bounds();
    let pods = cluster.timeline().pods();
    let rollout = of(cluster, "v2")[0].events[0].at;
    let times = pods.iter().flat_map(|pod| pod.events.iter().map(|event| event.at));
    for time in times.filter(|time| *time >= rollout) {
        let states: Vec<_> = pods.iter().filter_map(|pod| pod.state_at(time)).collect();
        let active = states.iter().filter(|state| state.deleted.is_none());
        let available = active.clone().filter(|state| state.ready).count() as u32;
        assert!(active.count() as u32 <= bounds.max_total(), "too many at {time:?}");
        assert!(available >= bounds.min_available(), "{available} available at {time:?}");
    }
}

#[tokio::test]
async fn a_rolling_update_keeps_its_bounds_and_ends_with_the_new_version() {
    let cluster = started(spec("die")).await;
    assert_eq!(version_behind(&*cluster.service()).await, "v1");
    cluster.rollout("v2").await.unwrap();
    cluster.settle().await;
    for _ in 0..8 {
        assert_eq!(version_behind(&*cluster.service()).await, "v2");
    }
    assert_bounds(&cluster);
    let (old, new) = (of(&cluster, "v1"), of(&cluster, "v2"));
    assert_eq!((old.len(), new.len()), (4, 4));
    // Rule 3.6: the first old pod is deleted before any new one is Ready.
    let first_deleted = old.iter().map(|pod| at(pod, &What::Deleted)).min().unwrap();
    assert!(first_deleted < new.iter().map(|pod| at(pod, &What::Ready)).min().unwrap());
    for pod in &old {
        assert_eq!(pod.exit(), Some(Exit::Signal(15)));
        // Facts 9: SIGTERM and the endpoint's change race, both soon after the deletion.
        let deleted = at(pod, &What::Deleted);
        let sigterm = from(deleted, at(pod, &What::Sigterm));
        let leaving = What::EndpointChanged(Conditions { serving: true, terminating: true });
        let changed = pod.first(|what| *what == leaving);
        assert!((ms(16)..ms(500)).contains(&sigterm), "{sigterm:?}");
        assert!(changed.is_none_or(|at| from(deleted, at) >= ms(16)), "{pod:?}");
        let end = [
            at(pod, &What::Exited(Exit::Signal(15))),
            at(pod, &What::SandboxGone),
            at(pod, &What::Removed),
        ];
        assert!(end.is_sorted() && pod.termination().unwrap() < ms(3_000), "{pod:?}");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn rule_3_7_min_ready_seconds_hold_the_update_back() {
    let min_ready = ms(1_500);
    let cluster = started(ClusterSpec { min_ready, replicas: 2, ..spec("die") }).await;
    cluster.rollout("v2").await.unwrap();
    assert_bounds(&cluster);
    let ready = of(&cluster, "v2").iter().map(|pod| at(pod, &What::Ready)).min().unwrap();
    let deleted = of(&cluster, "v1").iter().map(|pod| at(pod, &What::Deleted)).min().unwrap();
    // Two replicas at 25/25: surge 1, unavailable 0.
    assert!(from(ready, deleted) >= min_ready, "{ready:?} {deleted:?}");
    assert_eq!(cluster.progress(), Some(ProgressCondition::Complete));
    cluster.shutdown().await;
}

#[tokio::test]
async fn rules_2_5_and_2_6_hook_then_sigterm_then_sigkill() {
    let path = "/prestop?seconds=1.2".to_owned();
    let pre_stop = PreStop::Http { path, port: Port::App, scheme: Scheme::Http };
    let cluster =
        started(recreate(ClusterSpec { pre_stop, grace: ms(4_000), ..spec("ignore") })).await;
    cluster.rollout("v2").await.unwrap();
    let pod = of(&cluster, "v1").remove(0);
    let hook = from(at(&pod, &What::HookCalled), at(&pod, &What::HookReturned));
    let sigterm = at(&pod, &What::Sigterm);
    let left = from(sigterm, at(&pod, &What::Sigkill));
    assert!((ms(1_200)..ms(1_900)).contains(&hook), "{hook:?}");
    assert!(from(at(&pod, &What::HookReturned), sigterm) >= ms(10));
    // 4 s less the whole second that the hook took.
    assert!((ms(2_990)..ms(3_500)).contains(&left), "{left:?}");
    assert_eq!(pod.exit().map(Exit::status), Some(137));
    assert!(pod.killed());
    cluster.shutdown().await;
}

#[tokio::test]
async fn rules_2_5_and_2_7_a_hook_that_overruns_is_abandoned_and_two_seconds_remain() {
    let path = "/prestop?seconds=30".to_owned();
    let pre_stop = PreStop::Http { path, port: Port::App, scheme: Scheme::Http };
    let cluster =
        started(recreate(ClusterSpec { pre_stop, grace: ms(1_000), ..spec("ignore") })).await;
    cluster.rollout("v2").await.unwrap();
    let pod = of(&cluster, "v1").remove(0);
    let failed = pod.first(|what| matches!(what, What::HookFailed(_))).unwrap();
    let took = from(at(&pod, &What::HookCalled), failed);
    assert!((ms(990)..ms(1_500)).contains(&took), "{took:?}");
    let left = from(at(&pod, &What::Sigterm), at(&pod, &What::Sigkill));
    assert!((ms(1_990)..ms(2_500)).contains(&left), "{left:?}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn rule_2_9_a_sleep_hook_runs_in_full_though_the_process_is_gone() {
    let pre_stop = PreStop::Sleep(ms(1_000));
    let cluster = started(recreate(ClusterSpec { pre_stop, ..spec("die") })).await;
    let address = cluster.pods()[0].address.app;
    let mut events = Events::of(&cluster);
    let (rolled, ()) = tokio::join!(cluster.rollout("v2"), async {
        events.wait(|what| *what == What::HookCalled).await;
        let _ = get(address, "/exit").await;
    });
    rolled.unwrap();
    let pod = of(&cluster, "v1").remove(0);
    assert_eq!(pod.exit(), Some(Exit::Code(7)));
    assert!(at(&pod, &What::Exited(Exit::Code(7))) < at(&pod, &What::HookReturned));
    assert!(from(at(&pod, &What::HookCalled), at(&pod, &What::HookReturned)) >= ms(999));
    assert_eq!(pod.first(|what| *what == What::Sigterm), None, "nobody is there to get it");
    cluster.shutdown().await;
}

#[tokio::test]
async fn rule_2_11_a_dead_pod_refuses_and_then_its_address_swallows() {
    // A consumer that learns of everything very late, and gives up on packets early.
    let late = Propagation::Range(ms(60_000)..ms(60_000));
    let late = ClusterSpec { propagation: late, syn_timeout: ms(50), ..spec("die") };
    let cluster = started(recreate(late)).await;
    let service = cluster.service();
    let address = cluster.pods()[0].address.app;
    let mut events = Events::of(&cluster);
    let (rolled, now) = tokio::join!(cluster.rollout("v2"), async {
        events.wait(|what| matches!(what, What::Exited(_))).await;
        let refused = service.connect().await.unwrap_err();
        assert_eq!(refused.error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(refused.peer, Some(address));
        let refused_at = cluster.timeline().now();
        events.wait(|what| *what == What::SandboxGone).await;
        let vanished = service.connect().await.unwrap_err();
        assert_eq!(vanished.error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(vanished.peer, Some(address));
        refused_at
    });
    rolled.unwrap();
    // What an attribution would ask.
    let timeline = cluster.timeline();
    assert!(timeline.in_table("service", address, now));
    let state = timeline.pod_at(address, now).unwrap();
    assert!(matches!(state.phase, PodPhase::Dead { exit: Exit::Signal(15), .. }), "{state:?}");
    let state = timeline.pod_at(address, timeline.now()).unwrap();
    assert!(matches!(state.phase, PodPhase::SandboxGone { .. }), "{state:?}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn rule_4_6_the_last_endpoint_serves_while_it_terminates() {
    let now = Propagation::Range(Duration::ZERO..Duration::ZERO);
    let lingering = ClusterSpec { propagation: now.clone(), grace: ms(2_000), ..spec("ignore") };
    let cluster = started(recreate(lingering)).await;
    let strict = cluster.add_consumer("ingress", &now, Fallback::None);
    let mut events = Events::of(&cluster);
    let leaving = What::EndpointChanged(Conditions { serving: true, terminating: true });
    let (rolled, ()) = tokio::join!(cluster.rollout("v2"), async {
        events.wait(|what| *what == leaving).await;
        let mut table = strict.watch();
        table.wait_for(|table| table.routes.is_empty()).await.unwrap();
        assert_eq!(version_behind(&*cluster.service()).await, "v1");
    });
    rolled.unwrap();
    cluster.shutdown().await;
}

#[tokio::test]
async fn rule_1_11_a_pod_that_fails_its_liveness_is_restarted_in_place() {
    let mut sick = spec("die");
    sick.replicas = 1;
    // Holds liveness back while the server starts.
    sick.probes.startup = Some(Probe { failure_threshold: 300, ..Probe::tcp().every(ms(100)) });
    sick.probes.liveness = Some(Probe::http("/liveness").every(ms(100)));
    let cluster = started(sick).await;
    let address = cluster.pods()[0].address.app;
    let mut events = Events::of(&cluster);
    get(address, "/sick").await.unwrap();
    events.wait(|what| *what == What::Sigterm).await;
    events.wait(|what| *what == What::NotReady).await;
    events.wait(|what| *what == What::Restarted(1)).await;
    events.wait(|what| *what == What::Ready).await;
    assert_eq!(get(address, "/").await.unwrap(), "v1");
    let pod = of(&cluster, "v1").remove(0);
    let failures = pod.events.iter().filter(|event| event.what.name() == "probe_failed");
    assert!(failures.count() >= 3);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_program_that_does_not_start_is_named() {
    let mut missing = spec("die");
    missing.command = CommandTemplate::new("/nowhere/server", ["{host}"]);
    let cluster = LocalCluster::new(missing, Instant::now()).unwrap();
    let error = cluster.start("v1").await.unwrap_err();
    assert!(error.to_string().starts_with("cannot start '/nowhere/server': "), "{error}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_program_that_ends_early_is_quoted() {
    let cluster = LocalCluster::new(spec("crash"), Instant::now()).unwrap();
    let error = cluster.start("v1").await.unwrap_err();
    assert!(matches!(error, ClusterError::Exited { exit: Exit::Code(3), .. }), "{error}");
    assert!(error.to_string().ends_with("| about to crash"), "{error}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_pod_that_never_gets_ready_fails_at_its_deadline() {
    let never = ClusterSpec { ready_deadline: ms(5_000), ..spec("unready") };
    let cluster = LocalCluster::new(never, Instant::now()).unwrap();
    let error = cluster.start("v1").await.unwrap_err().to_string();
    assert!(error.contains("was not ready after 5s"), "{error}");
    assert!(error.contains("readiness probe: status 503"), "{error}");
    assert!(error.contains("| pid "), "{error}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn clusters_run_side_by_side_and_end_when_dropped_mid_rollout() {
    let logs = tempfile::tempdir().unwrap();
    let with_logs = |name: &str| ClusterSpec {
        logs: Some(logs.path().to_owned()),
        name: name.to_owned(),
        ..spec("ignore")
    };
    let (one, two) = tokio::join!(started(with_logs("one")), started(with_logs("two")));
    let mut events = Events::of(&one);
    let cancelled = async {
        events.wait(|what| *what == What::Sigterm).await;
    };
    tokio::select! {
        _ = one.rollout("v2") => panic!("an ignored SIGTERM takes the whole grace"),
        () = cancelled => {}
    }
    let pids = pids(logs.path());
    assert!(pids.len() >= 8, "{pids:?}");
    drop(one);
    timeout(ms(5_000), two.shutdown()).await.unwrap();
    gone(&pids).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_lab_that_is_killed_leaves_nothing_behind() {
    let logs = tempfile::tempdir().unwrap();
    let mut lab = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lab_to_be_killed", "--ignored"])
        .env("LAB_LOGS", logs.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while pids(logs.path()).len() < 4 {
        assert!(lab.try_wait().unwrap().is_none(), "the lab ended by itself");
        sleep(ms(20)).await;
    }
    lab.kill().await.unwrap();
    gone(&pids(logs.path())).await;
}

/// The lab of the test above; by itself it does nothing.
#[tokio::test]
#[ignore = "runs inside another test"]
async fn lab_to_be_killed() {
    let Some(logs) = std::env::var_os("LAB_LOGS") else { return };
    let _cluster = started(ClusterSpec { logs: Some(logs.into()), ..spec("ignore") }).await;
    std::future::pending::<()>().await;
}
