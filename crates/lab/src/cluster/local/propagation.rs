//! When a published change of the endpoints reaches one consumer (facts 4.3, 5.2, 6).

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use super::seed::Seed;
use crate::timings::{Distribution, Through, Timings, TimingsError};

/// How long kube-proxy takes to write its rules once it starts to. With what comes before it, a
/// deletion takes effect 0.1 s after it at the earliest; and 1.2 s at the latest, where a change
/// just misses a sync, waits for its end and the pause, and for the next one's end (facts 9).
const PROXY_APPLY: Range<Duration> = Duration::from_millis(70)..Duration::from_millis(95);
/// kube-proxy's minSyncPeriod: from the end of a sync to the start of the next. (Its runner sets
/// its timer when the sync has returned.)
const PROXY_PAUSE: Pause = Pause::AfterEnd(Duration::from_secs(1));
/// ingress-nginx starts at most 0.3 syncs a second.
const INGRESS_PAUSE: Pause = Pause::AfterStart(Duration::from_millis(3_333));
/// A sync of the ingress controller posts the endpoints to nginx.
const INGRESS_APPLY: Range<Duration> = Duration::from_millis(5)..Duration::from_millis(30);
/// Each nginx worker looks for posted endpoints this often.
const INGRESS_POLL: Duration = Duration::from_secs(1);
/// What a cloud's load balancer takes.
const CLOUD: Range<Duration> = Duration::from_secs(10)..Duration::from_secs(20);

/// How changes travel to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Propagation {
    /// kube-proxy, 0-1.2 s: at once after a second of quiet, otherwise a second after the end of
    /// the sync before (facts 4.3).
    Proxy,
    /// ingress-nginx, 0-4.3 s: a rate limiter, then each worker's poll (facts 5.2).
    Ingress,
    /// A cloud's load balancer, 10-20 s (facts 6).
    Cloud,
    /// Drawn uniformly from a range for every change.
    Range(Range<Duration>),
    /// Drawn for every pod from what was measured elsewhere, with what else took its time there.
    Recorded(Arc<Timings>),
}

/// What `--propagation` says: one that is known, or a record of times that is still to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropagationArg {
    /// A known one.
    Known(Propagation),
    /// A file that `--record` has written.
    File(PathBuf),
}

impl PropagationArg {
    /// Reads the record, if it is one.
    ///
    /// # Errors
    /// A file that cannot be read, or is no record.
    pub fn read(&self) -> Result<Propagation, TimingsError> {
        match self {
            Self::Known(propagation) => Ok(propagation.clone()),
            Self::File(file) => Ok(Propagation::Recorded(Arc::new(Timings::read(file)?))),
        }
    }
}

impl FromStr for PropagationArg {
    type Err = ParsePropagationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if Path::new(text).extension().is_some_and(|kind| kind == "json") {
            return Ok(Self::File(text.into()));
        }
        text.parse().map(Self::Known)
    }
}

/// Why a text names no propagation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no propagation: use proxy, ingress, cloud, a range such as 500ms..2s, or a file that \
     --record has written, such as timings.json"
)]
pub struct ParsePropagationError(String);

impl FromStr for Propagation {
    type Err = ParsePropagationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParsePropagationError(text.to_owned());
        match text {
            "proxy" => Ok(Self::Proxy),
            "ingress" => Ok(Self::Ingress),
            "cloud" => Ok(Self::Cloud),
            _ => {
                let (from, to) = text.split_once("..").ok_or_else(error)?;
                let parse = |part: &str| humantime::parse_duration(part).map_err(|_| error());
                let (from, to) = (parse(from)?, parse(to)?);
                if from <= to { Ok(Self::Range(from..to)) } else { Err(error()) }
            }
        }
    }
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy => f.write_str("proxy"),
            Self::Ingress => f.write_str("ingress"),
            Self::Cloud => f.write_str("cloud"),
            Self::Recorded(timings) => timings.fmt(f),
            Self::Range(range) => {
                let part = humantime::format_duration;
                write!(f, "{}..{}", part(range.start), part(range.end))
            }
        }
    }
}

impl Propagation {
    /// What was measured elsewhere, where that is replayed.
    pub fn recorded(&self) -> Option<&Timings> {
        match self {
            Self::Recorded(timings) => Some(timings),
            _ => None,
        }
    }

    /// Whether whatever is at its end sends to nobody where no pod is ready: kube-proxy goes on sending to
    /// those that are leaving.
    pub(super) fn gives_up(&self) -> bool {
        match self {
            Self::Ingress => true,
            Self::Recorded(timings) => timings.recorded.through != Through::Service,
            Self::Proxy | Self::Cloud | Self::Range(_) => false,
        }
    }

    /// The schedule of one consumer.
    pub fn schedule(&self, seed: Seed) -> Schedule {
        let kind = match self {
            Self::Proxy => Kind::Sync { pause: PROXY_PAUSE, apply: PROXY_APPLY, poll: None },
            Self::Ingress => Kind::Sync {
                pause: INGRESS_PAUSE,
                apply: INGRESS_APPLY,
                poll: Some(seed.child("poll").duration(&(Duration::ZERO..INGRESS_POLL))),
            },
            Self::Cloud => Kind::Delay(CLOUD),
            Self::Range(range) => Kind::Delay(range.clone()),
            Self::Recorded(timings) => Kind::ByPod(Arc::clone(timings)),
        };
        Schedule { kind, seed, last_sync: None, last_applied: Duration::ZERO }
    }
}

/// Says when each change of a sequence takes effect. Changes keep their order.
#[derive(Debug)]
pub struct Schedule {
    kind: Kind,
    seed: Seed,
    /// The latest sync, which may be yet to come.
    last_sync: Option<Sync>,
    last_applied: Duration,
}

#[derive(Debug)]
enum Kind {
    Delay(Range<Duration>),
    /// Each pod's changes by themselves.
    ByPod(Arc<Timings>),
    Sync {
        pause: Pause,
        apply: Range<Duration>,
        /// The phase of a poll that has to see the result too.
        poll: Option<Duration>,
    },
}

/// What lies between two syncs at least.
#[derive(Debug, Clone, Copy)]
enum Pause {
    /// From the start of one to the start of the next.
    AfterStart(Duration),
    /// From the end of one to the start of the next.
    AfterEnd(Duration),
}

/// One sync of a consumer.
#[derive(Debug, Clone, Copy)]
struct Sync {
    /// What is published by then takes part.
    start: Duration,
    end: Duration,
    /// When its result takes effect.
    applied: Duration,
}

impl Sync {
    fn next_start(self, pause: Pause) -> Duration {
        match pause {
            Pause::AfterStart(pause) => self.start + pause,
            Pause::AfterEnd(pause) => self.end + pause,
        }
    }
}

impl Schedule {
    /// When a change takes effect that is published at `published`; both count from the start of
    /// the run. `change` names it: the delay is drawn from that name.
    pub fn applied_at(&mut self, published: Duration, change: &str) -> Duration {
        let seed = self.seed.child(change);
        let applied = match &self.kind {
            Kind::Delay(range) => published + seed.duration(range),
            Kind::ByPod(_) => published,
            Kind::Sync { pause, apply, poll } => match self.last_sync {
                // A sync that is yet to start takes this change along.
                Some(sync) if published <= sync.start => sync.applied,
                last => {
                    let earliest = last.map_or(Duration::ZERO, |sync| sync.next_start(*pause));
                    let start = published.max(earliest);
                    let end = start + seed.duration(apply);
                    let applied = poll.map_or(end, |phase| next_poll(end, phase));
                    self.last_sync = Some(Sync { start, end, applied });
                    applied
                }
            },
        };
        self.last_applied = applied.max(self.last_applied);
        self.last_applied
    }
}

/// What becomes of a pod in a consumer's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is sent to from now on.
    Comes,
    /// It is sent to no more.
    Goes,
    /// Neither.
    Stays,
}

impl Schedule {
    /// Whether each pod's changes take effect by themselves, whatever those of the others do.
    pub(super) fn is_by_pod(&self) -> bool {
        matches!(self.kind, Kind::ByPod(_))
    }

    /// How long a pod's own change takes; `pod` names the draw.
    pub(super) fn delay_of(&self, pod: &str, turn: Turn) -> Duration {
        let Kind::ByPod(timings) = &self.kind else { return Duration::ZERO };
        let (times, what): (&Distribution, _) = match turn {
            Turn::Comes => (&timings.seconds.propagation_add, "comes"),
            Turn::Goes => (&timings.seconds.propagation_remove, "goes"),
            Turn::Stays => return Duration::ZERO,
        };
        self.seed.child(pod).child(what).one_of(times.times()).copied().unwrap_or_default()
    }
}

/// The first poll at or after `time`, for polls at `phase`, `phase` + 1 s, …
fn next_poll(time: Duration, phase: Duration) -> Duration {
    let mut poll = Duration::from_secs(time.as_secs()) + phase;
    if poll < time {
        poll += INGRESS_POLL;
    }
    poll
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn presets_and_ranges_parse_and_print() {
        for text in ["proxy", "ingress", "cloud", "500ms..2s", "0s..0s"] {
            assert_eq!(text.parse::<Propagation>().unwrap().to_string(), text);
        }
        assert_eq!("500ms..2s".parse(), Ok(Propagation::Range(ms(500)..ms(2_000))));
        for text in ["", "kube", "2s..1s", "1..2", "1s", "1s..", "..1s", "-1s..2s"] {
            let error = text.parse::<Propagation>().unwrap_err();
            assert!(error.to_string().contains("500ms..2s"), "{error}");
        }
    }

    #[test]
    fn rule_4_3_at_once_after_a_second_of_quiet_and_otherwise_a_second_later() {
        let mut schedule = Propagation::Proxy.schedule(Seed::new(1));
        let within = |applied: Duration, start| {
            assert!((start + ms(70)..start + ms(95)).contains(&applied), "{applied:?}");
        };
        let first = schedule.applied_at(ms(5_000), "a");
        within(first, ms(5_000));
        // The pause begins when the sync has ended.
        let second = schedule.applied_at(ms(5_300), "b");
        within(second, first + ms(1_000));
        // Takes part in the sync that is already due.
        assert_eq!(schedule.applied_at(first + ms(1_000), "c"), second);
        let third = schedule.applied_at(first + ms(1_001), "d");
        within(third, second + ms(1_000));
        let quiet = third + ms(1_001);
        within(schedule.applied_at(quiet, "e"), quiet);
    }

    #[test]
    fn rule_5_2_the_rate_limiter_counts_from_start_to_start() {
        let mut schedule = Propagation::Ingress.schedule(Seed::new(1));
        let applied: Vec<_> = [0, 100, 3_400].map(|at| schedule.applied_at(ms(at), "x")).into();
        // The syncs start at 0, 3.333 and 6.666 s; each is seen at the next poll of the second.
        for (applied, start) in applied.iter().zip([0, 3_333, 6_666]) {
            assert!((ms(start)..ms(start + 1_030)).contains(applied), "{start} {applied:?}");
        }
    }

    proptest! {
        #[test]
        fn changes_keep_their_order_and_the_presets_their_bounds(
            seed: u64,
            gaps in prop::collection::vec(0_u64..4_000, 1..40),
        ) {
            let presets = [
                (Propagation::Proxy, ms(0), ms(1_200)),
                (Propagation::Ingress, ms(0), ms(4_400)),
                (Propagation::Cloud, ms(10_000), ms(20_000)),
                (Propagation::Range(ms(500)..ms(2_000)), ms(500), ms(2_000)),
            ];
            for (preset, least, most) in presets {
                let mut schedule = preset.schedule(Seed::new(seed));
                let mut published = Duration::ZERO;
                let mut last = Duration::ZERO;
                for (n, gap) in gaps.iter().enumerate() {
                    published += ms(*gap);
                    let applied = schedule.applied_at(published, &n.to_string());
                    prop_assert!(applied >= last);
                    prop_assert!(applied >= published + least, "{preset}: {published:?} {applied:?}");
                    prop_assert!(applied <= published + most, "{preset}: {published:?} {applied:?}");
                    last = applied;
                }
            }
        }
    }
}
