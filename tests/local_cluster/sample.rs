//! The sample server itself, rolled out under new connections.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::interval};
use websample_lab::{
    cluster::local::{ClusterSpec, CommandTemplate, LocalCluster},
    timeline::Exit,
};

use crate::{
    harness::{spec, try_version_behind},
    of, started,
};

fn sample(mode: &str) -> ClusterSpec {
    let command = CommandTemplate::new(env!("CARGO_BIN_EXE_websample"), ["serve"])
        .env("WEBSAMPLE_LISTEN", "{host}:{port}")
        .env("WEBSAMPLE_ADMIN__LISTEN", "{host}:{admin_port}")
        .env("WEBSAMPLE_MODE", mode);
    ClusterSpec { command, ..spec("unused") }
}

/// Rolls out v2 while a connection is made every five milliseconds: how many, and how many of
/// them got no answer.
async fn roll_out_under_load(cluster: &LocalCluster) -> (usize, usize) {
    let service = cluster.service();
    let mut requests = JoinSet::new();
    let mut rollout = std::pin::pin!(cluster.rollout("v2"));
    let mut due = interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            rolled = &mut rollout => break rolled.unwrap(),
            _ = due.tick() => {
                let service = Arc::clone(&service);
                requests.spawn(async move { try_version_behind(&*service).await.is_err() });
            }
        }
    }
    let lost = requests.join_all().await;
    (lost.len(), lost.iter().filter(|lost| **lost).count())
}

#[tokio::test]
async fn the_sample_drains_without_losing_a_new_connection() {
    let cluster = started(sample("drain")).await;
    let (sent, lost) = roll_out_under_load(&cluster).await;
    assert!(sent > 500, "{sent}");
    assert_eq!(lost, 0, "of {sent}");
    for pod in of(&cluster, "v1") {
        assert_eq!(pod.exit(), Some(Exit::Code(0)), "{pod:?}");
        assert!(!pod.killed());
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_sample_loses_connections_where_it_exits_at_once() {
    let cluster = started(sample("immediate")).await;
    let (sent, lost) = roll_out_under_load(&cluster).await;
    assert!(lost > 0, "of {sent}");
    cluster.shutdown().await;
}
