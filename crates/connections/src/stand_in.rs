//! What hands sockets over, where that is left out (feature `restart`): nothing, and nobody.

#![expect(clippy::unused_self, clippy::unused_async, reason = "as what it stands for")]

use websample_lifecycle::Lifecycle;

use super::ports::Port;

/// Nobody asks for a restart.
#[derive(Debug)]
pub(super) enum Handoff {}

impl Handoff {
    pub(super) async fn serve(self, _: Vec<Port>, _: &Lifecycle, _: &Notifier) {
        match self {}
    }
}

/// Nobody was here before.
#[derive(Debug)]
pub(super) enum Predecessor {}

impl Predecessor {
    pub(super) async fn gone(self) {
        match self {}
    }
}

/// Nobody is told.
#[derive(Debug, Default)]
pub(super) struct Notifier {}

impl Notifier {
    pub(super) fn of_this_process(_: Option<&Predecessor>) -> Self {
        Self {}
    }

    pub(super) fn takes_over(&self) {}

    pub(super) async fn follow(&self, _: &Lifecycle) {}
}
