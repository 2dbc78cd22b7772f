//! Lost requests as marks: every one of them is in a mark, however many there are.

use std::collections::HashMap;

use serde::Serialize;

use crate::losses::Loss;

/// Marks of one run. Beyond these, requests lost together share a mark that says how many.
pub(super) const MAX_MARKS: usize = 1_500;

/// Columns, one entry a mark: a tenth of the size of objects.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Marks {
    /// Seconds from the start of the run to the (first) failure.
    pub(super) at: Vec<f64>,
    /// Seconds from the start of the run to its sending.
    pub(super) sent: Vec<f64>,
    /// How many requests the mark stands for.
    pub(super) n: Vec<u64>,
    /// Index of the pod; -1 without one.
    pub(super) pod: Vec<i64>,
    /// Index of the stream.
    pub(super) stream: Vec<usize>,
    /// The outcome's name, as an index of `outcomes`.
    pub(super) outcome: Vec<usize>,
    /// The cause's name, as an index of `causes`.
    pub(super) cause: Vec<usize>,
    /// Seconds from the pod's SIGTERM.
    pub(super) after: Vec<Option<f64>>,
    /// Names of outcomes.
    pub(super) outcomes: Vec<String>,
    /// Names of causes, and what happened.
    pub(super) causes: Vec<(&'static str, &'static str)>,
    /// The width of time that shares a mark, in seconds; 0 if every request has its own.
    pub(super) cell: f64,
}

/// The marks of lost requests; pods and streams are looked up by name.
pub(super) fn marks(losses: &[Loss], pods: &[&str], streams: &mut Vec<String>) -> Marks {
    let mut cell = 0.0;
    while losses.len() > MAX_MARKS {
        cell = if cell == 0.0 { 0.005 } else { cell * 2.0 };
        // A minute in one mark says no more about when: what is left then differs in kind.
        if cell > 60.0 || count(losses, cell) <= MAX_MARKS {
            break;
        }
    }
    let mut marks = Marks { cell, ..Marks::default() };
    let mut known: HashMap<_, usize> = HashMap::new();
    for loss in losses {
        if cell > 0.0 {
            if let Some(&mark) = known.get(&key(loss, cell)) {
                marks.n[mark] += 1;
                continue;
            }
            known.insert(key(loss, cell), marks.n.len());
        }
        let pod = loss.pod.as_deref().and_then(|name| pods.iter().position(|pod| *pod == name));
        marks.at.push(millis(loss.at));
        marks.sent.push(millis(loss.sent));
        marks.n.push(1);
        marks.pod.push(pod.and_then(|pod| i64::try_from(pod).ok()).unwrap_or(-1));
        marks.stream.push(index_of(streams, loss.stream.to_string()));
        marks.outcome.push(index_of(&mut marks.outcomes, loss.outcome.to_string()));
        let cause = (loss.cause.name(), loss.cause.sentence());
        marks.cause.push(index_of(&mut marks.causes, cause));
        marks.after.push(loss.after_sigterm.map(millis));
    }
    marks
}

fn count(losses: &[Loss], cell: f64) -> usize {
    losses.iter().map(|loss| key(loss, cell)).collect::<std::collections::HashSet<_>>().len()
}

/// What requests that share a mark have in common.
fn key(loss: &Loss, cell: f64) -> (i64, Option<&str>, &str, String, &'static str) {
    let at = (loss.at / cell).floor() as i64;
    (at, loss.pod.as_deref(), &loss.stream, loss.outcome.to_string(), loss.cause.name())
}

/// Seconds to the millisecond: finer than any screen, and half the digits.
pub(super) fn millis(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

fn index_of<T: PartialEq>(known: &mut Vec<T>, value: T) -> usize {
    known.iter().position(|other| *other == value).unwrap_or_else(|| {
        known.push(value);
        known.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::Cause;
    use websample_load::Outcome;

    fn loss(index: usize) -> Loss {
        Loss {
            at: index as f64 * 1e-4,
            sent: index as f64 * 1e-4,
            stream: "s".into(),
            outcome: Outcome::Refused,
            pod: Some(if index.is_multiple_of(2) { "a" } else { "b" }.into()),
            after_deletion: None,
            after_sigterm: Some(0.5),
            routed: Some(true),
            cause: Cause::ClosedListener,
        }
    }

    #[test]
    fn few_losses_have_a_mark_each() {
        let losses: Vec<_> = (0..MAX_MARKS).map(loss).collect();
        let mut streams = Vec::new();
        let marks = marks(&losses, &["a", "b"], &mut streams);
        assert_eq!((marks.n.len(), marks.cell), (MAX_MARKS, 0.0));
        assert_eq!((marks.pod[1], marks.causes.len(), streams.len()), (1, 1, 1));
    }

    #[test]
    fn many_losses_share_marks_and_none_is_missing() {
        for many in [MAX_MARKS + 1, 100_000] {
            let losses: Vec<_> = (0..many).map(loss).collect();
            let marks = marks(&losses, &["a", "b"], &mut Vec::new());
            assert!(marks.n.len() <= MAX_MARKS, "{} marks", marks.n.len());
            assert_eq!(marks.n.iter().sum::<u64>(), many as u64);
            assert!(marks.cell > 0.0);
        }
    }
}
