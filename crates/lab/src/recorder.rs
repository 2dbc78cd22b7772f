//! What the requests of an experiment add up to, a second at a time, and every lost one whole.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use websample_load::{Attempt, Outcome};

use super::{timeline::PodRecord, timings::Reached};

/// Requests without an answer have no version; they are counted under this.
pub const NO_VERSION: &str = "none";

/// Requests that no pod was chosen for, or another program than a pod, are in flight here.
pub const NO_POD: &str = "none";

/// Lost requests kept whole. More than these are still counted, by outcome and by second.
const MAX_LOSSES: usize = 100_000;

/// The requests that ended in one second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Which, from the start of the run.
    pub at: u64,
    /// Answers by version.
    pub versions: BTreeMap<String, u64>,
    /// Those that were lost, by outcome.
    pub lost: BTreeMap<Outcome, u64>,
    /// The same by stream.
    #[serde(default)]
    pub streams: BTreeMap<Arc<str>, StreamSecond>,
    /// Requests in flight, by pod, as the mean over the second.
    #[serde(default)]
    pub in_flight: BTreeMap<Arc<str>, f64>,
}

/// The requests of one stream that ended in one second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSecond {
    /// Answers by version.
    pub versions: BTreeMap<String, u64>,
    /// How many were lost.
    pub lost: u64,
}

/// Collects attempts as they end.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: u64,
    lost: u64,
    seconds: BTreeMap<u64, Counting>,
    losses: Vec<Attempt>,
    /// New connections that were answered, by who answered.
    reached: HashMap<SocketAddr, Reached>,
}

/// A second that is still being counted: streams and pods have no names yet.
#[derive(Debug, Default)]
struct Counting {
    second: Second,
    streams: BTreeMap<usize, StreamSecond>,
    busy: HashMap<Option<SocketAddr>, Duration>,
}

/// How far an experiment's load has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that have ended.
    pub requests: u64,
    /// Those that were lost.
    pub lost: u64,
}

impl Recorder {
    /// Counts one attempt.
    pub fn add(&self, attempt: Attempt) {
        let inner = &mut *self.lock();
        inner.requests += 1;
        for (at, busy) in by_second(attempt.sent, attempt.finished) {
            *inner.seconds.entry(at).or_default().busy.entry(attempt.peer).or_default() += busy;
        }
        if let Some(peer) = attempt.peer.filter(|_| !attempt.reused && attempt.status.is_some()) {
            let known = inner.reached.get(&peer).copied();
            inner.reached.insert(peer, Reached::again(known, attempt.sent));
        }
        let counting = inner.seconds.entry(attempt.finished.as_secs()).or_default();
        let stream = counting.streams.entry(attempt.stream).or_default();
        let lost = attempt.outcome.is_lost();
        if lost {
            *counting.second.lost.entry(attempt.outcome).or_default() += 1;
            stream.lost += 1;
        }
        let version = attempt.version.as_ref().map(ToString::to_string);
        let version = version.unwrap_or_else(|| NO_VERSION.to_owned());
        *stream.versions.entry(version.clone()).or_default() += 1;
        *counting.second.versions.entry(version).or_default() += 1;
        if lost {
            inner.lost += 1;
            if inner.losses.len() < MAX_LOSSES {
                inner.losses.push(attempt);
            }
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let inner = self.lock();
        Counts { requests: inner.requests, lost: inner.lost }
    }

    /// Everything: every second from the first to the last, and the lost requests in the order
    /// in which they ended. Streams and pods are given for their names.
    pub fn take(&self, streams: &[Arc<str>], pods: &[PodRecord]) -> (Vec<Second>, Vec<Attempt>) {
        let inner = &mut *self.lock();
        let mut counted = std::mem::take(&mut inner.seconds);
        let first = counted.keys().next().copied().unwrap_or(1);
        let last = counted.keys().next_back().copied().unwrap_or(0);
        let names = Names {
            streams,
            pods: pods.iter().map(|pod| (pod.address, &pod.name)).collect(),
            none: NO_POD.into(),
        };
        let seconds = (first..=last)
            .map(|at| names.give(at, counted.remove(&at).unwrap_or_default()))
            .collect();
        (seconds, std::mem::take(&mut inner.losses))
    }

    /// The new connections that each pod answered.
    pub fn reached(&self, pods: &[PodRecord]) -> BTreeMap<Arc<str>, Reached> {
        let inner = self.lock();
        let of = |pod: &PodRecord| {
            Some((Arc::clone(&pod.name), inner.reached.get(&pod.address).copied()?))
        };
        pods.iter().filter_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts of a time that lie in each second.
fn by_second(from: Duration, to: Duration) -> impl Iterator<Item = (u64, Duration)> {
    (from.as_secs()..=to.as_secs()).map(move |at| {
        let begin = from.max(Duration::from_secs(at));
        (at, to.min(Duration::from_secs(at + 1)).saturating_sub(begin))
    })
}

struct Names<'a> {
    streams: &'a [Arc<str>],
    pods: HashMap<SocketAddr, &'a Arc<str>>,
    none: Arc<str>,
}

impl Names<'_> {
    fn give(&self, at: u64, counting: Counting) -> Second {
        let mut second = Second { at, ..counting.second };
        for (stream, counts) in counting.streams {
            if let Some(name) = self.streams.get(stream) {
                second.streams.insert(Arc::clone(name), counts);
            }
        }
        for (peer, busy) in counting.busy {
            let pod = peer.and_then(|peer| self.pods.get(&peer)).copied().unwrap_or(&self.none);
            *second.in_flight.entry(Arc::clone(pod)).or_default() += busy.as_secs_f64();
        }
        // A thousandth of a request is as much as anybody can want to know.
        for mean in second.in_flight.values_mut() {
            *mean = (*mean * 1e3).round() / 1e3;
        }
        second.in_flight.retain(|_, mean| *mean > 0.0);
        second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use websample_load::Version;

    fn ended(millis: u64, outcome: Outcome) -> Attempt {
        Attempt {
            seq: 0,
            stream: 0,
            intended: Duration::ZERO,
            sent: Duration::from_millis(millis),
            finished: Duration::from_millis(millis),
            outcome,
            status: None,
            peer: None,
            reused: false,
            retryable: false,
            version: (outcome == Outcome::Ok).then(|| Version::Named("v1".into())),
            instance: None,
            proxied: None,
            bytes_in: 0,
            bytes_out: 0,
            error: None,
        }
    }

    #[test]
    fn every_second_is_there_and_every_loss_is_kept() {
        let recorder = Recorder::default();
        for (millis, outcome) in [
            (2_100, Outcome::Ok),
            (5_000, Outcome::Refused),
            (4_900, Outcome::Ok),
            (5_999, Outcome::Ok),
        ] {
            recorder.add(ended(millis, outcome));
        }
        assert_eq!(recorder.counts(), Counts { requests: 4, lost: 1 });
        let (seconds, losses) = recorder.take(&["all".into()], &[]);
        assert_eq!(seconds.iter().map(|s| s.at).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(seconds[3].versions["v1"], 1);
        assert_eq!(seconds[3].lost[&Outcome::Refused], 1);
        assert_eq!(seconds[2].versions["v1"], 1);
        assert_eq!(losses.len(), 1);
        assert_eq!(seconds[3].streams["all"].lost, 1);
        assert_eq!(seconds[3].streams["all"].versions[NO_VERSION], 1);
    }

    #[test]
    fn what_is_in_flight_is_a_mean_over_each_second() {
        let recorder = Recorder::default();
        let pod: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let pods = [PodRecord {
            name: "a".into(),
            version: "v1".into(),
            address: pod,
            events: Vec::new(),
        }];
        let sent = Duration::from_millis(750);
        recorder.add(Attempt { sent, peer: Some(pod), ..ended(2_500, Outcome::Ok) });
        recorder.add(Attempt { sent: Duration::from_secs(2), ..ended(2_250, Outcome::Ok) });
        let (seconds, _) = recorder.take(&["all".into()], &pods);
        let means: Vec<_> = seconds.iter().map(|s| s.in_flight.get("a").copied()).collect();
        assert_eq!(means, [Some(0.25), Some(1.0), Some(0.5)]);
        assert_eq!(seconds[2].in_flight.get(NO_POD), Some(&0.25));
    }
}
