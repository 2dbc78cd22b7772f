//! Those who send, how long each goes on, and who says so.

use std::time::Duration;

use websample_kubernetes::propagation::{INGRESS, PROXY};

/// Who sends requests to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// The rules of every node for a Service.
    KubeProxy,
    /// Clients that look up the names of a headless Service.
    Names,
    /// A load balancer that sends to nodes, whatever runs on them.
    Nodes,
    /// The same, to those nodes only that have a ready pod, which it finds out by asking them.
    AskedNodes,
    /// ingress-nginx.
    IngressNginx,
    /// An Ingress of a class that is not known here.
    Ingress,
    /// An Application Load Balancer that sends to pods.
    AlbToPods,
    /// A Network Load Balancer that sends to pods.
    NlbToPods,
    /// Google's Application Load Balancer with network endpoint groups.
    GoogleToPods,
    /// Azure's Application Gateway with its ingress controller.
    AzureGateway,
    /// Traefik.
    Traefik,
    /// The ingress controller of HAProxy Technologies.
    HaproxyTechnologies,
    /// haproxy-ingress.
    HaproxyIngress,
    /// Kong's ingress controller.
    Kong,
    /// Contour.
    Contour,
    /// An ingress gateway of Istio.
    Istio,
    /// The router of OpenShift.
    OpenShiftRouter,
    /// An implementation of the Gateway API of which nothing is known here.
    Gateway,
}

/// What is known of one: its name in a sentence, how long it goes on, why, and who says so.
type Known = (&'static str, Option<Duration>, &'static str, &'static str);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Sender {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::KubeProxy,
        Self::Names,
        Self::Nodes,
        Self::AskedNodes,
        Self::IngressNginx,
        Self::Ingress,
        Self::AlbToPods,
        Self::NlbToPods,
        Self::GoogleToPods,
        Self::AzureGateway,
        Self::Traefik,
        Self::HaproxyTechnologies,
        Self::HaproxyIngress,
        Self::Kong,
        Self::Contour,
        Self::Istio,
        Self::OpenShiftRouter,
        Self::Gateway,
    ];

    const fn known(self) -> Known {
        match self {
            Self::KubeProxy => (
                "a kube-proxy",
                Some(PROXY),
                "it applies changes at most once a second (minSyncPeriod)",
                "measured on Kubernetes 1.36: 0.1 to 1.2 s after the deletion",
            ),
            Self::Names => (
                "a headless Service's names",
                Some(ms(30_000)),
                "kubeadm's CoreDNS lets names be kept for 30 s (ttl 30), and clients keep them longer; \
                 whoever connects anew by an old address fails, and usually tries another",
                "github.com/kubernetes/kubernetes/pull/76238",
            ),
            Self::Nodes => (
                "a load balancer to nodes",
                Some(PROXY),
                "the nodes stay in it, and the kube-proxy of each takes the pod out",
                "kubernetes.io/docs/reference/networking/virtual-ips",
            ),
            Self::AskedNodes => (
                "a load balancer that asks nodes",
                None,
                "with externalTrafficPolicy Local it leaves a node without a ready pod after interval x \
                 threshold of its health check: AWS 10 s x 6 (3 by its controller), Google 8 s x 3, Azure \
                 5 s x 2",
                "kubernetes.io/docs/reference/networking/virtual-ips; the waits of Kubernetes' own tests",
            ),
            Self::IngressNginx => (
                "an ingress-nginx",
                Some(INGRESS),
                "its rate limiter lets a change through every 3.3 s (0.3/s), and its workers look once a \
                 second",
                "read in ingress-nginx 1.15 (internal/task/queue.go, rootfs/etc/nginx/lua)",
            ),
            Self::Ingress => (
                "an Ingress whose class is not known",
                Some(INGRESS),
                "taken for an ingress-nginx, which takes that long",
                "read in ingress-nginx 1.15",
            ),
            Self::AlbToPods => (
                "an ALB to ip targets",
                Some(ms(19_000)),
                "its controller calls an API, and the load balancer goes on sending to a target that is \
                 draining: users saw traffic stop after 19 s, 5 s of sleep lose and 25 s lose nothing",
                "github.com/kubernetes-sigs/aws-load-balancer-controller/issues/1064; the 19 s are a user's timeline",
            ),
            Self::NlbToPods => (
                "an NLB to ip targets",
                Some(ms(120_000)),
                "new connections come to a target that is draining for about two minutes, whatever the \
                 deregistration delay is",
                "github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366; \
                 github.com/aws/containers-roadmap/issues/470",
            ),
            Self::GoogleToPods => (
                "a Google load balancer to pods (NEG)",
                Some(ms(40_000)),
                "the endpoint is taken out by a call of an API; Google's example sleeps 40 s",
                "cloud.google.com/knowledge/kb/502-503-errors-on-external-http-s-load-balancer-000006416",
            ),
            Self::AzureGateway => (
                "an Azure Application Gateway",
                Some(ms(90_000)),
                "a change of its backends takes a second to a few minutes; its makers ask for at least 90 s",
                "github.com/Azure/application-gateway-kubernetes-ingress: \
                 docs/how-tos/minimize-downtime-during-deployments.md",
            ),
            Self::Traefik => (
                "a Traefik",
                Some(ms(2_000)),
                "it takes no change for 2 s after one (providersThrottleDuration)",
                "doc.traefik.io/traefik/v3.8/reference/install-configuration/providers/others/http",
            ),
            Self::HaproxyTechnologies => (
                "HAProxy's ingress controller",
                Some(ms(5_000)),
                "it writes what has changed every 5 s (--sync-period)",
                "github.com/haproxytech/kubernetes-ingress: documentation/controller.md",
            ),
            Self::HaproxyIngress => (
                "a haproxy-ingress",
                Some(ms(2_000)),
                "it updates at most every 2 s (--rate-limit-update 0.5)",
                "haproxy-ingress.github.io/docs/configuration/command-line",
            ),
            Self::Kong => (
                "a Kong",
                Some(ms(3_000)),
                "its controller sends what has changed every 3 s (--proxy-sync-seconds)",
                "github.com/Kong/kubernetes-ingress-controller: docs/cli-arguments.md",
            ),
            Self::Contour => (
                "a Contour",
                Some(ms(500)),
                "it collects changes for 0.5 s at most (HoldoffMaxDelay), and sends them to its Envoys",
                "github.com/projectcontour/contour: cmd/contour/serve.go",
            ),
            Self::Istio => (
                "a gateway of Istio",
                Some(ms(10_000)),
                "istiod collects changes until 0.1 s are quiet, and for 10 s at most (PILOT_DEBOUNCE_MAX)",
                "github.com/istio/istio: pilot/pkg/features",
            ),
            Self::OpenShiftRouter => (
                "OpenShift's router",
                Some(ms(5_000)),
                "it reloads its HAProxy at most every 5 s (reloadInterval)",
                "docs.redhat.com: Scalability and performance, Configuring HAProxy reload interval",
            ),
            Self::Gateway => (
                "a gateway that is not known here",
                None,
                "nobody here has measured it, or its Gateway was not read",
                "ask its makers, or measure: websample watch NAME",
            ),
        }
    }

    /// Its name, as in a sentence.
    pub const fn name(self) -> &'static str {
        self.known().0
    }

    /// How long it may go on sending to a pod that is deleted, where nothing else is written.
    pub const fn needs(self) -> Option<Duration> {
        self.known().1
    }

    /// Why that takes so long.
    pub const fn why(self) -> &'static str {
        self.known().2
    }

    /// Who says so.
    pub const fn source(self) -> &'static str {
        self.known().3
    }

    /// Whether a pod has to go on accepting for it: names are given up by whoever uses them, not by
    /// what is in front.
    pub(in super::super) fn is_waited_for(self) -> bool {
        self != Self::Names
    }

    /// Whether it goes on sending to pods that are leaving where no other is ready.
    pub(in super::super) fn falls_back(self) -> bool {
        matches!(self, Self::KubeProxy | Self::Nodes | Self::AskedNodes | Self::Names)
    }

    /// Whether it sends to pods by itself, and knows by itself when one can be sent to.
    pub(in super::super) fn registers_pods(self) -> bool {
        matches!(self, Self::AlbToPods | Self::NlbToPods)
    }
}
