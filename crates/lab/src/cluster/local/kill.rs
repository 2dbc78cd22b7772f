//! The kill path of a container: preStop, SIGTERM, SIGKILL (facts 2.4-2.10).

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use websample_kubernetes::termination::remaining;

use super::{http, kubelet::Agent, process::Process, seed::Seed, spec::PreStop};
use crate::timeline::What;

/// From the hook's return, or the decision to stop, to SIGTERM (facts 9).
const STOP_MILLIS: std::ops::Range<u64> = 10..19;

impl Agent {
    /// Ends a container's process, within `grace` and what the floor of two seconds adds.
    pub(super) async fn kill(&self, process: &Process, grace: Duration, seed: Seed) {
        // Holds the hook's connection open until the container is dead (facts 2.7).
        let mut hook = JoinSet::new();
        let took = self.pre_stop(grace, &mut hook).await;
        sleep(seed.child("stop").millis(STOP_MILLIS)).await;
        if process.exit().is_none() {
            self.record(What::Sigterm);
            process.terminate();
        }
        let left = remaining(grace, took);
        if timeout(left, process.exited()).await.is_err() {
            self.record(What::Sigkill);
            process.kill();
            process.exited().await;
        }
    }

    /// Runs the hook for as long as the grace allows, and says how long that was. Nothing
    /// watches for the container's exit meanwhile (facts 2.9).
    async fn pre_stop(&self, grace: Duration, hook: &mut JoinSet<()>) -> Duration {
        let pre_stop = &self.node.spec.pre_stop;
        if *pre_stop == PreStop::None {
            return Duration::ZERO;
        }
        self.record(What::HookCalled);
        let called = Instant::now();
        let result = match pre_stop {
            PreStop::None => Ok(()),
            PreStop::Sleep(duration) => {
                sleep((*duration).min(grace)).await;
                if *duration > grace { Err("abandoned: it outlasts the grace") } else { Ok(()) }
                    .map_err(str::to_owned)
            }
            PreStop::Http { path, port, scheme } => {
                let (address, scheme, path) = (self.pod.address.of(*port), *scheme, path.clone());
                let (returned, result) = tokio::sync::oneshot::channel();
                // A task of its own: a hook that overruns is abandoned, not cancelled.
                hook.spawn(async move {
                    match http::pre_stop(address, scheme, &path).await {
                        Ok(idle) => {
                            let _ = returned.send(Ok(()));
                            std::future::pending::<()>().await;
                            drop(idle);
                        }
                        Err(error) => drop(returned.send(Err(error))),
                    }
                });
                match timeout(grace, result).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(_)) => Err("the hook's task is gone".to_owned()),
                    Err(_) => Err("abandoned: no answer within the grace".to_owned()),
                }
            }
        };
        let took = called.elapsed();
        self.record(match result {
            Ok(()) => What::HookReturned,
            Err(reason) => What::HookFailed(reason),
        });
        took
    }

    fn record(&self, what: What) {
        self.node.timeline.record(&self.pod.name, what);
    }
}
