//! What runs took.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Distribution, Recorded, Through, Times, Timings, VERSION};
use crate::{
    causes::Cause,
    losses::Loss,
    report::{Environment, Report, RunReport},
    timeline::{PodRecord, What},
};

/// A pod that answers no new connection for so many times what lies between two is sent none.
const SILENT: f64 = 5.0;

/// The new connections that a pod answered: when they were sent, in seconds from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// The first.
    pub first: f64,
    /// The last.
    pub last: f64,
    /// How many.
    pub count: u64,
}

impl Reached {
    /// One more.
    pub(crate) fn again(known: Option<Self>, sent: Duration) -> Self {
        let at = sent.as_secs_f64();
        match known {
            None => Self { first: at, last: at, count: 1 },
            Some(Self { first, last, count }) => {
                Self { first: first.min(at), last: last.max(at), count: count + 1 }
            }
        }
    }

    fn apart(self) -> Option<f64> {
        (self.count > 1).then(|| (self.last - self.first) / (self.count - 1) as f64)
    }
}

/// Everything that these runs took.
pub(super) fn measured(report: &Report) -> Timings {
    let mut all = Samples::default();
    for run in &report.runs {
        all.run(run);
    }
    let what = report.runs.iter().map(|run| run.mode.clone());
    let mut what: Vec<_> = what.collect();
    what.dedup();
    let environment = &report.environment;
    Timings {
        websample_timings: VERSION,
        recorded: Recorded {
            on: environment.cluster.as_ref().map_or("local", |on| on.name.as_str()).to_owned(),
            what,
            unix: environment.started as u64,
            websample: environment.websample.clone(),
            through: through(environment),
            connections_apart: (!all.apart.is_empty()).then(|| Distribution::of(all.apart)),
        },
        seconds: Times {
            propagation_remove: Distribution::of(all.remove),
            propagation_add: Distribution::of(all.add),
            start: Distribution::of(all.start),
            readiness: Distribution::of(all.readiness),
            termination: Distribution::of(all.termination),
            removal: Distribution::of(all.removal),
        },
        file: std::path::PathBuf::new(),
    }
}

fn through(environment: &Environment) -> Through {
    let url = environment.cluster.as_ref().and_then(|on| on.url.clone());
    match (url, &environment.proxy) {
        (Some(url), _) => Through::Url(url),
        (None, Some(proxy)) => Through::Proxy(proxy.program.clone()),
        (None, None) => Through::Service,
    }
}

#[derive(Default)]
struct Samples {
    remove: Vec<Duration>,
    add: Vec<Duration>,
    start: Vec<Duration>,
    readiness: Vec<Duration>,
    termination: Vec<Duration>,
    removal: Vec<Duration>,
    apart: Vec<Duration>,
}

impl Samples {
    fn run(&mut self, run: &RunReport) {
        let began = Duration::try_from_secs_f64(run.rollout_began).unwrap_or_default();
        let consumer = consumer(run);
        for pod in &run.pods {
            let at = |wanted: fn(&What) -> bool| pod.first(wanted);
            let created = at(|what| *what == What::Created).filter(|at| *at >= began);
            let started = at(|what| *what == What::Started);
            let deleted = at(|what| *what == What::Deleted).filter(|at| *at >= began);
            let exited = last(pod, |what| matches!(what, What::Exited(_)));
            let ready = at(|what| *what == What::Ready);
            let removed = at(|what| *what == What::Removed);
            push(&mut self.start, created, started);
            push(&mut self.readiness, created.and(started), ready);
            push(&mut self.termination, deleted, exited);
            push(&mut self.removal, deleted.and(exited), removed);
            let endpoint = |now: bool| {
                let changed = move |what: &What| matches!(what, What::EndpointChanged(conditions) if conditions.ready() == now);
                move |from: Duration| after(pod, from, changed)
            };
            let published = endpoint(true)(began);
            // Without endpoints, its deletion is when everybody is told.
            let withdrawn = deleted.map(|at| endpoint(false)(at).unwrap_or(at));
            match &consumer {
                Some(name) => {
                    let turn = |now: bool, from: Option<Duration>| {
                        after(pod, from?, |what| {
                            matches!(what, What::ProxyChanged { consumer, routed }
                                if consumer == name && *routed == now)
                        })
                    };
                    push(&mut self.add, published, turn(true, published));
                    push(&mut self.remove, withdrawn, turn(false, withdrawn));
                }
                None => self.by_requests(run, pod, published, withdrawn),
            }
        }
    }

    /// Where no consumer tells: as requests met it.
    fn by_requests(
        &mut self,
        run: &RunReport,
        pod: &PodRecord,
        published: Option<Duration>,
        withdrawn: Option<Duration>,
    ) {
        let reached = run.reached.get(&pod.name).copied();
        let apart = reached.and_then(Reached::apart);
        self.apart.extend(apart.and_then(|apart| Duration::try_from_secs_f64(apart).ok()));
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
        push(&mut self.add, published, reached.and_then(|reached| time(reached.first)));
        let Some(withdrawn) = withdrawn else { return };
        let lost = misdirected(run, pod, withdrawn);
        let answered = reached.map(|reached| reached.last);
        // That nothing came any more says something only of a pod that was still there to answer.
        let silent = answered.zip(apart).is_some_and(|(last, apart)| {
            let stopped = pod.first(|what| matches!(what, What::Exited(_)));
            stopped.is_none_or(|stopped| last + SILENT * apart < stopped.as_secs_f64())
        });
        let last = match (answered.filter(|_| silent || lost.is_some()), lost) {
            (Some(answered), Some(lost)) => Some(answered.max(lost)),
            (answered, lost) => answered.or(lost),
        };
        self.remove.extend(last.and_then(time).map(|last| last.saturating_sub(withdrawn)));
    }
}

/// When the last new connection was lost to a pod that had been withdrawn. Of a loss that may have been
/// at several pods, the one is taken that was withdrawn last.
fn misdirected(run: &RunReport, pod: &PodRecord, withdrawn: Duration) -> Option<f64> {
    let later: Vec<f64> = run
        .pods
        .iter()
        .filter_map(|other| other.first(|what| *what == What::Deleted))
        .filter(|deleted| *deleted > withdrawn)
        .map(|deleted| deleted.as_secs_f64())
        .collect();
    let withdrawn = withdrawn.as_secs_f64();
    let is_its = |loss: &&Loss| match &loss.pod {
        Some(name) => *name == pod.name,
        None => loss.sent >= withdrawn && !later.iter().any(|later| loss.sent >= *later),
    };
    let losses = run.losses.iter().filter(|loss| loss.cause.root() == Cause::StaleEndpoint);
    losses.filter(is_its).map(|loss| loss.sent).reduce(f64::max)
}

/// Whose view of the endpoints requests met, where it tells.
fn consumer(run: &RunReport) -> Option<Arc<str>> {
    let events = run.pods.iter().flat_map(|pod| &pod.events);
    let mut known: Option<Arc<str>> = None;
    for event in events {
        if let What::ProxyChanged { consumer, .. } = &event.what {
            // A proxy has a view of its own, and requests go through it.
            if known.as_ref().is_none_or(|known| **known == *"service") {
                known = Some(Arc::clone(consumer));
            }
        }
    }
    known
}

fn after(pod: &PodRecord, from: Duration, wanted: impl Fn(&What) -> bool) -> Option<Duration> {
    let mut events = pod.events.iter().filter(|event| event.at >= from);
    events.find(|event| wanted(&event.what)).map(|event| event.at)
}

fn last(pod: &PodRecord, wanted: impl Fn(&What) -> bool) -> Option<Duration> {
    pod.events.iter().rev().find(|event| wanted(&event.what)).map(|event| event.at)
}

/// The time between two events, where both happened in this order.
fn push(samples: &mut Vec<Duration>, from: Option<Duration>, to: Option<Duration>) {
    samples.extend(from.zip(to).and_then(|(from, to)| to.checked_sub(from)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{Conditions, Event, Exit};

    fn endpoint(serving: bool, terminating: bool) -> What {
        What::EndpointChanged(Conditions { serving, terminating })
    }

    fn pod(name: &str, events: &[(u64, What)]) -> PodRecord {
        PodRecord {
            name: name.into(),
            version: "a".into(),
            address: ([10, 0, 0, 1], 80).into(),
            events: events
                .iter()
                .map(|(at, what)| Event { at: Duration::from_millis(*at), what: what.clone() })
                .collect(),
        }
    }

    fn samples(run: &RunReport) -> [Vec<u128>; 6] {
        let mut all = Samples::default();
        all.run(run);
        let Samples { remove, add, start, readiness, termination, removal, .. } = all;
        [remove, add, start, readiness, termination, removal]
            .map(|times| times.iter().map(Duration::as_millis).collect())
    }

    fn pods(tells: bool) -> Vec<PodRecord> {
        let routed = |routed| What::ProxyChanged { consumer: "service".into(), routed };
        let mut old = vec![
            (0, What::Created),
            (0, What::Started),
            (0, What::Ready),
            (0, endpoint(true, false)),
            (3_000, What::Deleted),
            (3_020, endpoint(true, true)),
            (9_000, What::Exited(Exit::Code(0))),
            (9_500, What::Removed),
        ];
        let mut new = vec![
            (2_100, What::Created),
            (2_900, What::Started),
            (3_400, What::Ready),
            (3_430, endpoint(true, false)),
        ];
        if tells {
            old.extend([(0, routed(true)), (4_120, routed(false))]);
            new.push((3_930, routed(true)));
        }
        for events in [&mut old, &mut new] {
            events.sort_by_key(|(at, _)| *at);
        }
        vec![pod("old", &old), pod("new", &new)]
    }

    #[test]
    fn times_are_those_of_pods_that_came_and_went_with_the_rollout() {
        // It began after 2 s: what was up by then says nothing.
        let run = RunReport { pods: pods(true), ..crate::gate::tests::run("web", 0) };
        let expected = [vec![1_100], vec![500], vec![800], vec![500], vec![6_000], vec![500]];
        assert_eq!(samples(&run), expected);
    }

    #[test]
    fn where_no_proxy_tells_requests_do() {
        // A hundred a second, so that silence is soon known.
        let reached =
            |first: f64, last: f64| Reached { first, last, count: ((last - first) * 100.0) as u64 };
        let run = RunReport {
            pods: pods(false),
            reached: [("old".into(), reached(0.1, 3.5)), ("new".into(), reached(4.0, 9.0))].into(),
            ..crate::gate::tests::run("web", 0)
        };
        let [remove, add, ..] = samples(&run);
        assert_eq!((remove, add), (vec![480], vec![570]));
        let none = RunReport { reached: [].into(), ..run.clone() };
        let [remove, add, ..] = samples(&none);
        assert_eq!((remove.len(), add.len()), (0, 0));
        // One that answered to its end may have been sent to for longer: what was lost tells.
        let to_the_end = RunReport { reached: [("old".into(), reached(0.1, 8.99))].into(), ..run };
        assert!(samples(&to_the_end)[0].is_empty());
        let loss = Loss {
            at: 15.0,
            sent: 9.42,
            stream: "s".into(),
            outcome: websample_load::Outcome::ConnectTimeout,
            pod: None,
            after_deletion: None,
            after_sigterm: None,
            routed: None,
            cause: Cause::GoneAddress,
        };
        let lost = RunReport { losses: vec![loss], ..to_the_end };
        assert_eq!(samples(&lost)[0], [6_400]);
    }
}
