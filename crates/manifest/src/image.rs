//! What an image's name tells.

/// The last part of a repository: `nginx` of `registry:5000/library/nginx:1.27@sha256:…`.
pub(super) fn name(image: &str) -> &str {
    let repository = image.split('@').next().unwrap_or(image);
    let last = repository.rsplit('/').next().unwrap_or(repository);
    last.split(':').next().unwrap_or(last)
}

/// Whether an image is known to hold no shell and no `sleep`: built on a distroless base by its
/// makers' word, or from scratch as ours is. Says nothing about images that it does not know.
pub(super) fn has_no_shell(image: &str) -> bool {
    const REPOSITORIES: [&str; 9] = [
        "cgr.dev/chainguard/",
        "gcr.io/distroless/",
        "quay.io/jetstack/cert-manager-",
        "registry.k8s.io/coredns/coredns",
        "registry.k8s.io/external-dns/",
        "registry.k8s.io/kube-state-metrics/",
        "registry.k8s.io/metrics-server/",
        "coredns/coredns",
        "ghcr.io/external-secrets/",
    ];
    // A debug or development variant is made for its shell.
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map_or("", |(_, t)| t);
    if tag.contains("debug") || tag.ends_with("-dev") {
        return false;
    }
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    REPOSITORIES.iter().any(|repository| image.starts_with(repository))
        || image.contains("distroless")
        || name(image) == "websample"
}

/// Whether it is the proxy of a service mesh or of a database, which carries the traffic of the
/// other containers.
pub(super) fn is_proxy(container: &str, image: &str) -> bool {
    const CONTAINERS: [&str; 5] =
        ["istio-proxy", "linkerd-proxy", "envoy-sidecar", "consul-dataplane", "cloud-sql-proxy"];
    const IMAGES: [&str; 4] = ["proxyv2", "cloud-sql-proxy", "gce-proxy", "consul-dataplane"];
    CONTAINERS.contains(&container)
        || IMAGES.contains(&name(image))
        || image.contains("linkerd/proxy")
        || (container == "envoy" && name(image) == "envoy")
}

/// Whether it answers those who watch the other containers, and nobody else.
pub(super) fn is_monitor(container: &str, image: &str) -> bool {
    let is = |name: &str| {
        name.contains("exporter") || name == "kube-rbac-proxy" || name == "jaeger-agent"
    };
    is(container) || is(name(image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (image, expected) in [
            ("nginx", "nginx"),
            ("nginx:1.27", "nginx"),
            ("registry:5000/a/nginx@sha256:00", "nginx"),
            ("localhost:5000/websample:v1", "websample"),
        ] {
            assert_eq!(name(image), expected);
        }
    }

    #[test]
    fn images_without_a_shell() {
        for image in [
            "gcr.io/distroless/static:nonroot",
            "me/app:1.2-distroless",
            "docker.io/coredns/coredns:1.12.0",
            "registry.k8s.io/coredns/coredns:v1.12.0",
            "websample:v1",
        ] {
            assert!(has_no_shell(image), "{image}");
        }
        for image in [
            "nginx:1.27",
            "gcr.io/distroless/base:debug",
            "cgr.dev/chainguard/go:latest-dev",
            "me/app",
        ] {
            assert!(!has_no_shell(image), "{image}");
        }
    }

    #[test]
    fn proxies() {
        assert!(is_proxy("istio-proxy", "docker.io/istio/proxyv2:1.27"));
        assert!(is_proxy("proxy", "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2"));
        assert!(is_proxy("x", "cr.l5d.io/linkerd/proxy:edge"));
        // Envoy as the application itself is no sidecar.
        assert!(!is_proxy("gateway", "envoyproxy/envoy:v1.36"));
        assert!(!is_proxy("app", "nginx"));
    }

    #[test]
    fn monitors() {
        assert!(is_monitor("kube-rbac-proxy", "quay.io/brancz/kube-rbac-proxy:v0.20.0"));
        assert!(is_monitor("metrics", "docker.io/oliver006/redis_exporter:v1.80"));
        assert!(is_monitor("agent", "jaegertracing/jaeger-agent:1.62"));
        assert!(!is_monitor("app", "me/app"));
    }
}
