//! nginx: the whole configuration anew and a reload for every change.
//!
//! The settings are ingress-nginx's (facts 5.3, 5.4, 5.6). That controller changes endpoints
//! inside the workers, in Lua; the reload is what controllers on the plain program do, and
//! what its old workers do to their clients' connections is part of what is measured.

use std::{
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;
use websample_load::{FAILURE_HEADER, UPSTREAM_HEADER};

use super::{
    directory::replace,
    options::Retries,
    site::{Site, WORKERS},
};
use crate::cluster::local::Companion;

/// Directories that nginx insists on having, whether the modules are used or not.
const TEMPORARY: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

#[derive(Debug)]
pub(super) struct Nginx {
    site: Site,
    root: bool,
}

impl Nginx {
    pub(super) fn new(site: Site) -> Self {
        Self { site, root: rustix::process::geteuid().is_root() }
    }

    fn file(&self) -> PathBuf {
        self.site.directory.join("nginx.conf")
    }

    pub(super) fn prepare(&mut self, program: &Path, pods: &[SocketAddr]) -> io::Result<Command> {
        for name in TEMPORARY {
            fs::create_dir(self.site.directory.join(name))?;
        }
        replace(&self.file(), configuration(&self.site, self.root, pods))?;
        let mut command = Command::new(program);
        command.arg("-p").arg(&self.site.directory).arg("-c").arg(self.file());
        // The log of the time before the configuration is read.
        command.args(["-e", "stderr"]);
        Ok(command)
    }

    pub(super) fn apply(&mut self, pods: &[SocketAddr], running: &Companion) -> io::Result<()> {
        replace(&self.file(), configuration(&self.site, self.root, pods))?;
        // If it has ended, that is reported, and not this.
        running.signal(Signal::SIGHUP);
        Ok(())
    }
}

fn configuration(site: &Site, root: bool, pods: &[SocketAddr]) -> String {
    let directory = site.directory.display();
    let address = site.address;
    // As root, workers would change to a user who cannot enter the directory.
    let user = if root { "user root;\n" } else { "" };
    let temporary = TEMPORARY.map(|name| format!("    {name}_temp_path {directory}/{name};\n"));
    let temporary = temporary.concat();
    let (next, tries) = match site.options.retries {
        Retries::On => ("error timeout", 3),
        Retries::Off => ("off", 1),
    };
    let mut upstream = String::new();
    let location = if pods.is_empty() { "return 503;" } else { "proxy_pass http://pods;" };
    if !pods.is_empty() {
        upstream.push_str("    upstream pods {\n");
        for pod in pods {
            // An ejected pod would hide what the others lose (facts 5.6).
            let _ = writeln!(upstream, "        server {pod} max_fails=0;");
        }
        upstream.push_str(
            "        keepalive 320;\n        keepalive_timeout 60s;\n        \
             keepalive_requests 10000;\n    }\n",
        );
    }
    format!(
        r#"{user}daemon off;
worker_processes {WORKERS};
worker_shutdown_timeout 240s;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections 8192;
    multi_accept on;
}}
http {{
    access_log off;
    server_tokens off;
{temporary}    keepalive_timeout 75s;
    keepalive_requests 1000;
    map $http_upgrade $connection_to_pod {{
        default upgrade;
        '' '';
    }}
    # Said only where nginx answered by itself: no pod, none reached, or none that answered.
    map "$upstream_header_time|$upstream_connect_time" $failure {{
        default '';
        '|' none;
        '~-\|.*-$' connect;
        '~-\|' aborted;
    }}
{upstream}    server {{
        listen {address} backlog=4096;
        client_max_body_size 0;
        add_header {UPSTREAM_HEADER} $upstream_addr always;
        add_header {FAILURE_HEADER} $failure always;
        location / {{
            {location}
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection $connection_to_pod;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_buffering off;
            proxy_connect_timeout 5s;
            proxy_send_timeout 60s;
            proxy_read_timeout 60s;
            proxy_next_upstream {next};
            proxy_next_upstream_tries {tries};
        }}
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Options, Program, Upstream},
        *,
    };

    fn site(retries: Retries) -> Site {
        let program = Program::Nginx;
        Site {
            directory: "/tmp/site".into(),
            address: "127.0.0.1:8080".parse().expect("an address"),
            options: Options { program, retries, upstream: Upstream::Http1, slots: 8 },
        }
    }

    #[test]
    fn rules_5_3_to_5_6_as_the_controller_has_it() {
        let pods = ["127.1.1.1:5000", "127.1.1.2:5000"].map(|pod| pod.parse().expect("a pod"));
        let text = configuration(&site(Retries::On), true, &pods);
        for line in [
            "user root;",
            "server 127.1.1.1:5000 max_fails=0;",
            "server 127.1.1.2:5000 max_fails=0;",
            "keepalive 320;",
            "keepalive_timeout 60s;",
            "proxy_next_upstream error timeout;",
            "proxy_next_upstream_tries 3;",
            "worker_shutdown_timeout 240s;",
        ] {
            assert!(text.lines().any(|have| have.trim() == line), "{line}\n{text}");
        }
        let honest = configuration(&site(Retries::Off), false, &pods);
        assert!(honest.contains("proxy_next_upstream off;") && !honest.contains("user "));
    }

    #[test]
    fn rule_5_1_without_a_ready_endpoint_it_is_503() {
        let text = configuration(&site(Retries::On), false, &[]);
        assert!(text.contains("return 503;") && !text.contains("upstream pods"), "{text}");
    }
}
