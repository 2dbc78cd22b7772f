//! The kubelet's part in one pod's life: start, probes, restarts, the end (facts 1 and 2).

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, sleep_until};
use websample_kubernetes::termination::effective_grace;

use super::{
    error::ClusterError,
    hint::Hint,
    logs::Logs,
    node::{Given, Node},
    probe::{ProbeKind, restart_backoff},
    prober::{ProbeEvent, Prober, Times},
    process::Process,
    replica_set::PodPhase,
    seed::Seed,
    store::Pod,
    supervisor::{News, Supervision, Supervisor},
};
use crate::{
    timeline::{Exit, What},
    timings::{Distribution, Times as Measured},
};

/// From a deletion to its kubelet acting on it (facts 9: the hook is called 6-11 ms after it).
const NOTICE_MILLIS: std::ops::Range<u64> = 6..11;
/// The same, now and then (facts 2.3).
const LATE_NOTICE_MILLIS: std::ops::Range<u64> = 800..2_000;
/// From the end of the container to the end of the sandbox, its network (facts 2.11).
const SANDBOX_MILLIS: std::ops::Range<u64> = 50..300;
/// From there to the end of the pod object: with the above, what a pod that exits at once
/// takes to terminate (facts 9: 0.6-0.9 s).
const REMOVAL_MILLIS: std::ops::Range<u64> = 350..750;
/// A container that ended by itself is noticed by the next look at all of them.
const RELIST_MILLIS: std::ops::Range<u64> = 0..1_000;

/// An empty directory at this path.
fn fresh(path: &Path) -> Result<PathBuf, ClusterError> {
    let removed = match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    removed.and_then(|()| fs::create_dir_all(path)).map_err(|source| ClusterError::Directory {
        path: path.display().to_string(),
        source: Arc::new(source),
    })?;
    Ok(path.to_owned())
}

/// Takes care of a pod from its creation to its end.
pub(super) async fn run(node: Arc<Node>, pod: Arc<Pod>) {
    let seed = node.seed.child("kubelet").child(&pod.name);
    let admitted = Instant::now();
    let logs = match node.logs_of(&pod) {
        Ok(logs) => logs,
        Err(error) => {
            node.store.fail(error);
            return;
        }
    };
    let agent = Agent { node, pod, seed, admitted, logs };
    agent.live().await;
    agent.tear_down().await;
}

/// The kubelet's worker of one pod.
pub(super) struct Agent {
    pub(super) node: Arc<Node>,
    pub(super) pod: Arc<Pod>,
    pub(super) seed: Seed,
    admitted: Instant,
    logs: Logs,
}

/// Why a container is no more.
enum Ended {
    /// The pod was deleted.
    Deleted,
    /// Its process ended by itself.
    ByItself(Exit),
    /// A probe had it killed.
    Killed,
    /// Its node shuts down.
    ShutDown,
}

impl Agent {
    async fn live(&self) {
        let seed = self.seed.child("container_start");
        let start = self.recorded(seed, |times| &times.start);
        let start = start.unwrap_or_else(|| seed.duration(&self.node.spec.container_start));
        if self.deleted_within(start).await {
            return;
        }
        let mut restarts = 0;
        let mut was_ready = false;
        loop {
            let process = match self.start(restarts) {
                Ok(process) => process,
                Err(error) => {
                    self.node.store.fail(error);
                    return self.pod.deletion.cancelled().await;
                }
            };
            let ended = self.supervise(&process, restarts, &mut was_ready).await;
            match ended {
                Ended::Deleted | Ended::ShutDown => return,
                Ended::Killed => self.set_ready(false),
                Ended::ByItself(exit) => {
                    if self.owes_handoff() {
                        self.node.store.fail(ClusterError::NotHandedOver {
                            pod: Arc::clone(&self.pod.name),
                            reason: format!("it ended with {exit}"),
                        });
                    }
                    if !was_ready {
                        let hint = Hint::ended(exit, &self.node.listeners_elsewhere());
                        self.node.store.fail(ClusterError::Exited {
                            pod: Arc::clone(&self.pod.name),
                            exit,
                            hint,
                            log: self.logs.last_words().await,
                        });
                    }
                    let relist = self.seed.child(&format!("relist/{restarts}"));
                    let deleted = self.deleted_within(relist.millis(RELIST_MILLIS)).await;
                    self.set_ready(false);
                    if deleted {
                        return;
                    }
                }
            }
            if self.deleted_within(restart_backoff(restarts)).await {
                return;
            }
            restarts += 1;
        }
    }

    /// A time that was measured elsewhere, where one is to be replayed.
    fn recorded(&self, seed: Seed, which: fn(&Measured) -> &Distribution) -> Option<Duration> {
        let timings = self.node.spec.propagation.recorded()?;
        seed.one_of(which(&timings.seconds).times()).copied()
    }

    /// Waits so long; `true` if the pod is deleted before or by then.
    async fn deleted_within(&self, wait: Duration) -> bool {
        let waiting = self.pod.deletion.run_until_cancelled(sleep(wait));
        waiting.await.is_none() || self.pod.deletion.is_cancelled()
    }

    fn start(&self, restarts: u32) -> Result<Process, ClusterError> {
        let spec = &self.node.spec;
        let directory = match &spec.directory {
            // Empty again for a container that is restarted, as its file system is.
            Some(all) if self.pod.command.names_directory() => {
                Some(fresh(&all.join(&*self.pod.name))?)
            }
            _ => None,
        };
        let given = Given { identity: spec.identity.as_ref(), directory: directory.as_deref() };
        let template = self.pod.command.render(&self.pod, &given);
        let mut command = Command::new(&template.program);
        command.args(&template.args).envs(template.env);
        let started = if restarts == 0 { What::Started } else { What::Restarted(restarts) };
        // Before the process exists, so that nothing it does can be recorded earlier.
        self.node.timeline.record(&self.pod.name, started);
        let (timeline, name) = (self.node.timeline.clone(), Arc::clone(&self.pod.name));
        let on_exit = move |exit| timeline.record(&name, What::Exited(exit));
        let supervision = self.supervision(restarts);
        let process = supervision.and_then(|supervision| {
            self.node.processes.spawn(command, &self.logs, supervision, on_exit)
        });
        let process = process.map_err(|source| ClusterError::Start {
            hint: Hint::not_started(&template.program, source.kind()),
            program: template.program,
            source: Arc::new(source),
        })?;
        self.node.store.update_pod(self.pod.id, |status| {
            status.phase = PodPhase::Running;
            status.restarts = restarts;
        });
        Ok(process)
    }

    /// What follows the process where it may hand over to a successor.
    fn supervision(&self, restarts: u32) -> io::Result<Option<Supervision>> {
        if !self.node.spec.hands_over {
            return Ok(None);
        }
        let supervisor = Supervisor::new(&format!("{}-{restarts}", self.pod.name))?;
        let (node, pod) = (Arc::clone(&self.node), Arc::clone(&self.pod));
        Ok(Some(Supervision::new(supervisor, move |news| match news {
            News::HandedOver => node.timeline.record(&pod.name, What::HandedOver),
            News::PredecessorExited(exit) => {
                node.timeline.record(&pod.name, What::PredecessorExited(exit));
                node.store.update_pod(pod.id, |status| status.handoffs += 1);
            }
            News::Failed(reason) => {
                let pod = Arc::clone(&pod.name);
                node.store.fail(ClusterError::NotHandedOver { pod, reason });
            }
        })))
    }

    /// Tells the process to hand over. What comes of it is heard by its supervision.
    fn hand_over(&self, process: &Process) {
        self.node.timeline.record(&self.pod.name, What::HandoffAsked);
        process.signal(Signal::SIGUSR2);
    }

    /// Whether it was told to hand over more often than it has.
    fn owes_handoff(&self) -> bool {
        let told = self.pod.harm.borrow().handoffs;
        let pod = self.pod.id;
        self.node
            .store
            .read(|state| state.pods.get(&pod).is_some_and(|(_, status)| status.handoffs < told))
    }

    /// Watches over a container until it is no more.
    async fn supervise(&self, process: &Process, restarts: u32, was_ready: &mut bool) -> Ended {
        let told = &self.node.spec.probes;
        let sync = self.seed.child(&format!("first_sync/{restarts}"));
        let times = Times {
            admitted: self.admitted,
            started: Instant::now(),
            first_sync: sync.millis(0..1_000),
        };
        let mut prober = Prober::start(told, self.pod.address, times);
        let mut reason = "not probed yet".to_owned();
        let takes = self.recorded(self.seed.child("readiness"), |times| &times.readiness);
        let ready_from = times.started + takes.filter(|_| restarts == 0).unwrap_or_default();
        // Whether it would be ready by now, and is held back until then.
        let mut held = false;
        // Without a readiness probe, a container is ready once it has started.
        if told.readiness.is_none() && told.startup.is_none() {
            *was_ready = true;
            held = self.is_early(ready_from);
        }
        let mut harm = self.pod.harm.subscribe();
        let mut suffered = *harm.borrow_and_update();
        let deadline = self.admitted + self.node.spec.ready_deadline;
        let mut waiting = !*was_ready;
        loop {
            let event = tokio::select! {
                biased;
                () = self.pod.deletion.cancelled() => {
                    prober.terminating();
                    self.terminate(process, &mut prober).await;
                    return Ended::Deleted;
                }
                exit = process.exited() => return Ended::ByItself(exit),
                // Never an error: the pod holds the sender.
                Ok(()) = harm.changed() => {
                    let now = *harm.borrow_and_update();
                    if now.node_shuts_down {
                        prober.terminating();
                        self.shut_down(process, &mut prober).await;
                        return Ended::ShutDown;
                    }
                    if now.crashes > suffered.crashes {
                        process.kill();
                    }
                    if now.handoffs > suffered.handoffs {
                        self.hand_over(process);
                    }
                    let unhealthy = now.unhealthy > suffered.unhealthy;
                    suffered = now;
                    if !unhealthy {
                        continue;
                    }
                    self.probe_failed(ProbeKind::Liveness, "failed up to its threshold".to_owned());
                    ProbeEvent::Changed { kind: ProbeKind::Liveness, healthy: false }
                }
                event = prober.next() => event,
                () = sleep_until(ready_from), if held => {
                    held = false;
                    self.set_ready(true);
                    continue;
                }
                () = sleep_until(deadline), if waiting && !*was_ready => {
                    waiting = false;
                    let hint = Hint::not_ready(self.pod.address.app, &process.listeners());
                    self.node.store.fail(ClusterError::NotReady {
                        hint,
                        pod: Arc::clone(&self.pod.name),
                        after: self.node.spec.ready_deadline,
                        reason: reason.clone(),
                        log: self.logs.tail(),
                    });
                    continue;
                }
            };
            match event {
                ProbeEvent::Failed { kind, reason: why } => {
                    reason = format!("{} probe: {why}", kind.name());
                    self.probe_failed(kind, why);
                }
                ProbeEvent::Changed { kind: ProbeKind::Readiness, healthy } => {
                    *was_ready |= healthy;
                    held = healthy && self.is_early(ready_from);
                    if !healthy {
                        self.set_ready(false);
                    }
                }
                ProbeEvent::Changed { kind: ProbeKind::Startup, healthy: true } => {
                    if told.readiness.is_none() {
                        *was_ready = true;
                        held = self.is_early(ready_from);
                    }
                }
                ProbeEvent::Changed { kind, healthy: false } => {
                    // The same path as a deletion, with the probe's own grace (facts 1.11). A
                    // deletion that comes meanwhile finds it under way and waits for its end.
                    let probe = match kind {
                        ProbeKind::Startup => &told.startup,
                        _ => &told.liveness,
                    };
                    let grace = probe.as_ref().and_then(|probe| probe.grace);
                    let grace = effective_grace(grace.unwrap_or(self.node.spec.grace));
                    let seed = self.seed.child(&format!("kill/{restarts}"));
                    self.kill_probing(process, &mut prober, grace, seed).await;
                    return Ended::Killed;
                }
                ProbeEvent::Changed { .. } => {}
            }
        }
    }

    /// A deleted pod's way to its container's end.
    async fn terminate(&self, process: &Process, prober: &mut Prober) {
        let seed = self.seed.child("termination");
        let late = seed.child("late").chance(self.node.spec.late_sync);
        let notice = if late { LATE_NOTICE_MILLIS } else { NOTICE_MILLIS };
        sleep(seed.child("notice").millis(notice)).await;
        let grace = effective_grace(self.node.spec.grace);
        self.kill_probing(process, prober, grace, seed).await;
        // The container's exit makes the pod NotReady (facts 1.10).
        self.set_ready(false);
    }

    /// Kills the container; readiness is probed to the end (facts 1.9).
    async fn kill_probing(
        &self,
        process: &Process,
        prober: &mut Prober,
        grace: Duration,
        seed: Seed,
    ) {
        let mut killing = std::pin::pin!(self.kill(process, grace, seed));
        loop {
            tokio::select! {
                biased;
                () = &mut killing => return,
                event = prober.next() => match event {
                    ProbeEvent::Changed { kind: ProbeKind::Readiness, healthy } => {
                        self.set_ready(healthy);
                    }
                    ProbeEvent::Failed { kind, reason } => self.probe_failed(kind, reason),
                    ProbeEvent::Changed { .. } => {}
                },
            }
        }
    }

    /// Whether it is too early to be ready; otherwise it is.
    fn is_early(&self, from: Instant) -> bool {
        let early = Instant::now() < from;
        if !early {
            self.set_ready(true);
        }
        early
    }

    /// The sandbox goes, then the object.
    async fn tear_down(&self) {
        let sandbox = self.seed.child("sandbox").millis(SANDBOX_MILLIS);
        let removal = self.seed.child("removal");
        let (sandbox, removal) = match self.recorded(removal, |times| &times.removal) {
            Some(all) => (sandbox.min(all), all.saturating_sub(sandbox)),
            None => (sandbox, removal.millis(REMOVAL_MILLIS)),
        };
        sleep(sandbox).await;
        self.pod.sandbox_gone.store(true, Ordering::Release);
        self.node.timeline.record(&self.pod.name, What::SandboxGone);
        sleep(removal).await;
        self.node.timeline.record(&self.pod.name, What::Removed);
        self.node.store.update(|state| {
            state.pods.remove(&self.pod.id);
        });
    }

    pub(super) fn probe_failed(&self, kind: ProbeKind, reason: String) {
        let probe = kind.name();
        self.node.timeline.record(&self.pod.name, What::ProbeFailed { probe, reason });
    }

    pub(super) fn set_ready(&self, ready: bool) {
        let now = self.node.timeline.now();
        let mut changed = false;
        self.node.store.update_pod(self.pod.id, |status| {
            changed = status.ready_since.is_some() != ready;
            if changed {
                status.ready_since = ready.then_some(now);
            }
        });
        if changed {
            let what = if ready { What::Ready } else { What::NotReady };
            self.node.timeline.record(&self.pod.name, what);
        }
    }
}
