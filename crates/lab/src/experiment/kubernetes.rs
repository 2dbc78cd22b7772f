//! One rolling update on a Kubernetes cluster.

mod join;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};
use websample_load::{self as load, Attempt, Engine, Tally, raise_file_limit, target::Target};

use self::join::{believable, nodes, place};
use super::{
    COOL_DOWN, Cue, Experiment, ExperimentError, FROM, Failure, Pods, REQUEST_LIMIT, Stage, TO,
    WARM_UP, measured::Measured,
};
use crate::{
    cluster::kubernetes::{
        KubernetesError, Load, Problem, Session, Stopped, View, Watch, Watched, clock::ClockReport,
        manifests::Made,
    },
    losses::Loss,
    plan::{Plan, connect_timeout},
    recorder::Recorder,
    report::RunReport,
    timeline::{Timeline, What},
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

impl Experiment {
    /// Runs it on a cluster. What it puts there is removed at its end, or with the session.
    ///
    /// # Errors
    /// Everything that [`Problem`] lists.
    pub(super) async fn run_on(
        &self,
        plan: &Plan,
        session: &Session,
        cue: Cue,
    ) -> Result<RunReport, ExperimentError> {
        let timeline = Timeline::new(cue.start);
        let _following = self.metrics.follow(timeline.clone(), Box::new(|_| None));
        let run = run_id(self.seed);
        let made = Made {
            run: &run,
            label: self.label(),
            mode: self.variant.mode.map_or("drain", |mode| mode.name()),
            spec: &self.variant.cluster,
        };
        let rollout = Rollout { experiment: self, plan, session, made, timeline };
        let report = rollout
            .run(cue)
            .await
            .map_err(|source| ExperimentError { label: self.label().to_owned(), source })?;
        self.enter(Stage::Done);
        Ok(report)
    }
}

/// The name of the rollout that has this seed, as objects' labels have it.
pub(crate) fn run_id(seed: u64) -> String {
    format!("{seed:x}")
}

/// What the steps of one run share.
struct Rollout<'a> {
    experiment: &'a Experiment,
    plan: &'a Plan,
    session: &'a Session,
    made: Made<'a>,
    timeline: Timeline,
}

/// Where the requests come from.
enum Source {
    /// A Job in the cluster.
    Inside(Box<Load>),
    /// This process.
    Outside { stop: DropGuard, task: tokio::task::JoinHandle<Result<Stopped, Failure>> },
}

impl Rollout<'_> {
    async fn run(&self, cue: Cue) -> Result<RunReport, Failure> {
        let Self { experiment, session, made, timeline, .. } = self;
        let Cue { start, up, go, .. } = cue;
        let images = session.options.images.clone();
        let mut service = made.name();
        for manifest in made.surroundings() {
            let applied = session.apply(made, &manifest).await?;
            // By its address, so that nothing hangs on the image's resolver.
            if let Some(address) = applied.data["spec"]["clusterIP"].as_str()
                && let Ok(address) = address.parse::<IpAddr>()
            {
                service = SocketAddr::new(address, SERVICE_PORT).to_string();
            }
        }
        let watched = Watched { name: made.name(), selector: made.selector() };
        let first = images.v1.clone();
        let version = move |image: &str| if image == first { FROM.into() } else { TO.into() };
        let watch = Watch::start(&session.cluster, &watched, timeline.clone(), version);
        let mut view = watch.view();
        session.apply(made, &made.deployment(&images.v1)).await?;
        let published = |view: &View| view.settled() && view.published == view.pods.len();
        self.wait(&mut view, session.options.ready_within, published).await?;
        tokio::time::sleep(SETTLE).await;
        experiment.enter(Stage::Up);
        up.notify_one();
        go.cancelled().await;

        let (live, written) = self.live(start)?;
        let mut source = self.begin_load(&mut view, &service, live).await?;
        experiment.enter(Stage::WarmingUp);
        tokio::time::sleep(WARM_UP).await;
        let began = timeline.now();
        experiment.metrics.rollout_began();
        let mut seen = view.clone();
        let rolled_out = tokio::select! {
            rolled_out = self.update(&mut seen, &images.v2) => rolled_out,
            failed = source.failed() => Err(failed),
            () = self.show(view.clone()) => unreachable!("it shows for ever"),
        };
        let took = timeline.now().saturating_sub(began);
        rolled_out?;
        experiment.metrics.rollout_ended();
        experiment.enter(Stage::CoolingDown);
        tokio::time::sleep(COOL_DOWN).await;
        let stopped = source.stop().await?;
        if let Some(written) = written {
            written.finish().await.map_err(|error| Failure::Results(error.into()))?;
        }
        let seen = view.borrow().clone();
        let report = self.measured(&stopped, &seen, began, took);
        // From here on pods go because they are cleared away.
        timeline.end();
        if !session.options.keep {
            for left in session.remove(made).await {
                eprintln!("websample: could not be removed: {left}");
            }
            if experiment.repeat + 1 < self.plan.repeat {
                // Their end would be part of the next repeat.
                let limit = experiment.variant.cluster.grace + POD_LIMIT;
                let gone = view.wait_for(|view| view.pods.is_empty());
                // One that does not go has others' labels.
                let _ = tokio::time::timeout(limit, gone).await;
            }
        }
        Ok(report)
    }

    /// What is done with every attempt as it is heard of, and the writer of single results.
    fn live(
        &self,
        start: Instant,
    ) -> Result<(impl FnMut(Attempt) + Send + 'static, Option<load::results::Background>), Failure>
    {
        let experiment = self.experiment;
        let results =
            experiment.results(self.plan, start).map_err(|error| Failure::Results(error.into()))?;
        let (single, written) = results.unzip();
        let recorder = Arc::clone(&experiment.recorder);
        let mut measure = experiment.metrics.attempts(self.timeline.clone());
        let mut due = experiment.metrics.due();
        let timeline = self.timeline.clone();
        let live = move |mut attempt: Attempt| {
            place(&mut attempt, &timeline, true);
            due();
            measure(&attempt);
            if let Some(single) = &single {
                // A writer that is gone has failed: its error is reported at the end.
                let _ = single.send(attempt.clone());
            }
            recorder.add(attempt);
        };
        Ok((live, written))
    }

    /// Begins the load and returns once requests are sent.
    async fn begin_load(
        &self,
        view: &mut watch::Receiver<View>,
        service: &str,
        live: impl FnMut(Attempt) + Send + 'static,
    ) -> Result<Source, Failure> {
        let Self { session, made, plan, timeline, .. } = self;
        let options = &session.options;
        let Some(url) = &options.url else {
            let limits = [connect_timeout(), REQUEST_LIMIT];
            let job = made.load(&options.images.v1, service, &plan.mix, limits);
            session.apply(made, &job).await?;
            self.wait(view, options.ready_within, |view| view.load_runs().is_some()).await?;
            let pod = view.borrow().load_runs().unwrap_or_default();
            let mut load = Load::follow(&session.cluster, &pod, timeline.clone(), live);
            load.began().await?;
            return Ok(Source::Inside(Box::new(load)));
        };
        let url = url.replace("{mode}", &made.value());
        let unusable = |text: String| self.problem(Problem::Url(format!("{url}: {text}")));
        let target: Target = url.parse().map_err(|error| unusable(format!("{error}")))?;
        let resolved = target.resolve().await.map_err(|error| unusable(error.to_string()))?;
        raise_file_limit();
        let stop = CancellationToken::new();
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (mut live, attempts) = (live, Arc::clone(&heard));
        let limits = load::Limits {
            connect_timeout: connect_timeout(),
            timeout: REQUEST_LIMIT,
            ..load::Limits::default()
        };
        let engine = Engine::new(plan.mix.clone(), Arc::new(resolved), limits)
            .authority(target.authority)
            .clock(timeline.start().into_std())
            .on_attempt(move |mut attempt| {
                // What is between here and the pods is not known: an answer only speaks for itself.
                attempt.instance = attempt.instance.filter(|_| attempt.status.is_some());
                lock(&attempts).push(attempt.clone());
                live(attempt);
            });
        let running = engine.run(None, stop.clone());
        let task = tokio::spawn(async move {
            running.await.map_err(|error| Failure::Load(Arc::new(error)))?;
            let attempts = std::mem::take(&mut *lock(&heard));
            Ok(Stopped { attempts, ..Stopped::default() })
        });
        Ok(Source::Outside { stop: stop.drop_guard(), task })
    }

    /// Sets the new image and waits until every old pod is gone.
    async fn update(&self, view: &mut watch::Receiver<View>, image: &str) -> Result<(), Failure> {
        let Self { session, made, experiment, .. } = self;
        session.apply(made, &made.deployment(image)).await?;
        let spec = &experiment.variant.cluster;
        // As if its pods were replaced one after the other.
        let each = spec.grace + spec.min_ready + POD_LIMIT;
        let limit = session.options.ready_within + each * spec.replicas;
        let new = |view: &View| view.settled() && view.pods.iter().all(|pod| *pod.version == *TO);
        self.wait(view, limit, new).await
    }

    /// Waits until this is seen, or there is a reason to give up.
    async fn wait(
        &self,
        view: &mut watch::Receiver<View>,
        limit: Duration,
        done: impl Fn(&View) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        loop {
            {
                let view = view.borrow_and_update();
                if done(&view) {
                    return Ok(());
                }
                if let Some(why) = &view.blind {
                    return Err(self.problem(Problem::Blind(why.clone())));
                }
                let late = Instant::now() >= deadline;
                if let Some(trouble) = view.trouble(late) {
                    return Err(self.problem(Problem::Trouble(trouble)));
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
                        return Err(self.problem(Problem::Blind("it ended".to_owned())));
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
        self.problem(Problem::Stuck { object, after, reason, events })
    }

    /// Keeps the stage in step with the pods, for whoever looks.
    async fn show(&self, mut view: watch::Receiver<View>) {
        loop {
            let mut pods = Pods::default();
            for pod in &view.borrow_and_update().pods {
                pods.count(&pod.version, pod.ready, pod.terminating);
            }
            self.experiment.enter(Stage::RollingOut(pods));
            if view.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Joins what the load saw with what happened to the pods.
    fn measured(
        &self,
        stopped: &Stopped,
        seen: &View,
        began: Duration,
        took: Duration,
    ) -> RunReport {
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
        let explain =
            |attempt: &Attempt, stream: &Arc<str>| Loss::on_cluster(attempt, stream, timeline);
        experiment.report(plan, &measured, timeline, explain)
    }

    fn problem(&self, problem: Problem) -> Failure {
        let cluster = Arc::clone(&self.session.cluster.name);
        Failure::Kubernetes(Box::new(KubernetesError { cluster, problem }))
    }
}

impl Source {
    /// Returns when no more load comes although nobody stopped it.
    async fn failed(&mut self) -> Failure {
        match self {
            Self::Inside(load) => Failure::Kubernetes(Box::new(load.failed().await)),
            Self::Outside { task, .. } => match task.await {
                Ok(Err(failure)) => failure,
                Ok(Ok(_)) | Err(_) => Failure::Load(Arc::new(std::io::Error::other("it ended"))),
            },
        }
    }

    async fn stop(self) -> Result<Stopped, Failure> {
        match self {
            Self::Inside(load) => {
                let stopped = load.stop(REQUEST_LIMIT + LOG_LIMIT).await;
                stopped.map_err(|error| Failure::Kubernetes(Box::new(error)))
            }
            Self::Outside { stop, task } => {
                drop(stop);
                let ended = |_| Failure::Load(Arc::new(std::io::Error::other("it broke off")));
                task.await.map_err(ended)?
            }
        }
    }
}

fn lock<T>(shared: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
