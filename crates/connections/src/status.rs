//! What `/status` says.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use websample_lifecycle::Lifecycle;

/// The phase, what is in flight, and the budget.
pub fn status(lifecycle: &Lifecycle) -> Value {
    let policy = lifecycle.policy();
    let in_flight = lifecycle.in_flight();
    let seconds = |duration: Duration| duration.as_secs_f64();
    let left =
        lifecycle.deadline_at().map(|at| seconds(at.saturating_duration_since(Instant::now())));
    json!({
        "phase": lifecycle.phase(),
        "mode": policy.mode,
        "in_flight": {
            "requests": in_flight.requests.get(),
            "background_work": in_flight.work(),
        },
        "connections": in_flight.connections.get(),
        "last_arrival_seconds": lifecycle.last_arrival().map(seconds),
        "cut": lifecycle.cut_total(),
        "scrapes": lifecycle.scrapes(),
        "budget": {
            "grace_period_seconds": seconds(policy.grace_period),
            "margin_seconds": seconds(policy.margin),
            "delay_min_seconds": seconds(policy.delay.min),
            "delay_quiet_seconds": seconds(policy.delay.quiet),
            "delay_max_seconds": seconds(policy.delay.max),
            "deadline_seconds": seconds(policy.deadline()),
            "drain_seconds": seconds(policy.drain_budget()),
            "seconds_left": left,
        },
    })
}
