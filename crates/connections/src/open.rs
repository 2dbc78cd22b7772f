//! The connections of one worker, and telling them all to go.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    time::Duration,
};

use slab::Slab;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use websample_lifecycle::{Lifecycle, Mode, Phase};

use super::state::{Connection, Stage};

/// Never more than this part of what is left until the deadline is spent on spreading.
const SPREAD_SHARE: u32 = 2;

/// Wakes this many connections at a time where they are spread, so that 20,000 of them need not
/// as many timers.
const STEP: Duration = Duration::from_millis(5);

/// How old connections become in normal life, so that clients move, too, to servers that came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// A connection that is as old as this is told to leave; up to a tenth more or less, so that those
    /// that came together do not go together.
    pub limit: Duration,
    /// So much later it is closed, once nothing is in flight on it.
    pub grace: Duration,
}

/// Ages are looked at no less often than this.
const LOOK: Duration = Duration::from_secs(1);

/// The part of a limit by which a connection's own may be longer or shorter.
const SPREAD: f64 = 0.1;

impl Age {
    /// When a connection is told to leave, which is known by its place in the list.
    fn of(&self, key: usize) -> Duration {
        // Neighbours become far apart: a multiplication by the golden ratio.
        let spread = (key as u32).wrapping_mul(0x9E37_79B9);
        let share = f64::from(spread) / f64::from(u32::MAX);
        self.limit.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * share)
    }
}

/// Every open connection of a worker.
#[derive(Debug)]
pub struct OpenConnections {
    connections: RefCell<Slab<Rc<Connection>>>,
}

/// A connection's entry, taken out when this is dropped.
#[derive(Debug)]
pub struct Registration {
    open: Rc<OpenConnections>,
    key: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.open.connections.borrow_mut().remove(self.key);
    }
}

impl OpenConnections {
    /// None yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self { connections: RefCell::default() })
    }

    /// Keeps a connection until what this returns is dropped.
    pub fn enter(self: &Rc<Self>, connection: &Rc<Connection>) -> Registration {
        let key = self.connections.borrow_mut().insert(Rc::clone(connection));
        Registration { open: Rc::clone(self), key }
    }

    /// Follows the phases for as long as the worker lives, and moves its connections along.
    pub async fn follow(self: Rc<Self>, lifecycle: Lifecycle, spread: Duration) {
        let mut phases = lifecycle.subscribe();
        let deadline = lifecycle.deadline();
        let mut known = Phase::Starting;
        loop {
            tokio::select! {
                biased;
                () = deadline.cancelled() => break,
                changed = phases.wait_for(|entered| entered.phase != known) => match changed {
                    Ok(entered) => known = entered.phase,
                    Err(_) => return,
                },
            }
            let Some(stage) = stage_in(known, lifecycle.policy().mode) else { continue };
            let until_deadline = lifecycle.deadline_at().map_or(Duration::ZERO, |at| {
                at.saturating_duration_since(Instant::now()) / SPREAD_SHARE
            });
            let advance = self.advance(stage, spread.min(until_deadline));
            tokio::select! {
                biased;
                () = deadline.cancelled() => break,
                // Spreading one stage ends when the next phase begins: that one is for all.
                _ = async { phases.wait_for(|entered| entered.phase != known).await.map(drop) } => {}
                () = advance => {}
            }
        }
        self.advance(Stage::Cut, Duration::ZERO).await;
    }

    /// Tells connections to leave for their age, for as long as the worker lives.
    pub async fn age(self: Rc<Self>, age: Age) {
        let mut look = interval((age.limit / 20).clamp(Duration::from_millis(1), LOOK));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            for (key, connection) in self.connections.borrow().iter() {
                let (old, limit) = (connection.accepted().elapsed(), age.of(key));
                match connection.stage() {
                    Stage::Open if old >= limit => connection.set_stage(Stage::Leaving),
                    Stage::Leaving if old >= limit + age.grace => {
                        connection.set_stage(Stage::Closing);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Moves every connection to a stage, evenly over a time.
    async fn advance(&self, stage: Stage, spread: Duration) {
        let all: Vec<Weak<Connection>> =
            self.connections.borrow().iter().map(|(_, c)| Rc::downgrade(c)).collect();
        let steps = if stage == Stage::Abrupt || stage == Stage::Open {
            1
        } else {
            (spread.as_micros() / STEP.as_micros()).max(1) as usize
        };
        let start = Instant::now();
        let count = all.len();
        for (index, connection) in all.into_iter().enumerate() {
            let step = index * steps / count.max(1);
            let due = start + STEP * step as u32;
            if step > 0 && due > Instant::now() {
                sleep_until(due).await;
            }
            // Those that have gone meanwhile need not be told.
            // And some have gone further by themselves.
            if let Some(connection) = connection.upgrade()
                && (stage == Stage::Open || connection.stage() < stage)
            {
                connection.set_stage(stage);
            }
        }
    }
}

/// The stage in which connections are while the server is in a phase, where a change of phase
/// changes it.
fn stage_in(phase: Phase, mode: Mode) -> Option<Stage> {
    match (phase, mode) {
        (Phase::Serving, _) => Some(Stage::Open),
        (Phase::LameDuck, _) => Some(Stage::Leaving),
        (Phase::Draining, Mode::Drain) => Some(Stage::Closing),
        (Phase::Draining, _) => Some(Stage::Abrupt),
        (Phase::Starting | Phase::Drained, _) => None,
    }
}

/// The stage in which a connection begins that is accepted in a phase.
pub fn first_stage(phase: Phase, mode: Mode) -> Stage {
    stage_in(phase, mode).unwrap_or(Stage::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_came_together_do_not_go_together() {
        let age = Age { limit: Duration::from_secs(100), grace: Duration::ZERO };
        let mut ages: Vec<_> = (0..100).map(|key| age.of(key).as_secs_f64()).collect();
        ages.sort_by(f64::total_cmp);
        assert!(ages[0] >= 90.0 && ages[99] <= 110.0, "{ages:?}");
        let widest = ages.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!(widest < 1.0, "{widest}");
    }
}
