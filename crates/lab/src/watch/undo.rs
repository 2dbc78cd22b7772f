//! The way back: until the Deployment is as it was, or what is left of it.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tokio::time::{Instant, sleep};

use super::scene::Scene;
use crate::cluster::kubernetes::{Workload, persist::persist};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// How far it came.
pub(super) enum Undone {
    /// It is as it was, after so long.
    Done(Duration),
    /// Something is left: what.
    Left(String),
}

/// Waits until a Deployment that was set back is complete.
pub(super) async fn done(scene: &Scene, within: Duration) -> Undone {
    let cluster = &scene.cluster;
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let began = Instant::now();
    loop {
        let object = match persist(|| api.get(&scene.reference.name)).await {
            Ok(object) => object,
            Err(error) => return Undone::Left(error.to_string()),
        };
        let observed = object.status.as_ref().and_then(|status| status.observed_generation);
        // What is said of a generation before this one is about what was taken back.
        let is_seen = observed >= object.metadata.generation;
        let workload = Workload::Deployment(Box::new(object));
        if workload.complete() {
            return Undone::Done(began.elapsed());
        }
        if let Some(trouble) = workload.trouble().filter(|_| is_seen) {
            return Undone::Left(trouble.what());
        }
        if let Some(held) = workload.held() {
            return Undone::Left(held.to_owned());
        }
        if began.elapsed() >= within {
            let within = humantime::format_duration(within);
            return Undone::Left(format!("after {within} {}", workload.missing()));
        }
        sleep(LOOK).await;
    }
}
