//! A consumer of the endpoints: its own table, always somewhat stale.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::sleep_until,
};

use super::{
    endpoints::{Endpoint, EndpointSlice},
    propagation::Schedule,
    store::Pod,
};
use crate::timeline::{Timeline, What};

/// What a consumer does when it knows no ready endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// kube-proxy: uses those that are serving and terminating (facts 4.6).
    #[default]
    Terminating,
    /// ingress-nginx: has no backend (facts 5.1).
    None,
}

/// What a consumer believes.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Counts the publications that it follows from.
    pub generation: u64,
    /// The endpoints it knows.
    pub endpoints: Vec<Endpoint>,
    /// Those it sends new connections to.
    pub routes: Vec<Arc<Pod>>,
}

impl Table {
    fn new(slice: &EndpointSlice, fallback: Fallback) -> Self {
        Self {
            generation: slice.generation,
            endpoints: slice.endpoints.clone(),
            routes: routes(&slice.endpoints, fallback),
        }
    }

    fn routes_to(&self, pod: &Pod) -> bool {
        self.routes.iter().any(|route| route.id == pod.id)
    }
}

/// The ready endpoints, or, if there is none and the consumer does that, those that are serving
/// and terminating (facts 4.6). Empty: connections are refused.
pub fn routes(endpoints: &[Endpoint], fallback: Fallback) -> Vec<Arc<Pod>> {
    let pick = |wanted: fn(&Endpoint) -> bool| -> Vec<_> {
        endpoints.iter().filter(|one| wanted(one)).map(|one| Arc::clone(&one.pod)).collect()
    };
    let ready = pick(|endpoint| endpoint.conditions.ready());
    if ready.is_empty() && fallback == Fallback::Terminating {
        return pick(|endpoint| endpoint.conditions.serving && endpoint.conditions.terminating);
    }
    ready
}

/// One node's kube-proxy, one ingress controller, one cloud load balancer.
#[derive(Debug)]
pub struct Consumer {
    name: Arc<str>,
    fallback: Fallback,
    table: watch::Sender<Arc<Table>>,
    history: Mutex<Vec<(Duration, Arc<Table>)>>,
}

impl Consumer {
    pub(super) fn new(name: &str, fallback: Fallback) -> Self {
        Self {
            name: name.into(),
            fallback,
            table: watch::Sender::new(Arc::default()),
            history: Mutex::default(),
        }
    }

    /// Its name, by which [`Timeline::in_table`] knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the kernel that rejects a connection where there is no endpoint, and not a proxy that
    /// answers.
    pub(super) fn is_kernel(&self) -> bool {
        self.fallback == Fallback::Terminating
    }

    /// What it believes now.
    pub fn table(&self) -> Arc<Table> {
        self.table.borrow().clone()
    }

    /// What it believes, as it changes: to feed a real proxy with.
    pub fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.table.subscribe()
    }

    /// What it believed at a moment, counted from the start of the run.
    pub fn table_at(&self, at: Duration) -> Arc<Table> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let known = history.partition_point(|(since, _)| *since <= at);
        known.checked_sub(1).map_or_else(Arc::default, |last| Arc::clone(&history[last].1))
    }

    fn apply(&self, slice: &EndpointSlice, timeline: &Timeline) {
        let table = Arc::new(Table::new(slice, self.fallback));
        let before = self.table.send_replace(Arc::clone(&table));
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.push((timeline.now(), Arc::clone(&table)));
        drop(history);
        let changed = |pod: &Pod, routed| {
            let consumer = Arc::clone(&self.name);
            timeline.record(&pod.name, What::ProxyChanged { consumer, routed });
        };
        for pod in before.routes.iter().filter(|pod| !table.routes_to(pod)) {
            changed(pod, false);
        }
        for pod in table.routes.iter().filter(|pod| !before.routes_to(pod)) {
            changed(pod, true);
        }
    }

    /// Applies each publication when `schedule` says, and at once until `settled`: a cluster
    /// that has been up for long has nothing on its way.
    pub(super) async fn run(
        &self,
        (first, mut slices): (Arc<EndpointSlice>, mpsc::UnboundedReceiver<Arc<EndpointSlice>>),
        mut schedule: Schedule,
        settled: &AtomicBool,
        timeline: &Timeline,
    ) {
        self.apply(&first, timeline);
        let mut due: VecDeque<(Duration, Arc<EndpointSlice>)> = VecDeque::new();
        loop {
            let next = due.front().map(|(at, _)| timeline.start() + *at);
            tokio::select! {
                () = async { sleep_until(next.unwrap_or_else(|| timeline.start())).await },
                    if next.is_some() =>
                {
                    // One sync takes along all that is due with it.
                    let mut latest = None;
                    while due.front().is_some_and(|(at, _)| *at <= timeline.now()) {
                        latest = due.pop_front();
                    }
                    if let Some((_, slice)) = latest {
                        self.apply(&slice, timeline);
                    }
                }
                slice = slices.recv() => match slice {
                    Some(slice) if settled.load(Ordering::Acquire) => {
                        let at = schedule.applied_at(slice.published, &slice.change);
                        due.push_back((at, slice));
                    }
                    Some(slice) => self.apply(&slice, timeline),
                    None => return,
                },
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::time::{Instant, sleep};

    use super::{
        super::{endpoints::tests::pod, propagation::Propagation, seed::Seed},
        *,
    };
    use crate::timeline::Conditions;

    fn endpoint(id: u64, serving: bool, terminating: bool) -> Endpoint {
        Endpoint { pod: pod(id), conditions: Conditions { serving, terminating } }
    }

    fn slice(generation: u64, published: Duration, endpoints: Vec<Endpoint>) -> Arc<EndpointSlice> {
        let change = generation.to_string();
        Arc::new(EndpointSlice { generation, published, endpoints, change })
    }

    /// A consumer whose table is this.
    pub(in super::super) fn believing(pods: Vec<Arc<Pod>>) -> Arc<Consumer> {
        let consumer = Consumer::new("test", Fallback::Terminating);
        believe(&consumer, pods);
        Arc::new(consumer)
    }

    pub(in super::super) fn believe(consumer: &Consumer, pods: Vec<Arc<Pod>>) {
        let table = Table { generation: 1, endpoints: Vec::new(), routes: pods };
        consumer.table.send_replace(Arc::new(table));
    }

    #[test]
    fn rules_4_6_and_5_1_the_last_endpoints() {
        let (ready, leaving) = (endpoint(0, true, false), endpoint(1, true, true));
        let (starting, failing) = (endpoint(2, false, false), endpoint(3, false, true));
        let ids = |endpoints: &[Endpoint], fallback| {
            routes(endpoints, fallback).iter().map(|pod| pod.id).collect::<Vec<_>>()
        };
        let all = [ready, leaving.clone(), starting.clone(), failing.clone()];
        assert_eq!(ids(&all, Fallback::Terminating), [0]);
        assert_eq!(ids(&all[1..], Fallback::Terminating), [1]);
        assert_eq!(ids(&all[1..], Fallback::None), [0_u64; 0]);
        // A pod that fails its readiness on SIGTERM forfeits the fallback.
        assert_eq!(ids(&[starting, failing], Fallback::Terminating), [0_u64; 0]);
    }

    struct Harness {
        timeline: Timeline,
        consumer: Arc<Consumer>,
        slices: mpsc::UnboundedSender<Arc<EndpointSlice>>,
        settled: Arc<AtomicBool>,
    }

    fn harness(propagation: &Propagation) -> Harness {
        let timeline = Timeline::new(Instant::now());
        for id in 0..4 {
            let pod = pod(id);
            timeline.created(&pod.name, &pod.version, pod.address.app);
        }
        let consumer = Arc::new(Consumer::new("proxy", Fallback::Terminating));
        let (sender, receiver) = mpsc::unbounded_channel();
        let settled = Arc::new(AtomicBool::new(false));
        let task = {
            let (consumer, timeline) = (Arc::clone(&consumer), timeline.clone());
            let (settled, schedule) = (Arc::clone(&settled), propagation.schedule(Seed::new(5)));
            async move { consumer.run((Arc::default(), receiver), schedule, &settled, &timeline).await }
        };
        tokio::spawn(task);
        Harness { timeline, consumer, slices: sender, settled }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_arrives_after_its_delay_and_in_order() {
        let range = Duration::from_secs(2)..Duration::from_secs(4);
        let h = harness(&Propagation::Range(range));
        let mut view = h.consumer.watch();
        h.slices.send(slice(1, h.timeline.now(), vec![endpoint(0, true, false)])).unwrap();
        view.wait_for(|table| table.generation == 1).await.unwrap();
        assert_eq!(h.timeline.now(), Duration::ZERO, "at once before the cluster is settled");
        h.settled.store(true, Ordering::Release);
        for generation in 2..20 {
            let conditions = endpoint(generation % 4, true, false);
            h.slices.send(slice(generation, h.timeline.now(), vec![conditions])).unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        let mut last = 1;
        while last < 19 {
            view.changed().await.unwrap();
            let generation = view.borrow_and_update().generation;
            assert!(generation > last);
            last = generation;
        }
        let took = h.timeline.now().saturating_sub(Duration::from_millis(1_700));
        assert!((Duration::from_secs(2)..=Duration::from_secs(4)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_believed_when_can_be_asked_later() {
        let h = harness(&"1s..1s".parse().unwrap());
        let mut view = h.consumer.watch();
        h.slices.send(slice(1, Duration::ZERO, vec![endpoint(0, true, false)])).unwrap();
        view.wait_for(|table| table.generation == 1).await.unwrap();
        h.settled.store(true, Ordering::Release);
        sleep(Duration::from_secs(5)).await;
        h.slices.send(slice(2, h.timeline.now(), vec![endpoint(1, true, false)])).unwrap();
        view.wait_for(|table| table.generation == 2).await.unwrap();
        let (old, new) = (pod(0).address.app, pod(1).address.app);
        for (millis, generation) in [(4_999, 1), (5_990, 1), (6_010, 2)] {
            let at = Duration::from_millis(millis);
            assert_eq!(h.consumer.table_at(at).generation, generation);
            assert_eq!(h.timeline.in_table("proxy", old, at), generation == 1);
            assert_eq!(h.timeline.in_table("proxy", new, at), generation == 2);
        }
    }
}
