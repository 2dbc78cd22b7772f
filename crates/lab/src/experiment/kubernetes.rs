//! The script's verbs on a Kubernetes cluster.

mod events;
pub(crate) mod join;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use tokio::{sync::watch, time::Instant};
use websample_load::{Attempt, Tally, raise_file_limit, target::Target};

use self::join::{believable, nodes, place};
use super::{
    Experiment, Failure, Pods, REQUEST_LIMIT,
    measured::Measured,
    script::{Live, Scene},
    sending::Sending,
};
use crate::{
    cluster::kubernetes::{
        ClusterProblem, Kind, KubernetesError, Load, Reference, Session, Stopped, View, Watch,
        Watched, clock::ClockReport, manifests::Made,
    },
    losses::Loss,
    metrics::Following,
    plan::{Plan, Variant, connect_timeout},
    recorder::Recorder,
    report::RunReport,
    timeline::{Timeline, What},
    versions::{FROM, TO},
};

/// Beyond a request's time limit, for the log's last lines to come.
const LOG_LIMIT: Duration = Duration::from_secs(20);
/// A rollout may take this much longer than its pods' grace and start, for each of them.
const POD_LIMIT: Duration = Duration::from_secs(30);
/// The port that the manifest's Service has.
const SERVICE_PORT: u16 = 80;
/// From the publication of an endpoint until every proxy has learned of it, which none tells.
const SETTLE: Duration = Duration::from_secs(2);
/// Between two looks at what only gets wrong with time.
const LOOK: Duration = Duration::from_secs(1);

/// The name of the rollout that has this seed, as objects' labels have it.
pub(crate) fn run_id(seed: u64) -> String {
    format!("{seed:x}")
}

/// What the objects of a variant are made for.
pub(crate) fn made(variant: &Variant, seed: u64) -> Made<'_> {
    Made {
        run: run_id(seed),
        label: &variant.label,
        mode: variant.mode.map_or("drain", |mode| mode.name()),
        spec: &variant.cluster,
    }
}

/// A Deployment of ours on a cluster, and what is seen of it. What was put there is removed at the end,
/// or with the session.
pub(super) struct OnCluster<'a> {
    experiment: &'a Experiment,
    plan: &'a Plan,
    session: &'a Session,
    made: Made<'a>,
    timeline: Timeline,
    /// Where the load finds the Service, from inside.
    service: String,
    view: watch::Receiver<View>,
    _watch: Watch,
    _following: Following,
}

/// Where the requests come from.
pub(super) enum Source {
    /// A Job in the cluster.
    Inside(Box<Load>),
    /// This process, and what it has heard.
    Outside(Box<Sending>, Arc<std::sync::Mutex<Vec<Attempt>>>),
}

impl<'a> OnCluster<'a> {
    /// Brings the first version up.
    ///
    /// # Errors
    /// Everything that [`ClusterProblem`] lists.
    pub(super) async fn up(
        experiment: &'a Experiment,
        plan: &'a Plan,
        session: &'a Session,
        start: Instant,
    ) -> Result<Self, Failure> {
        let timeline = Timeline::new(start);
        let following = experiment.metrics.follow(timeline.clone(), Box::new(|_| None));
        let made = made(&experiment.variant, experiment.seed);
        let images = &session.options.images;
        let mut service = made.name();
        for manifest in made.surroundings() {
            let applied = session.apply(&made, &manifest).await?;
            // By its address, so that nothing hangs on the image's resolver.
            if let Some(address) = applied.data["spec"]["clusterIP"].as_str()
                && let Ok(address) = address.parse::<IpAddr>()
            {
                service = SocketAddr::new(address, SERVICE_PORT).to_string();
            }
        }
        let served = made.served();
        let watched = Watched {
            workload: Reference { kind: Kind::Deployment, name: made.name() },
            service: Some(made.name()),
            selector: made.selector(),
            served: served.clone(),
            // The server's own reports tell more, and better when.
            events: false,
        };
        let first = images.v1.clone();
        let version = move |pod: &Pod| {
            let image = pod.spec.as_ref().map(|spec| served.image(spec));
            if image == Some(&first) { FROM.into() } else { TO.into() }
        };
        let watch = Watch::start(&session.cluster, &watched, timeline.clone(), version);
        let view = watch.view();
        session.apply(&made, &made.deployment(&images.v1)).await?;
        let here = Self {
            experiment,
            plan,
            session,
            made,
            timeline,
            service,
            view,
            _watch: watch,
            _following: following,
        };
        let published = |view: &View| view.settled() && view.published == view.pods.len();
        here.wait(session.options.ready_within, published).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(here)
    }

    /// With what is known of where each attempt went.
    fn placed(&self, mut live: Live) -> Live {
        let timeline = self.timeline.clone();
        let mut due = self.experiment.metrics.due();
        Box::new(move |mut attempt: Attempt| {
            place(&mut attempt, &timeline, true);
            due();
            live(attempt);
        })
    }
}

impl Scene for OnCluster<'_> {
    type Load = Source;
    type Sent = Stopped;

    fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    async fn load(&self, live: Live) -> Result<Source, Failure> {
        let Self { session, made, plan, timeline, .. } = self;
        let mut live = self.placed(live);
        let options = &session.options;
        let Some(url) = &options.url else {
            let limits = [connect_timeout(), REQUEST_LIMIT];
            let job = made.load(&options.images.v1, &self.service, &plan.mix, limits);
            session.apply(made, &job).await?;
            self.wait(options.ready_within, |view| view.load_runs().is_some()).await?;
            let pod = self.view.borrow().load_runs().unwrap_or_default();
            let mut load = Load::follow(&session.cluster, &pod, timeline.clone(), live);
            load.began().await?;
            return Ok(Source::Inside(Box::new(load)));
        };
        let url = url.replace("{mode}", &made.value());
        let unusable = |text: String| self.problem(ClusterProblem::Url(format!("{url}: {text}")));
        let target = Target::plain(&url).map_err(|error| unusable(format!("{error}")))?;
        let resolved = target.resolve().await.map_err(|error| unusable(error.to_string()))?;
        raise_file_limit();
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let attempts = Arc::clone(&heard);
        let sending = Sending::start(&plan.mix, Arc::new(resolved), timeline, |engine| {
            engine.authority(target.authority).on_attempt(move |mut attempt| {
                // What is between here and the pods is not known: an answer only speaks for itself.
                attempt.instance = attempt.instance.filter(|_| attempt.status.is_some());
                lock(&attempts).push(attempt.clone());
                live(attempt);
            })
        });
        Ok(Source::Outside(Box::new(sending), heard))
    }

    async fn disrupt(&self) -> Result<(), Failure> {
        self.disrupt_by(self.experiment.variant.event).await
    }

    async fn broken(&self, load: &mut Source) -> Failure {
        match load {
            Source::Inside(load) => Failure::Kubernetes(Box::new(load.failed().await)),
            Source::Outside(sending, _) => sending.failed().await,
        }
    }

    async fn show(&self, tell: impl Fn(Pods)) {
        let mut view = self.view.clone();
        loop {
            let mut pods = Pods::default();
            for pod in &view.borrow_and_update().pods {
                pods.count(&pod.version, pod.ready, pod.terminating);
            }
            tell(pods);
            if view.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn stop(&self, load: Source) -> Result<Stopped, Failure> {
        match load {
            Source::Inside(load) => {
                let stopped = load.stop(REQUEST_LIMIT + LOG_LIMIT).await;
                stopped.map_err(|error| Failure::Kubernetes(Box::new(error)))
            }
            Source::Outside(sending, heard) => {
                sending.stop().await?;
                let attempts = std::mem::take(&mut *lock(&heard));
                Ok(Stopped { attempts, ..Stopped::default() })
            }
        }
    }

    fn measured(&self, stopped: &Stopped, began: Duration, took: Duration) -> RunReport {
        self.joined(stopped, &self.view.borrow().clone(), began, took)
    }

    async fn clear(self) {
        let Self { session, made, experiment, .. } = &self;
        if session.options.keep {
            return;
        }
        for left in session.remove(made).await {
            session.could_not_remove(&left);
        }
        if experiment.repeat + 1 < self.plan.repeat {
            // Their end would be part of the next repeat.
            let limit = experiment.variant.cluster.grace + POD_LIMIT;
            let mut view = self.view.clone();
            let gone = view.wait_for(|view| view.pods.is_empty());
            // One that does not go has others' labels.
            let _ = tokio::time::timeout(limit, gone).await;
        }
    }
}

impl OnCluster<'_> {
    /// Waits until this is seen, or there is a reason to give up.
    async fn wait(&self, limit: Duration, done: impl Fn(&View) -> bool) -> Result<(), Failure> {
        let mut view = self.view.clone();
        let deadline = Instant::now() + limit;
        loop {
            {
                let view = view.borrow_and_update();
                if done(&view) {
                    return Ok(());
                }
                if let Some(why) = &view.blind {
                    return Err(self.problem(ClusterProblem::Blind(why.clone())));
                }
                let late = Instant::now() >= deadline;
                if let Some(trouble) = view.trouble(late) {
                    return Err(self.problem(ClusterProblem::Trouble(trouble)));
                }
                if late {
                    let reason = view.missing();
                    drop(view);
                    return Err(self.stuck(limit, reason).await);
                }
            }
            let look = Instant::now() + LOOK;
            tokio::select! {
                changed = view.changed() => {
                    if changed.is_err() {
                        return Err(self.problem(ClusterProblem::Blind("it ended".to_owned())));
                    }
                }
                () = tokio::time::sleep_until(look.min(deadline)) => {}
            }
        }
    }

    async fn stuck(&self, after: Duration, reason: String) -> Failure {
        let namespace = &self.session.cluster.namespace;
        let object = format!("Deployment {namespace}/{}", self.made.name());
        let events = self.session.warnings().await;
        self.problem(ClusterProblem::Stuck { object, after, reason, events })
    }

    /// Joins what the load saw with what happened to the pods.
    fn joined(&self, stopped: &Stopped, seen: &View, began: Duration, took: Duration) -> RunReport {
        let Self { experiment, plan, session, timeline, .. } = self;
        let inside = session.options.url.is_none();
        let nodes = nodes(stopped, &seen.reports, began, inside);
        for (pod, at, what) in believable(&seen.reports, nodes) {
            match what {
                // The kubelet looks and tells up to a second or two later.
                What::Exited(_) => {
                    timeline.correct(&pod, at, |what| matches!(what, What::Exited(_)));
                }
                what => timeline.record_at(&pod, at, what),
            }
        }
        // Once more, with times as well as they are known in the end.
        let recorder = Recorder::default();
        let mut streams = vec![Tally::default(); plan.mix.streams().len()];
        for attempt in &stopped.attempts {
            let mut attempt = attempt.clone();
            place(&mut attempt, timeline, inside);
            if let Some(stream) = streams.get_mut(attempt.stream) {
                stream.add(&attempt);
                recorder.add(attempt);
            }
        }
        let measured = Measured {
            load: &streams,
            recorder: &recorder,
            began,
            took,
            clock: Some(ClockReport {
                load_uncertainty: if inside { stopped.offset.uncertainty() } else { Some(0.0) },
                pods_uncertainty: nodes.uncertainty(),
                watch_restarts: seen.restarts,
            }),
        };
        let exact = |pod: &str| seen.reports.iter().any(|report| *report.pod == *pod);
        let explain = |attempt: &Attempt, stream: &Arc<str>| {
            Loss::on_cluster(attempt, stream, timeline, exact)
        };
        experiment.report(plan, &measured, timeline, explain)
    }

    fn problem(&self, problem: ClusterProblem) -> Failure {
        let cluster = Arc::clone(&self.session.cluster.name);
        Failure::Kubernetes(Box::new(KubernetesError { cluster, problem }))
    }
}

fn lock<T>(shared: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
