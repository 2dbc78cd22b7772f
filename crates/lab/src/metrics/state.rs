//! What a pod is to whoever counts pods.

use crate::timeline::{PodRecord, What};

/// What a pod is to whoever counts pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not ready, and not told to go.
    Starting,
    /// Ready.
    Ready,
    /// Deleted, and still there.
    Terminating,
}

impl State {
    pub(super) const ALL: [Self; 3] = [Self::Starting, Self::Ready, Self::Terminating];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Terminating => "terminating",
        }
    }

    /// The state of a pod; `None` once its object is gone.
    pub(super) fn of(pod: &PodRecord) -> Option<Self> {
        let mut state = Self::Starting;
        for event in &pod.events {
            state = match (&event.what, state) {
                (What::Removed, _) => return None,
                (What::Deleted, _) | (_, Self::Terminating) => Self::Terminating,
                (What::Ready, _) => Self::Ready,
                (What::NotReady, _) => Self::Starting,
                (_, state) => state,
            };
        }
        Some(state)
    }
}
