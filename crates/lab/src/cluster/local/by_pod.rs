//! A consumer's view of which each pod's part is of another age: what a recorded propagation gives.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    endpoints::{Endpoint, EndpointSlice, differences},
    propagation::{Schedule, Turn},
    store::Pod,
};
use crate::timeline::Conditions;

/// What a consumer believes of each pod, and what is on its way to it.
#[derive(Debug)]
pub(super) struct ByPod {
    /// What was published last.
    published: Arc<EndpointSlice>,
    /// What is believed.
    view: Vec<Endpoint>,
    due: Vec<Change>,
    /// When the last change of each pod takes effect: none overtakes another of the same pod.
    latest: HashMap<u64, Duration>,
}

/// A change that is on its way.
#[derive(Debug)]
struct Change {
    at: Duration,
    generation: u64,
    pod: Arc<Pod>,
    /// `None` for a pod that is gone.
    conditions: Option<Conditions>,
}

impl ByPod {
    /// Everything that is published is known.
    pub(super) fn new(published: &Arc<EndpointSlice>) -> Self {
        Self {
            published: Arc::clone(published),
            view: published.endpoints.clone(),
            due: Vec::new(),
            latest: HashMap::new(),
        }
    }

    /// Something is published: each pod's change is on its way for as long as its own draw says.
    pub(super) fn hear(&mut self, slice: &Arc<EndpointSlice>, schedule: &Schedule) {
        for (pod, conditions) in differences(&self.published.endpoints, &slice.endpoints) {
            let before = self.published.endpoints.iter().find(|known| known.pod.id == pod.id);
            let was = before.is_some_and(|known| known.conditions.ready());
            let turn = match (was, conditions.is_some_and(Conditions::ready)) {
                (false, true) => Turn::Comes,
                (true, false) => Turn::Goes,
                (true, true) | (false, false) => Turn::Stays,
            };
            let due = slice.published + schedule.delay_of(&pod.name, turn);
            let latest = self.latest.entry(pod.id).or_default();
            *latest = due.max(*latest);
            self.due.push(Change { at: *latest, generation: slice.generation, pod, conditions });
        }
        self.published = Arc::clone(slice);
    }

    /// When something takes effect.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.iter().map(|change| change.at).min()
    }

    /// What is believed at this moment.
    pub(super) fn until(&mut self, now: Duration) -> EndpointSlice {
        let (now_due, due): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.due).into_iter().partition(|change| change.at <= now);
        self.due = due;
        // In the order in which they were published: those of one pod have the same, or a later time.
        for Change { pod, conditions, .. } in now_due {
            self.view.retain(|known| known.pod.id != pod.id);
            if let Some(conditions) = conditions {
                self.view.push(Endpoint { pod, conditions });
                self.view.sort_by_key(|known| known.pod.id);
            }
        }
        // Whoever waits for a publication waits for all of it.
        let missing = self.due.iter().map(|change| change.generation).min();
        EndpointSlice {
            generation: missing.map_or(self.published.generation, |first| first - 1),
            published: now,
            endpoints: self.view.clone(),
            change: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{endpoints::tests::pod, propagation::PropagationArg, seed::Seed},
        *,
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn schedule(remove: &str, add: &str) -> Schedule {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("t.json");
        let text = format!(
            r#"{{"websample_timings": 1, "recorded": {{"on": "c", "what": [], "unix": 1, "websample": "0",
                "through": "service"}},
                "seconds": {{"propagation_remove": {remove}, "propagation_add": {add}}}}}"#
        );
        std::fs::write(&file, text).expect("it is written");
        let told: PropagationArg = file.to_str().expect("text").parse().expect("a file");
        told.read().expect("a record").schedule(Seed::new(3))
    }

    fn slice(generation: u64, at: u64, endpoints: &[(u64, bool, bool)]) -> Arc<EndpointSlice> {
        let endpoints = endpoints.iter().map(|&(id, serving, terminating)| Endpoint {
            pod: pod(id),
            conditions: Conditions { serving, terminating },
        });
        let endpoints = endpoints.collect();
        Arc::new(EndpointSlice { generation, published: ms(at), endpoints, change: String::new() })
    }

    fn ready(slice: &EndpointSlice) -> Vec<u64> {
        let ready = slice.endpoints.iter().filter(|known| known.conditions.ready());
        ready.map(|known| known.pod.id).collect()
    }

    #[test]
    fn a_pods_change_waits_for_no_other_pods() {
        let schedule = schedule("[20]", "[0.5]");
        let mut view = ByPod::new(&slice(1, 0, &[(1, true, false)]));
        view.hear(&slice(2, 1_000, &[(1, true, true)]), &schedule);
        view.hear(&slice(3, 2_000, &[(1, true, true), (2, true, false)]), &schedule);
        // The new pod is known after 0.5 s, the old one is sent to for 20 s.
        assert_eq!(view.next(), Some(ms(2_500)));
        let now = view.until(ms(2_500));
        assert_eq!((ready(&now), now.generation), (vec![1, 2], 1));
        // Its end is no news before that of its leaving is.
        view.hear(&slice(4, 5_000, &[(2, true, false)]), &schedule);
        assert_eq!(view.next(), Some(ms(21_000)));
        let now = view.until(ms(21_000));
        assert_eq!((ready(&now), now.endpoints.len(), now.generation), (vec![2], 1, 4));
        assert_eq!(view.next(), None);
    }

    #[test]
    fn what_is_drawn_is_what_was_measured() {
        let schedule = schedule("[0.1, 0.2, 0.9]", "[0]");
        let mut drawn: Vec<_> =
            (0..3_000).map(|n| schedule.delay_of(&format!("pod-{n}"), Turn::Goes)).collect();
        drawn.sort_unstable();
        for (third, millis) in [(0, 100), (1, 200), (2, 900)] {
            assert_eq!(drawn[third * 1_000 + 500], ms(millis));
        }
        assert_eq!(schedule.delay_of("a", Turn::Goes), schedule.delay_of("a", Turn::Goes));
        assert_eq!(schedule.delay_of("a", Turn::Stays), Duration::ZERO);
    }
}
