//! The way back: until the Deployment is as it was, or what is left of it.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tokio::time::{Instant, sleep};

use websample_lifecycle::Signals;

use super::{Onlooker, change::Change, scene::Scene};
use crate::cluster::kubernetes::{Workload, persist::persist};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Sets a Deployment back, and says how far that came within this time, or until somebody does not want to
/// wait any more.
pub(super) async fn set_back(
    scene: &Scene,
    change: &Change,
    within: Duration,
    signals: &mut Signals,
    onlooker: &impl Onlooker,
) {
    let title = scene.reference.title(&scene.cluster.namespace);
    let (patch, words) = &change.undo;
    if let Err(error) = Change::make(scene, patch).await {
        return onlooker.say(&format!("{title} could not be set back: {error}"));
    }
    onlooker.say(&format!(
        "{title} is set back to {words}, which is a rollout too; Ctrl-C ends the wait for it"
    ));
    let undone = tokio::select! {
        undone = done(scene, within) => undone,
        _ = signals.next() => Undone::Left("nobody waited for it".to_owned()),
    };
    onlooker.say(&match undone {
        Undone::Done(took) => format!(
            "{title} is as it was ({words}), {:.1} s after it was set back",
            took.as_secs_f64()
        ),
        Undone::Left(left) => format!(
            "{title} is set back, and not yet as it was: {left}; `kubectl rollout status deployment/{} -n {}` \
             says how far it is",
            scene.reference.name, scene.cluster.namespace
        ),
    });
}

/// How far it came.
enum Undone {
    /// It is as it was, after so long.
    Done(Duration),
    /// Something is left: what.
    Left(String),
}

/// Waits until a Deployment that was set back is complete.
async fn done(scene: &Scene, within: Duration) -> Undone {
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
