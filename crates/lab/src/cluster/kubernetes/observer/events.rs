//! What an event of the cluster means for a pod.

use k8s_openapi::api::core::v1::Event;

/// What was told of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// The kubelet begins to end a container.
    Killing,
    /// A container's preStop hook failed.
    HookFailed(String),
    /// A probe failed: which, and why.
    Unhealthy(&'static str, String),
    /// Something else that the cluster warns of.
    Warning(String, String),
}

/// What an event means, and the container it is about, if it is about one.
pub(super) fn told(event: &Event) -> Option<(Told, Option<String>)> {
    let message = event.message.as_deref().unwrap_or_default().trim().to_owned();
    let reason = event.reason.as_deref()?;
    let told = match reason {
        "Killing" => Told::Killing,
        "FailedPreStopHook" => Told::HookFailed(message),
        "Unhealthy" => {
            let (probe, why) = probe_of(&message)?;
            Told::Unhealthy(probe, why)
        }
        _ if event.type_.as_deref() == Some("Warning") => Told::Warning(reason.to_owned(), message),
        _ => return None,
    };
    Some((told, container_of(event)))
}

/// The container in a field path such as `spec.containers{web}`.
fn container_of(event: &Event) -> Option<String> {
    let path = event.involved_object.field_path.as_deref()?;
    Some(path.strip_prefix("spec.containers{")?.strip_suffix('}')?.to_owned())
}

/// Which probe, and why, of a sentence such as `Readiness probe failed: …`
/// (pkg/kubelet/prober/prober.go).
fn probe_of(message: &str) -> Option<(&'static str, String)> {
    let probes = [("Readiness", "readiness"), ("Liveness", "liveness"), ("Startup", "startup")];
    probes.into_iter().find_map(|(word, probe)| {
        let rest = message.strip_prefix(word)?.strip_prefix(" probe ")?;
        let why = rest.split_once(": ").map_or(rest, |(_, why)| why);
        Some((probe, why.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_told_in_the_timelines_words() {
        let event = |kind: &str, reason: &str, message: &str| -> Event {
            serde_json::from_value(json!({
                "metadata": {}, "type": kind, "reason": reason, "message": message,
                "involvedObject": {"kind": "Pod", "fieldPath": "spec.containers{web}"},
            }))
            .expect("an event")
        };
        let refused = "Readiness probe failed: Get \"http://10.0.0.1/\": connection refused";
        let why = "Get \"http://10.0.0.1/\": connection refused".to_owned();
        for (event, expected) in [
            (event("Normal", "Killing", "Stopping container web"), Some(Told::Killing)),
            (
                event("Warning", "FailedPreStopHook", "PreStopHook failed"),
                Some(Told::HookFailed("PreStopHook failed".to_owned())),
            ),
            (event("Warning", "Unhealthy", refused), Some(Told::Unhealthy("readiness", why))),
            (
                event("Warning", "Unhealthy", "Liveness probe errored and resulted in x: y"),
                Some(Told::Unhealthy("liveness", "y".to_owned())),
            ),
            (
                event("Warning", "FailedMount", "no volume"),
                Some(Told::Warning("FailedMount".to_owned(), "no volume".to_owned())),
            ),
            (event("Normal", "Pulled", "Container image is there"), None),
        ] {
            let found = told(&event);
            assert_eq!(found.as_ref().map(|(told, _)| told), expected.as_ref(), "{event:?}");
            if let Some((_, container)) = found {
                assert_eq!(container.as_deref(), Some("web"));
            }
        }
    }
}
