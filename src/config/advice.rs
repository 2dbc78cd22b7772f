//! What works, and is still worth a second thought.

use std::{fmt, time::Duration};

use websample_actix::OnDrain;
use websample_kubernetes::propagation::{INGRESS, PROXY};
use websample_lifecycle::Mode;

use super::settings::Settings;

/// An ALB closes idle connections after this long; a server that is first makes it answer 502.
const LOAD_BALANCER_IDLE: Duration = Duration::from_secs(60);

/// A warning: about which key, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Advice {
    /// The key.
    pub key: &'static str,
    /// What to know about it.
    pub message: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Everything worth a second thought about these settings.
pub(super) fn advise(settings: &Settings) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut say = |key, message: String| advice.push(Advice { key, message });
    let shown = humantime::format_duration;

    match settings.mode {
        Mode::Ignore => say(
            "mode",
            "every pod runs until SIGKILL, and what is in flight then is lost".to_owned(),
        ),
        Mode::Immediate => {
            say("mode", "every request in flight at SIGTERM is lost".to_owned());
        }
        Mode::Graceful => say(
            "mode",
            "connections are refused from SIGTERM on, while traffic is still sent here".to_owned(),
        ),
        Mode::Drain => {
            let min = settings.delay.min;
            if min < PROXY {
                say(
                    "delay.min",
                    format!(
                        "{} is less than the 1.2s that a kube-proxy takes to stop sending here",
                        shown(min)
                    ),
                );
            } else if min < INGRESS {
                say(
                    "delay.min",
                    format!(
                        "{} is enough behind a kube-proxy, but less than the 4.3s that an \
                         ingress-nginx takes to stop sending here",
                        shown(min)
                    ),
                );
            }
        }
    }
    let readiness = match settings.readiness_on_drain {
        OnDrain::Auto => None,
        OnDrain::Keep => Some(
            "keep leaves readiness at 200: a Service whose other endpoints are all gone falls back to \
             this pod, but balancers that trust only the probe go on sending, and so does the Service \
             where only the container is killed, for its liveness probe; auto does the first alone",
        ),
        OnDrain::Fail => Some(
            "fail takes the pod from a Service that has no other left, where all go at once: requests \
             are refused until new ones are ready; auto waits with that, for the kubelet's probe alone",
        ),
    };
    if let Some(what) = readiness.filter(|_| settings.mode == Mode::Drain) {
        say("readiness.on_drain", what.to_owned());
    }
    if settings.keep_alive < LOAD_BALANCER_IDLE {
        say(
            "keep_alive",
            format!(
                "{} is less than the 60s after which an ALB closes idle connections: it answers \
                 502 where the server closes first",
                shown(settings.keep_alive)
            ),
        );
    }
    if settings.admin_listen.is_none() && !settings.has_hook_on_app_listener() {
        say(
            "hook.on_app_listener",
            "with admin.listen off too there is no /prestop: only SIGTERM starts a drain"
                .to_owned(),
        );
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::{super::Sources, *};

    type Flags<'a> = &'a [(&'a str, &'a str)];

    fn keys(flags: Flags) -> Vec<(&'static str, String)> {
        let sources =
            flags.iter().fold(Sources::none(), |sources, (key, value)| sources.flag(*key, *value));
        let settings = Settings::load(&sources).unwrap();
        advise(&settings).into_iter().map(|advice| (advice.key, advice.message)).collect()
    }

    #[test]
    fn the_defaults_need_none() {
        assert_eq!(keys(&[]), []);
    }

    #[test]
    fn each_names_its_key_and_reason() {
        let cases: [(Flags, &str, &str); 9] = [
            (&[("mode", "ignore")], "mode", "until SIGKILL"),
            (&[("mode", "immediate")], "mode", "lost"),
            (&[("mode", "graceful")], "mode", "refused"),
            (&[("delay.min", "1199ms")], "delay.min", "kube-proxy takes"),
            (&[("delay.min", "1200ms")], "delay.min", "ingress-nginx takes"),
            (&[("delay.min", "4299ms")], "delay.min", "ingress-nginx takes"),
            (&[("readiness.on_drain", "keep")], "readiness.on_drain", "falls back"),
            (&[("keep_alive", "59s")], "keep_alive", "502"),
            (
                &[("admin.listen", "off"), ("hook.on_app_listener", "false")],
                "hook.on_app_listener",
                "no /prestop",
            ),
        ];
        for (flags, key, reason) in cases {
            let advice = keys(flags);
            assert_eq!(advice.len(), 1, "{flags:?}: {advice:?}");
            assert_eq!(advice[0].0, key);
            assert!(advice[0].1.contains(reason), "{advice:?}");
        }
        assert_eq!(keys(&[("delay.min", "4300ms"), ("keep_alive", "60s")]), []);
    }
}
