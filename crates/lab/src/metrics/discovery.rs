//! The pods as scrape targets, as Prometheus' HTTP service discovery reads them.
//!
//! The format is that of <https://prometheus.io/docs/prometheus/latest/http_sd/>. Mode and version
//! are labels of the target, so that they are on every series and stay on those of a pod that has
//! gone, which a join with an info metric would lose.

use std::{net::SocketAddr, sync::Arc};

use serde::Serialize;

/// Where a pod's admin listener is, by the pod's name; `None` for one that has none.
pub type AdminAddress = Box<dyn Fn(&str) -> Option<SocketAddr> + Send>;

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    targets: [SocketAddr; 1],
    labels: Labels,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Labels {
    run: Arc<str>,
    mode: Arc<str>,
    version: Arc<str>,
    pod: Arc<str>,
}

impl TargetGroup {
    /// The target of a pod with this admin listener.
    pub fn new(
        admin: SocketAddr,
        run: &Arc<str>,
        mode: &str,
        version: &Arc<str>,
        pod: &Arc<str>,
    ) -> Self {
        let (run, version, pod) = (Arc::clone(run), Arc::clone(version), Arc::clone(pod));
        let labels = Labels { run, mode: mode.into(), version, pod };
        Self { targets: [admin], labels }
    }

    /// The pod's admin listener.
    pub fn address(&self) -> SocketAddr {
        let [address] = self.targets;
        address
    }
}
