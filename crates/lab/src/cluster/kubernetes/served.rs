//! Which container of a pod requests come to, and at which port.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::{Container, ContainerStatus, LifecycleHandler, Pod, PodSpec, Service},
    apimachinery::pkg::util::intstr::IntOrString,
};

/// kubectl's own way to say which container of several is meant.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The container that serves, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The container's name; `None` for the pod's first one.
    pub container: Option<Arc<str>>,
    /// The name of its port, where it has one.
    pub port_name: Option<String>,
    /// Its port, where no port has that name.
    pub port: u16,
}

/// How long a preStop hook takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookTime {
    /// So long.
    Sleeps(Duration),
    /// Only the program knows.
    Unknown,
}

impl Served {
    /// The container that a Service leads to, by its first port; without one, the annotated one, the
    /// first that has a port, or the first.
    pub fn of(
        spec: &PodSpec,
        annotation: impl Fn(&str) -> Option<String>,
        service: Option<&Service>,
    ) -> Self {
        let ports = service.and_then(|service| service.spec.as_ref()?.ports.as_ref()?.first());
        let wanted =
            ports.map(|port| port.target_port.clone().unwrap_or(IntOrString::Int(port.port)));
        let has = |container: &&Container| {
            container.ports.iter().flatten().any(|port| match &wanted {
                Some(IntOrString::Int(number)) => port.container_port == *number,
                Some(IntOrString::String(name)) => port.name.as_deref() == Some(name),
                None => false,
            })
        };
        let annotated = annotation(DEFAULT_CONTAINER);
        let container = spec
            .containers
            .iter()
            .find(has)
            .or_else(|| spec.containers.iter().find(|c| Some(&c.name) == annotated.as_ref()))
            .or_else(|| spec.containers.iter().find(|c| c.ports.iter().flatten().next().is_some()))
            .or_else(|| spec.containers.first());
        let declared = container
            .and_then(|container| container.ports.iter().flatten().next())
            .map_or(0, |port| port.container_port);
        let (port_name, port) = match wanted {
            Some(IntOrString::String(name)) => (Some(name), declared),
            Some(IntOrString::Int(number)) => (None, number),
            None => (None, declared),
        };
        Self {
            container: container.map(|container| container.name.as_str().into()),
            port_name,
            port: u16::try_from(port).unwrap_or(0),
        }
    }

    /// The container's specification.
    pub fn spec<'a>(&self, pod: &'a PodSpec) -> Option<&'a Container> {
        match &self.container {
            Some(name) => pod.containers.iter().find(|container| *container.name == **name),
            None => pod.containers.first(),
        }
    }

    /// The container's status; others may have put theirs beside it.
    pub fn status<'a>(&self, pod: &'a Pod) -> Option<&'a ContainerStatus> {
        let mut all = containers(pod);
        match self.spec(pod.spec.as_ref()?) {
            Some(container) => all.find(|status| status.name == container.name),
            None => all.next(),
        }
    }

    /// The image that its container is made of.
    pub fn image<'a>(&self, pod: &'a PodSpec) -> &'a str {
        self.spec(pod).and_then(|container| container.image.as_deref()).unwrap_or_default()
    }

    /// Where a pod listens, if it has an address.
    pub fn address(&self, pod: &Pod) -> Option<SocketAddr> {
        let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
        Some(SocketAddr::new(ip, self.port_of(pod)))
    }

    /// The port a pod listens on.
    pub fn port_of(&self, pod: &Pod) -> u16 {
        let ports = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut ports = ports.flat_map(|container| container.ports.iter().flatten());
        let named = ports
            .find(|port| self.port_name.is_some() && port.name == self.port_name)
            .and_then(|port| u16::try_from(port.container_port).ok());
        named.unwrap_or(self.port)
    }

    /// The preStop hook of its container, and how long that takes.
    pub fn hook(&self, pod: &PodSpec) -> Option<HookTime> {
        let handler = self.spec(pod)?.lifecycle.as_ref()?.pre_stop.as_ref()?;
        Some(hook_time(handler))
    }
}

/// Statuses of a pod's containers.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// How long a hook takes: the kubelet's own sleep, or one that a program is asked for.
fn hook_time(handler: &LifecycleHandler) -> HookTime {
    if let Some(sleep) = &handler.sleep {
        return HookTime::Sleeps(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0)));
    }
    let command = handler.exec.as_ref().and_then(|exec| exec.command.as_deref());
    let words: Vec<&str> = command.unwrap_or_default().iter().map(String::as_str).collect();
    let script = match words[..] {
        [shell, "-c", script]
            if shell == "sh" || shell.ends_with("/sh") || shell.ends_with("bash") =>
        {
            script.split_whitespace().collect()
        }
        _ => words,
    };
    match script[..] {
        [program, seconds] if program == "sleep" || program.ends_with("/sleep") => {
            let seconds = seconds.trim_end_matches('s').parse().ok();
            let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            time.map_or(HookTime::Unknown, HookTime::Sleeps)
        }
        _ => HookTime::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec() -> PodSpec {
        serde_json::from_value(json!({"containers": [
            {"name": "mesh", "ports": [{"containerPort": 15_001}]},
            {"name": "web", "ports": [
                {"name": "http", "containerPort": 8_080}, {"name": "admin", "containerPort": 9_000},
            ]},
        ]}))
        .expect("a pod's specification")
    }

    #[test]
    fn a_service_tells_which_container_serves() {
        let service = |target: Value| -> Service {
            serde_json::from_value(json!({
                "spec": {"ports": [{"port": 80, "targetPort": target}, {"port": 81}]},
            }))
            .expect("a Service")
        };
        let of = |service: Option<&Service>, annotated: &str| {
            let served = Served::of(
                &spec(),
                |name| {
                    (name == DEFAULT_CONTAINER && !annotated.is_empty())
                        .then(|| annotated.to_owned())
                },
                service,
            );
            (served.container.as_deref().unwrap_or_default().to_owned(), served.port)
        };
        assert_eq!(of(Some(&service(json!("http"))), ""), ("web".to_owned(), 8_080));
        assert_eq!(of(Some(&service(json!(9_000))), "mesh"), ("web".to_owned(), 9_000));
        assert_eq!(of(Some(&service(json!(7_777))), "web"), ("web".to_owned(), 7_777));
        assert_eq!(of(None, "web"), ("web".to_owned(), 8_080));
        assert_eq!(of(None, ""), ("mesh".to_owned(), 15_001));
    }

    #[test]
    fn a_hook_that_only_sleeps_tells_its_time() {
        let sleeps = |seconds| HookTime::Sleeps(Duration::from_secs(seconds));
        for (handler, time) in [
            (json!({"sleep": {"seconds": 5}}), sleeps(5)),
            (json!({"exec": {"command": ["sleep", "7"]}}), sleeps(7)),
            (json!({"exec": {"command": ["/bin/sh", "-c", "sleep 10"]}}), sleeps(10)),
            (json!({"exec": {"command": ["sh", "-c", "sleep 3s"]}}), sleeps(3)),
            (
                json!({"exec": {"command": ["sh", "-c", "sleep 5 && nginx -s quit"]}}),
                HookTime::Unknown,
            ),
            (json!({"exec": {"command": ["nginx", "-s", "quit"]}}), HookTime::Unknown),
            (json!({"httpGet": {"path": "/prestop", "port": 80}}), HookTime::Unknown),
        ] {
            let handler: LifecycleHandler = serde_json::from_value(handler).expect("a handler");
            assert_eq!(hook_time(&handler), time, "{handler:?}");
        }
    }
}
