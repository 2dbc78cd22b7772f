//! What the load saw, what pods say of themselves, and what was seen of them: on one clock.

use std::{sync::Arc, time::Duration};

use websample_load::Attempt;

use crate::{
    cluster::kubernetes::{Stopped, clock::Offset, observer::PodEnd},
    timeline::{Timeline, What},
};

/// A pod's report whose times are outside of what was seen by more than this is not believed.
const BELIEVABLE: f64 = 1.0;

/// Says which pod an attempt went to, where that is known: the Service's address tells nothing.
pub(crate) fn place(attempt: &mut Attempt, timeline: &Timeline, remembered: bool) {
    let instance = attempt.instance.as_deref();
    let believed = instance.filter(|_| remembered || attempt.status.is_some());
    attempt.peer = believed.and_then(|pod| timeline.address_of(pod));
}

/// From the nodes' clocks, which are taken for one, to the timeline's.
pub(crate) fn nodes(
    stopped: &Stopped,
    reports: &[PodEnd],
    began: Duration,
    inside: bool,
) -> Offset {
    let mut nodes = Offset::default();
    if inside {
        nodes.also(stopped.offset.ahead(stopped.unix));
    }
    for report in reports {
        nodes.also(report.drained.bounds(report.exited.as_secs_f64()));
        // No pod was asked to leave before the update began.
        if let Some((left, _)) = report.drained.events().first() {
            nodes.caused_at(*left, began.as_secs_f64());
        }
    }
    nodes
}

/// What pods say of their ends, as events; without what contradicts what was seen of them: then
/// their node's clock is not that of the others.
pub(crate) fn believable(reports: &[PodEnd], nodes: Offset) -> Vec<(Arc<str>, Duration, What)> {
    let mut events = Vec::new();
    for report in reports {
        let deleted = report.deleted.map_or(0.0, |at| at.as_secs_f64());
        let (first, last) = (deleted - BELIEVABLE, report.exited.as_secs_f64() + BELIEVABLE);
        let mut told = report.drained.events();
        told.push((report.drained.ended(), What::Exited(report.exit)));
        for (unix, what) in told {
            if let Some(at) = nodes.here(unix)
                && (first..=last).contains(&at.as_secs_f64())
            {
                events.push((Arc::clone(&report.pod), at, what));
            }
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::kubernetes::Drained, timeline::Exit};
    use websample_load::Outcome;

    /// A pod that was deleted at 10 and whose end was seen at 16; by its own clock it heard SIGTERM
    /// and ended at these times.
    fn report(sigterm: f64, ended: f64) -> PodEnd {
        let message = serde_json::json!({
            "cause": "signal", "signal": "SIGTERM", "phases": [
                {"phase": "lame_duck", "entered": sigterm, "seconds": ended - sigterm},
            ],
        });
        PodEnd {
            pod: "pod".into(),
            deleted: Some(Duration::from_secs(10)),
            exited: Duration::from_secs(16),
            exit: Exit::Code(0),
            drained: Drained::read(&message.to_string()).expect("a report"),
        }
    }

    #[test]
    fn the_nodes_clock_is_bounded_by_the_load_and_by_the_pods() {
        // The load's node is 1000 s ahead of its origin, which was at 2.0 to 2.1 here.
        let mut stopped = Stopped { unix: 1_000.0, ..Stopped::default() };
        stopped.offset.known_by(5.0, 7.1);
        stopped.offset.caused_at(20.0, 22.0);
        let inside = nodes(&stopped, &[], Duration::from_secs(9), true);
        assert!((inside.best().expect("bounded") + 997.95).abs() < 1e-9);
        assert!((inside.uncertainty().expect("bounded") - 0.05).abs() < 1e-9);
        // From outside only the pods tell: not before the update began, not after it was seen.
        assert_eq!(nodes(&stopped, &[], Duration::from_secs(9), false), Offset::default());
        let pods = [report(1_010.0, 1_015.0)];
        let outside = nodes(&stopped, &pods, Duration::from_secs(9), false);
        assert_eq!(outside.best(), Some(-1_000.0));
        assert_eq!(outside.uncertainty(), Some(1.0));
    }

    #[test]
    fn a_report_that_contradicts_what_was_seen_is_not_believed() {
        let mut clock = Offset::default();
        clock.known_by(1_000.0, 0.0);
        let told = |report: PodEnd| {
            let events = believable(&[report], clock);
            let events = events.into_iter().map(|(_, at, what)| (at.as_secs(), what.name()));
            events.collect::<Vec<_>>()
        };
        assert_eq!(told(report(1_010.0, 1_015.0)), [(10, "sigterm"), (15, "exited")]);
        // Its node's clock is an hour off, or half a minute: all of it, or a part, cannot be.
        assert_eq!(told(report(4_610.0, 4_615.0)), []);
        assert_eq!(told(report(985.0, 1_015.0)), [(15, "exited")]);
    }

    #[tokio::test]
    async fn a_request_went_to_the_pod_that_answered_on_its_connection() {
        let timeline = Timeline::new(tokio::time::Instant::now());
        let address = "10.0.0.7:5000".parse().expect("an address");
        timeline.created(&"pod".into(), &"v1".into(), address);
        let lost = Attempt {
            seq: 0,
            stream: 0,
            intended: Duration::ZERO,
            sent: Duration::ZERO,
            finished: Duration::ZERO,
            outcome: Outcome::ResetReused,
            status: None,
            peer: Some("10.96.0.7:80".parse().expect("an address")),
            reused: true,
            retryable: false,
            version: None,
            instance: Some("pod".into()),
            proxied: None,
            bytes_in: 0,
            bytes_out: 0,
            error: None,
        };
        let placed = |attempt: &Attempt, remembered| {
            let mut attempt = attempt.clone();
            place(&mut attempt, &timeline, remembered);
            attempt.peer
        };
        assert_eq!(placed(&lost, true), Some(address));
        // What is between is not known to be none: only an answer speaks for itself.
        assert_eq!(placed(&lost, false), None);
        let answered = Attempt { status: Some(503), ..lost.clone() };
        assert_eq!(placed(&answered, false), Some(address));
        let stranger = Attempt { instance: Some("other".into()), ..lost };
        assert_eq!(placed(&stranger, true), None);
    }
}
