//! Every way in which pods go besides a rolling update.

use std::time::Duration;

use websample_lab::{
    cluster::local::{ClusterSpec, LocalCluster},
    timeline::{Exit, PodRecord, What},
};

use super::{at, ms, of, started};
use crate::harness::spec;

/// Ready pods that are not being deleted.
fn serving(cluster: &LocalCluster) -> usize {
    cluster.pods().iter().filter(|pod| pod.ready && !pod.terminating).count()
}

fn deleted(pod: &PodRecord) -> Option<Duration> {
    pod.first(|what| *what == What::Deleted)
}

/// The fewest pods that were ready, and not being deleted, at any event from a time on.
fn fewest_available(cluster: &LocalCluster, since: Duration) -> usize {
    let pods = cluster.timeline().pods();
    let times = pods.iter().flat_map(|pod| pod.events.iter().map(|event| event.at));
    let available = |time| {
        let states = pods.iter().filter_map(|pod| pod.state_at(time));
        states.filter(|state| state.ready && state.deleted.is_none()).count()
    };
    times.filter(|time| *time >= since).map(available).min().expect("events")
}

#[tokio::test]
async fn a_restart_replaces_all_pods_by_others_of_the_same_version() {
    let cluster = started(spec("die")).await;
    let before: Vec<_> = of(&cluster, "v1").iter().map(|pod| pod.name.clone()).collect();
    let began = cluster.timeline().now();
    cluster.restart().await.unwrap();
    assert_eq!(serving(&cluster), 4);
    let now: Vec<_> = cluster.pods().iter().map(|pod| pod.name.clone()).collect();
    assert!(now.iter().all(|name| !before.contains(name)), "{before:?} {now:?}");
    // The third part is the template's hash, and the template has changed.
    let hash = |name: &str| name.split('-').nth(2).map(str::to_owned);
    assert_ne!(hash(&before[0]), hash(&now[0]));
    assert!(fewest_available(&cluster, began) >= 3, "within maxUnavailable");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_rollback_in_the_middle_ends_with_the_version_from_before() {
    let cluster = started(spec("die")).await;
    cluster.rollback("v2").await.unwrap();
    assert!(cluster.pods().iter().all(|pod| &*pod.version == "v1"));
    assert_eq!(serving(&cluster), 4);
    let undone = of(&cluster, "v2");
    assert!(undone.iter().filter(|pod| pod.first(|w| *w == What::Ready).is_some()).count() >= 2);
    assert!(undone.iter().all(|pod| deleted(pod).is_some()));
    cluster.shutdown().await;
}

#[tokio::test]
async fn recreate_has_no_new_pod_before_the_last_old_one_is_gone() {
    let cluster = started(ClusterSpec { replicas: 2, ..spec("die") }).await;
    cluster.recreate("v2").await.unwrap();
    let gone = of(&cluster, "v1").iter().map(|pod| at(pod, &What::Removed)).max();
    let come = of(&cluster, "v2").iter().map(|pod| pod.events[0].at).min();
    assert!(gone < come, "{gone:?} {come:?}");
    assert_eq!(of(&cluster, "v2").len(), 2);
    cluster.shutdown().await;
}

#[tokio::test]
async fn scaling_in_takes_away_what_is_too_much_and_nothing_else() {
    let cluster = started(spec("die")).await;
    cluster.scale(2).await.unwrap();
    let pods = of(&cluster, "v1");
    assert_eq!((pods.len(), serving(&cluster)), (4, 2));
    assert_eq!(pods.iter().filter(|pod| deleted(pod).is_some()).count(), 2);
    cluster.scale_to_zero_and_back().await.unwrap();
    let pods = of(&cluster, "v1");
    assert_eq!((pods.len(), serving(&cluster)), (8, 4), "as many as the Deployment began with");
    cluster.shutdown().await;
}

#[tokio::test]
async fn all_pods_deleted_at_once_are_all_replaced() {
    let cluster = started(spec("die")).await;
    cluster.delete_all().await.unwrap();
    let (old, new): (Vec<_>, Vec<_>) =
        of(&cluster, "v1").into_iter().partition(|pod| deleted(pod).is_some());
    assert_eq!((old.len(), new.len(), serving(&cluster)), (4, 4, 4));
    let last = old.iter().filter_map(deleted).max().expect("a time");
    assert!(new.iter().all(|pod| pod.events[0].at >= last), "none comes before all are deleted");
    cluster.shutdown().await;
}

#[tokio::test]
async fn evictions_keep_to_the_budget_whether_they_wait_or_ask_again() {
    for retry in [None, Some(ms(200))] {
        let cluster = started(ClusterSpec { replicas: 3, ..spec("die") }).await;
        let began = cluster.timeline().now();
        cluster.evict(retry).await.unwrap();
        assert_eq!(of(&cluster, "v1").iter().filter(|pod| deleted(pod).is_some()).count(), 3);
        assert_eq!(serving(&cluster), 3);
        assert_eq!(fewest_available(&cluster, began), 2, "one at a time");
        cluster.shutdown().await;
    }
}

#[tokio::test]
async fn a_failed_liveness_probe_ends_containers_one_after_the_other_and_no_pod() {
    let cluster = started(ClusterSpec { replicas: 2, ..spec("die") }).await;
    cluster.fail_liveness().await.unwrap();
    let pods = of(&cluster, "v1");
    assert_eq!((pods.len(), serving(&cluster)), (2, 2));
    for pod in &pods {
        assert_eq!(deleted(pod), None);
        assert!(at(pod, &What::Sigterm) < at(pod, &What::Restarted(1)));
        let failed = pod.first(|what| matches!(what, What::ProbeFailed { probe: "liveness", .. }));
        assert!(failed.is_some(), "{pod:?}");
    }
    let [first, second] = &pods[..] else { unreachable!("two") };
    assert!(at(first, &What::Restarted(1)) < at(second, &What::Sigterm));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_node_that_shuts_down_ends_half_of_the_pods_and_others_come_once_these_have_failed() {
    let cluster = started(spec("die")).await;
    cluster.shut_node_down().await.unwrap();
    assert_eq!(serving(&cluster), 4);
    let pods = of(&cluster, "v1");
    let (gone, others): (Vec<_>, Vec<_>) =
        pods.iter().partition(|pod| pod.first(|what| *what == What::Sigterm).is_some());
    assert_eq!((gone.len(), others.len()), (2, 4));
    let mut failed: Vec<_> = gone.iter().map(|pod| at(pod, &What::NotReady)).collect();
    failed.sort_unstable();
    let mut came: Vec<_> = others.iter().map(|pod| pod.events[0].at).collect();
    came.sort_unstable();
    // The two that were on the other node from the beginning, and a new one for each that failed.
    for (failed, came) in failed.iter().zip(&came[2..]) {
        assert!(failed <= came, "{failed:?} {came:?}");
    }
    for pod in gone {
        assert_eq!(deleted(pod), None, "{pod:?}");
        let told = pod
            .first(|what| matches!(what, What::Warning { reason, .. } if reason == "NodeShutdown"));
        assert!(told.is_some() && told <= Some(at(pod, &What::Sigterm)), "{pod:?}");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_process_that_is_killed_is_started_again_in_its_pod() {
    let cluster = started(ClusterSpec { replicas: 2, ..spec("ignore") }).await;
    cluster.crash().await.unwrap();
    let pods = of(&cluster, "v1");
    assert_eq!((pods.len(), serving(&cluster)), (2, 2));
    for pod in &pods {
        let exited = at(pod, &What::Exited(Exit::Signal(9)));
        assert!(exited < at(pod, &What::Restarted(1)));
        // By nobody whom the pod knows of.
        assert_eq!(pod.first(|what| matches!(what, What::Sigterm | What::Sigkill)), None);
        assert_eq!(deleted(pod), None);
    }
    cluster.shutdown().await;
}
