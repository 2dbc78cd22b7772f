//! A pod's own report of its end: its termination message.

use serde::Deserialize;

use super::clock::Offset;
use crate::timeline::What;

/// What is read of a drain report. Its times are Unix times by the clock of the pod's node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Drained {
    cause: Option<String>,
    signal: Option<String>,
    phases: Vec<PhaseEntry>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct PhaseEntry {
    phase: String,
    entered: f64,
    seconds: f64,
}

impl Drained {
    /// Reads a termination message; `None` where it is another program's.
    pub fn read(message: &str) -> Option<Self> {
        serde_json::from_str::<Self>(message).ok().filter(|report| !report.phases.is_empty())
    }

    /// When it was written.
    pub fn ended(&self) -> f64 {
        self.phases.last().map_or(0.0, |last| last.entered + last.seconds)
    }

    /// What it tells that nobody else saw, each with its Unix time: the hook's call and return, or
    /// SIGTERM. A SIGTERM that followed a hook has no time of its own.
    pub fn events(&self) -> Vec<(f64, What)> {
        let entered = |name: &str| {
            self.phases.iter().find(|phase| phase.phase == name).map(|phase| phase.entered)
        };
        let left = entered("lame_duck").or_else(|| entered("draining"));
        match (self.cause.as_deref(), self.signal.as_deref()) {
            (Some("hook"), _) => {
                let called = entered("lame_duck").map(|at| (at, What::HookCalled));
                let returned = entered("draining").map(|at| (at, What::HookReturned));
                called.into_iter().chain(returned).collect()
            }
            (Some("signal"), _) => left.map(|at| (at, What::Sigterm)).into_iter().collect(),
            // Some modes have no phase after it: it was the end.
            (_, Some(_)) => vec![(left.unwrap_or_else(|| self.ended()), What::Sigterm)],
            _ => Vec::new(),
        }
    }

    /// What its times say about the clock of its node: it had ended before its end was seen.
    pub fn bounds(&self, exit_seen: f64) -> Offset {
        let mut offset = Offset::default();
        offset.known_by(self.ended(), exit_seen);
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use websample_lifecycle::{Lifecycle, Policy, Signal};

    fn report(cause: &str, signal: &str, phases: &[(&str, f64, f64)]) -> Drained {
        let phases: Vec<_> = phases
            .iter()
            .map(|(phase, entered, seconds)| {
                serde_json::json!({"phase": phase, "entered": entered, "seconds": seconds})
            })
            .collect();
        let quoted = |text: &str| {
            if text.is_empty() { serde_json::Value::Null } else { text.into() }
        };
        let json = serde_json::json!({
            "mode": "drain", "cause": quoted(cause), "signal": quoted(signal), "phases": phases,
        });
        Drained::read(&json.to_string()).expect("a report")
    }

    #[test]
    fn what_began_it_is_told_with_its_time() {
        let lame = [("serving", 1.0, 9.0), ("lame_duck", 10.0, 5.0), ("draining", 15.0, 1.0)];
        let closed = [("serving", 1.0, 9.0), ("draining", 10.0, 1.0), ("drained", 11.0, 0.5)];
        let at_once = [("starting", 0.0, 1.0), ("serving", 1.0, 9.0)];
        for (cause, signal, phases, expected) in [
            (
                "hook",
                "SIGTERM",
                &lame[..],
                &[(10.0, What::HookCalled), (15.0, What::HookReturned)][..],
            ),
            ("signal", "SIGTERM", &lame, &[(10.0, What::Sigterm)]),
            ("signal", "SIGTERM", &closed, &[(10.0, What::Sigterm)]),
            ("", "SIGTERM", &at_once, &[(10.0, What::Sigterm)]),
            ("", "", &at_once, &[]),
        ] {
            let report = report(cause, signal, phases);
            assert_eq!(report.events(), expected, "{cause} {signal}");
        }
        assert!((report("", "", &closed).ended() - 11.5).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_report_is_none() {
        for message in ["", "panicked at main.rs", "{}", r#"{"cause":null,"phases":[]}"#] {
            assert_eq!(Drained::read(message), None, "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_own_report_is_one() {
        let (lifecycle, drain) = Lifecycle::new(Policy::default()).unwrap();
        let drain = tokio::spawn(drain.run());
        lifecycle.serving().await;
        lifecycle.signal(Signal::Sigterm);
        let message = drain.await.expect("it ends").to_termination_message();
        let report = Drained::read(&message).expect("a report");
        let events = report.events();
        assert!(matches!(&events[..], [(_, What::Sigterm)]), "{message}");
        assert!(report.ended() >= events[0].0, "{message}");
    }
}
