//! Pods' histories read back from a report.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Deserializer, de};

use super::{Conditions, Event, Exit, PodRecord, What};

/// An event as it is written.
#[derive(Deserialize)]
struct Written {
    at: f64,
    what: String,
    detail: Option<String>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { at, what, detail } = Written::deserialize(deserializer)?;
        let at = Duration::try_from_secs_f64(at)
            .map_err(|_| de::Error::custom(format!("{at} is not a time of an event")))?;
        let detail = detail.unwrap_or_default();
        let what = what_of(&what, &detail).ok_or_else(|| {
            de::Error::custom(format!("`{what}` with `{detail}` is not an event of a pod"))
        })?;
        Ok(Self { at, what })
    }
}

fn what_of(name: &str, detail: &str) -> Option<What> {
    Some(match name {
        "created" => What::Created,
        "started" => What::Started,
        "restarted" => What::Restarted(detail.strip_prefix("restart ")?.parse().ok()?),
        "ready" => What::Ready,
        "not_ready" => What::NotReady,
        "probe_failed" => {
            let (probe, reason) = detail.split_once(": ").unwrap_or((detail, ""));
            let probe = ["startup", "readiness", "liveness"].into_iter().find(|p| *p == probe)?;
            What::ProbeFailed { probe, reason: reason.to_owned() }
        }
        "deleted" => What::Deleted,
        "hook_called" => What::HookCalled,
        "hook_returned" => What::HookReturned,
        "hook_failed" => What::HookFailed(detail.to_owned()),
        "sigterm" => What::Sigterm,
        "sigkill" => What::Sigkill,
        "exited" => What::Exited(exit_of(detail)?),
        "handoff_asked" => What::HandoffAsked,
        "handed_over" => What::HandedOver,
        "predecessor_exited" => What::PredecessorExited(exit_of(detail)?),
        "endpoint_ready_true" | "endpoint_ready_false" => What::EndpointChanged(Conditions {
            serving: detail.contains("serving=true"),
            terminating: detail.contains("terminating=true"),
        }),
        "proxy_changed" => {
            let (consumer, state) = detail.rsplit_once(": ")?;
            What::ProxyChanged { consumer: consumer.into(), routed: state == "routed" }
        }
        "oom_killed" => What::OomKilled,
        "warning" => {
            let (reason, message) = detail.split_once(": ").unwrap_or((detail, ""));
            What::Warning { reason: reason.to_owned(), message: message.to_owned() }
        }
        "sandbox_gone" => What::SandboxGone,
        "removed" => What::Removed,
        _ => return None,
    })
}

/// An exit from its text, such as `exit code 0` or `signal 9 (status 137)`.
fn exit_of(text: &str) -> Option<Exit> {
    if let Some(code) = text.strip_prefix("exit code ") {
        return code.parse().ok().map(Exit::Code);
    }
    let signal = text.strip_prefix("signal ")?.split(' ').next()?;
    signal.parse().ok().map(Exit::Signal)
}

impl<'de> Deserialize<'de> for PodRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// What else is written follows from the events.
        #[derive(Deserialize)]
        struct Written {
            name: Arc<str>,
            version: Arc<str>,
            address: Option<SocketAddr>,
            events: Vec<Event>,
        }
        let Written { name, version, address, events } = Written::deserialize(deserializer)?;
        let address = address.unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        Ok(Self { name, version, address, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_read_back_as_it_was_written() {
        let whats = [
            What::Created,
            What::Started,
            What::Restarted(2),
            What::HandoffAsked,
            What::HandedOver,
            What::PredecessorExited(Exit::Code(3)),
            What::Ready,
            What::NotReady,
            What::ProbeFailed { probe: "liveness", reason: "connect: refused".to_owned() },
            What::Deleted,
            What::HookCalled,
            What::HookReturned,
            What::HookFailed("status 500".to_owned()),
            What::Sigterm,
            What::Sigkill,
            What::Exited(Exit::Code(3)),
            What::Exited(Exit::Signal(9)),
            What::EndpointChanged(Conditions { serving: true, terminating: false }),
            What::EndpointChanged(Conditions { serving: true, terminating: true }),
            What::ProxyChanged { consumer: "service".into(), routed: true },
            What::ProxyChanged { consumer: "service".into(), routed: false },
            What::OomKilled,
            What::Warning { reason: "FailedMount".to_owned(), message: "no: volume".to_owned() },
            What::SandboxGone,
            What::Removed,
        ];
        for what in whats {
            let event = Event { at: Duration::from_micros(1_250_001), what };
            let json = serde_json::to_string(&event).expect("an event is written");
            assert_eq!(serde_json::from_str::<Event>(&json).expect("and read"), event);
        }
    }

    #[test]
    fn what_is_no_event_is_named() {
        for (json, wrong) in [
            (r#"{"at":1,"what":"slept"}"#, "`slept`"),
            (r#"{"at":-1,"what":"created"}"#, "-1 is not a time"),
            (r#"{"at":1,"what":"exited","detail":"well"}"#, "`well`"),
        ] {
            let error = serde_json::from_str::<Event>(json).expect_err(json).to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
