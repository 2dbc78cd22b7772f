//! Envoy: listener, cluster and endpoints from files that it watches.
//!
//! What an Envoy-based controller sends over its xDS connection comes here from files; Envoy
//! applies both in the same way. Retries and time limits are those of Istio's gateway.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use websample_load::{FAILURE_HEADER, UPSTREAM_HEADER};

use super::{
    directory::replace,
    options::{Retries, Upstream},
    site::{Site, WORKERS},
};

/// Circuit breakers are not what is measured; Istio's gateway has them as wide.
const UNLIMITED: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Envoy {
    site: Site,
    version: u64,
}

impl Envoy {
    pub(super) fn new(site: Site) -> Self {
        Self { site, version: 0 }
    }

    /// In a directory of their own, as Envoy watches the directory for files moved into it.
    fn endpoints(&self) -> PathBuf {
        self.site.directory.join("endpoints")
    }

    pub(super) fn prepare(&mut self, program: &Path, pods: &[SocketAddr]) -> io::Result<Command> {
        let directory = self.site.directory.clone();
        let (listeners, clusters) = (directory.join("listeners"), directory.join("clusters"));
        for directory in [&self.endpoints(), &listeners, &clusters] {
            fs::create_dir(directory)?;
        }
        self.apply(pods)?;
        write(&clusters.join("cds.json"), &cluster(&self.site, &self.endpoints()))?;
        write(&listeners.join("lds.json"), &listener(&self.site))?;
        let bootstrap = directory.join("bootstrap.json");
        write(
            &bootstrap,
            &json!({
                "node": {"id": "websample", "cluster": "websample"},
                "dynamic_resources": {
                    "cds_config": watched(&clusters, "cds.json"),
                    "lds_config": watched(&listeners, "lds.json"),
                },
                "layered_runtime": {"layers": [{
                    "name": "static",
                    "static_layer": {"overload.global_downstream_max_connections": 50_000},
                }]},
            }),
        )?;
        let mut command = Command::new(program);
        command.arg("-c").arg(bootstrap);
        // Hot restart would have all Envoys of this machine share one memory region.
        command.args(["--disable-hot-restart", "--log-level", "error"]);
        command.args(["--concurrency", &WORKERS.to_string()]);
        Ok(command)
    }

    pub(super) fn apply(&mut self, pods: &[SocketAddr]) -> io::Result<()> {
        self.version += 1;
        write(&self.endpoints().join("eds.json"), &assignment(self.version, pods))
    }
}

fn write(path: &Path, content: &Value) -> io::Result<()> {
    replace(path, serde_json::to_vec_pretty(content)?)
}

/// A file that is read again whenever one is moved into its directory.
fn watched(directory: &Path, file: &str) -> Value {
    json!({
        "path_config_source": {
            "path": directory.join(file),
            "watched_directory": {"path": directory},
        },
        "resource_api_version": "V3",
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

fn assignment(version: u64, pods: &[SocketAddr]) -> Value {
    let pods: Vec<_> =
        pods.iter().map(|pod| json!({"endpoint": {"address": socket_address(*pod)}})).collect();
    json!({"version_info": version.to_string(), "resources": [{
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": "pods",
        "endpoints": [{"lb_endpoints": pods}],
    }]})
}

fn cluster(site: &Site, endpoints: &Path) -> Value {
    let protocol = match site.options.upstream {
        Upstream::Http1 => "http_protocol_options",
        Upstream::Http2 => "http2_protocol_options",
    };
    let threshold = json!({
        "max_connections": UNLIMITED,
        "max_pending_requests": UNLIMITED,
        "max_requests": UNLIMITED,
        "max_retries": UNLIMITED,
    });
    json!({"version_info": "1", "resources": [{
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": "pods",
        "type": "EDS",
        "eds_cluster_config": {"eds_config": watched(endpoints, "eds.json")},
        "connect_timeout": "5s",
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [threshold]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type":
                    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {protocol: {}},
            },
        },
    }]})
}

fn listener(site: &Site) -> Value {
    let header = |name: &str, value: &str| {
        json!({
            "header": {"key": name, "value": value},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        })
    };
    let upstream = header(UPSTREAM_HEADER, "%UPSTREAM_HOST%");
    let mut route = json!({"cluster": "pods", "timeout": "0s"});
    if site.options.retries == Retries::On {
        route["retry_policy"] = json!({
            "retry_on": "connect-failure,refused-stream,unavailable,cancelled",
            "num_retries": 2,
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": "type.googleapis.com/\
                    envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }],
        });
    }
    // Answers of Envoy's own; those of pods are given their header by the route.
    let own = json!({
        "filter": {"status_code_filter": {"comparison": {
            "op": "GE",
            "value": {"default_value": 400, "runtime_key": "websample.own_answers"},
        }}},
        "headers_to_add": [upstream, header(FAILURE_HEADER, "%RESPONSE_FLAGS%")],
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.\
            http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "load",
        "codec_type": "AUTO",
        "use_remote_address": true,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": {"mappers": [own]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            },
        }],
        "route_config": {
            "name": "load",
            "virtual_hosts": [{
                "name": "pods",
                "domains": ["*"],
                "routes": [{
                    "match": {"prefix": "/"},
                    "route": route,
                    "response_headers_to_add": [upstream],
                }],
            }],
        },
    });
    json!({"version_info": "1", "resources": [{
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "load",
        "address": socket_address(site.address),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }]}],
    }]})
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Options, Program},
        *,
    };

    fn site(retries: Retries, upstream: Upstream) -> Site {
        Site {
            directory: "/tmp/site".into(),
            address: "127.0.0.1:8080".parse().expect("an address"),
            options: Options { program: Program::Envoy, retries, upstream, slots: 8 },
        }
    }

    #[test]
    fn every_change_of_the_endpoints_is_a_new_version() {
        let pods = ["127.1.1.1:5000", "127.1.1.2:5000"].map(|pod| pod.parse().expect("a pod"));
        let text = assignment(7, &pods);
        assert_eq!(text["version_info"], "7");
        let endpoints = &text["resources"][0]["endpoints"][0]["lb_endpoints"];
        let address = &endpoints[1]["endpoint"]["address"]["socket_address"];
        assert_eq!(
            (&address["address"], &address["port_value"]),
            (&json!("127.1.1.2"), &json!(5000))
        );
        assert_eq!(assignment(8, &[])["resources"][0]["endpoints"][0]["lb_endpoints"], json!([]));
    }

    #[test]
    fn what_the_flags_change() {
        let on = listener(&site(Retries::On, Upstream::Http1)).to_string();
        let off = listener(&site(Retries::Off, Upstream::Http1)).to_string();
        assert!(on.contains("connect-failure") && !off.contains("retry_policy"));
        let cluster = |upstream| {
            cluster(&site(Retries::On, upstream), Path::new("/tmp/site/endpoints")).to_string()
        };
        assert!(cluster(Upstream::Http1).contains("\"http_protocol_options\""));
        assert!(cluster(Upstream::Http2).contains("\"http2_protocol_options\""));
    }
}
