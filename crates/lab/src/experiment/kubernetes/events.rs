//! What happens to a Deployment of ours on a cluster, as people, autoscalers and nodes bring it about.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use super::{Failure, OnCluster, POD_LIMIT};
use crate::{
    cluster::{
        kubernetes::{View, manifests::Change, observer::Glance},
        local::EVICTION_RETRY,
    },
    disruption::Disruption,
    versions::{FROM, TO},
};

/// Pods, by their names.
type Names = HashSet<Arc<str>>;

impl OnCluster<'_> {
    /// Brings an event about, and waits until it is over.
    pub(super) async fn disrupt_by(&self, event: Disruption) -> Result<(), Failure> {
        let before = self.pods();
        let images = &self.session.options.images;
        let all = self.experiment.variant.cluster.replicas;
        let is_new = |view: &View| all_are(view, TO);
        let is_replaced = |view: &View| replaced(view, &before);
        match event {
            Disruption::Update => {
                self.apply(&images.v2, Change::default()).await?;
                self.until(is_new).await
            }
            Disruption::Recreate => {
                self.apply(&images.v2, Change { recreates: true, ..Change::default() }).await?;
                self.until(is_new).await
            }
            Disruption::Restart => {
                let now = humantime::format_rfc3339_seconds(SystemTime::now());
                let restarted = Some(now.to_string());
                self.apply(&images.v1, Change { restarted, ..Change::default() }).await?;
                self.until(is_replaced).await
            }
            Disruption::Rollback => {
                self.apply(&images.v2, Change::default()).await?;
                let of_update = |view: &View| {
                    let ready = |pod: &&Glance| is_ready(pod) && *pod.version == *TO;
                    2 * view.pods.iter().filter(ready).count() >= all as usize
                };
                self.until(of_update).await?;
                self.apply(&images.v1, Change::default()).await?;
                self.until(|view| all_are(view, FROM)).await
            }
            Disruption::ScaleIn => self.scale(all.div_ceil(2)).await,
            Disruption::ScaleToZeroAndBack => {
                let none = Some(0);
                self.apply(&images.v1, Change { replicas: none, ..Change::default() }).await?;
                self.until(|view| view.pods.iter().all(|pod| pod.terminating)).await?;
                self.apply(&images.v1, Change::default()).await?;
                self.until(is_replaced).await
            }
            Disruption::DeleteAll => {
                for pod in &before {
                    self.session.delete_pod(pod).await?;
                }
                self.until(is_replaced).await
            }
            Disruption::Evict => self.evict(&before, None).await,
            Disruption::NodeDrain => self.evict(&before, Some(EVICTION_RETRY)).await,
            Disruption::NodeShutdown
            | Disruption::Liveness
            | Disruption::Crash
            | Disruption::Handoff => {
                unreachable!("refused before anything was done: {event}")
            }
        }
    }

    async fn apply(&self, image: &str, change: Change) -> Result<(), Failure> {
        self.session.apply(&self.made, &self.made.changed(image, &change)).await?;
        Ok(())
    }

    async fn scale(&self, replicas: u32) -> Result<(), Failure> {
        let change = Change { replicas: Some(replicas), ..Change::default() };
        self.apply(&self.session.options.images.v1, change).await?;
        let wanted = |view: &View| {
            view.workload.as_deref().is_some_and(|workload| workload.wanted() == replicas)
        };
        self.until(|view| wanted(view) && view.settled()).await
    }

    /// Evicts pod after pod, each once all are available. Whoever has to wait asks again when something
    /// has changed, or after `retry`.
    async fn evict(&self, pods: &Names, retry: Option<Duration>) -> Result<(), Failure> {
        let all = self.experiment.variant.cluster.replicas as usize;
        let available = |view: &View| view.pods.iter().filter(|pod| is_ready(pod)).count() >= all;
        let mut left: Vec<_> = pods.iter().cloned().collect();
        left.sort_unstable();
        while let Some(pod) = left.first() {
            // The API counts like this, and the client would ask by itself again, at times of its own.
            let may = available(&self.view.borrow());
            if may && self.session.evict(pod).await? {
                let gone = Arc::clone(pod);
                left.remove(0);
                // What was allowed has to be seen before the next one is asked for.
                self.until(|view| view.pods.iter().all(|pod| pod.name != gone || pod.terminating))
                    .await?;
                continue;
            }
            match retry {
                Some(retry) => sleep(retry).await,
                None => self.until(available).await?,
            }
        }
        self.until(|view| replaced(view, pods)).await
    }

    fn pods(&self) -> Names {
        self.view.borrow().pods.iter().map(|pod| Arc::clone(&pod.name)).collect()
    }

    async fn until(&self, so: impl Fn(&View) -> bool) -> Result<(), Failure> {
        let spec = &self.experiment.variant.cluster;
        // As if its pods were replaced one after the other.
        let each = spec.grace + spec.min_ready + POD_LIMIT;
        self.wait(self.session.options.ready_within + each * spec.replicas, so).await
    }
}

fn is_ready(pod: &Glance) -> bool {
    pod.ready && !pod.terminating
}

fn all_are(view: &View, version: &str) -> bool {
    view.settled() && view.pods.iter().all(|pod| *pod.version == *version)
}

fn replaced(view: &View, before: &Names) -> bool {
    view.settled() && view.pods.iter().all(|pod| !before.contains(&pod.name))
}
