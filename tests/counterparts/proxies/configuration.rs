//! What the proxies are told: keep connections, try nothing twice.

use std::{fmt::Write as _, net::SocketAddr};

/// nginx, which does not look at readiness: whoever runs it tells it what to use.
pub(super) fn nginx(address: SocketAddr, servers: [SocketAddr; 2], used: [bool; 2]) -> String {
    let mut upstream = String::new();
    for (server, used) in servers.iter().zip(used) {
        let down = if used { "" } else { " down" };
        // max_fails: an error here is an error there, and must show.
        let _ = writeln!(upstream, "    server {server} max_fails=0{down};");
    }
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream servers {{
{upstream}    keepalive 32;
  }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_next_upstream off;
    }}
  }}
}}
"
    )
}

/// HAProxy, which asks for readiness.
pub(super) fn haproxy(address: SocketAddr, servers: [SocketAddr; 2], protocol: &str) -> String {
    let [a, b] = servers;
    format!(
        "global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  # Down is who says so, not who is slow to say anything on a busy machine.
  timeout check 5s
  timeout client 30s
  timeout server 30s
  retries 0
frontend front
  bind {address}
  default_backend servers
backend servers
  http-reuse always
  option httpchk GET /readiness
  http-check expect status 200
  default-server check inter 100ms fall 1 rise 1 {protocol}
  server a {a}
  server b {b}
"
    )
}

/// Envoy, which asks for readiness. It tries nothing twice unless it is told to.
pub(super) fn envoy(address: SocketAddr, servers: [SocketAddr; 2], protocol: &str) -> String {
    let mut endpoints = String::new();
    for server in servers {
        let (host, port) = (server.ip(), server.port());
        let _ = writeln!(
            endpoints,
            "        - endpoint: {{ address: {{ socket_address: {{ address: {host}, port_value: {port} }} }} }}"
        );
    }
    let (host, port) = (address.ip(), address.port());
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {host}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: servers }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: servers
    type: STATIC
    connect_timeout: 5s
    common_lb_config: {{ healthy_panic_threshold: {{ value: 0 }} }}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ {protocol}: {{}} }}
    health_checks:
    - timeout: 5s
      interval: 0.1s
      no_traffic_interval: 0.1s
      unhealthy_interval: 0.1s
      unhealthy_threshold: 1
      healthy_threshold: 1
      http_health_check: {{ path: /readiness }}
    load_assignment:
      cluster_name: servers
      endpoints:
      - lb_endpoints:
{endpoints}"
    )
}
