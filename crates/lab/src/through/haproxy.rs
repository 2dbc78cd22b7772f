//! HAProxy: slots for servers, changed over the runtime API without a reload.
//!
//! Both controllers do so (haproxy-ingress, and HAProxy's own): a server that comes gets an
//! address and `state ready`, one that leaves gets `state maint`.

use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use websample_load::{FAILURE_HEADER, UPSTREAM_HEADER};

use super::{
    directory::replace,
    options::{Retries, Upstream},
    site::{Site, WORKERS},
};

/// How long its answer to a command may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Haproxy {
    site: Site,
    slots: Slots,
}

impl Haproxy {
    pub(super) fn new(site: Site) -> Self {
        let slots = Slots::new(site.options.slots);
        Self { site, slots }
    }

    fn socket(&self) -> PathBuf {
        self.site.directory.join("admin.sock")
    }

    pub(super) fn prepare(&mut self, program: &Path, pods: &[SocketAddr]) -> io::Result<Command> {
        self.slots.change(pods)?;
        let file = self.site.directory.join("haproxy.cfg");
        replace(&file, configuration(&self.site, &self.socket(), &self.slots))?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(file);
        Ok(command)
    }

    pub(super) async fn apply(&mut self, pods: &[SocketAddr]) -> io::Result<()> {
        for command in self.slots.change(pods)? {
            let asked = timeout(ANSWER_LIMIT, ask(&self.socket(), &command)).await;
            let answer = asked.map_err(|_| io::ErrorKind::TimedOut)??;
            // Silence is assent, and a changed address is described.
            let answer = answer.trim();
            if !(answer.is_empty() || answer.contains("changed") || answer.contains("no need")) {
                return Err(io::Error::other(format!("'{command}' was answered with '{answer}'")));
            }
        }
        Ok(())
    }
}

async fn ask(socket: &Path, command: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Which pod is in which slot.
#[derive(Debug)]
struct Slots {
    pods: Vec<Option<SocketAddr>>,
    /// Where the next free one is looked for: the one that has been free for longest is best, as
    /// the others may still have requests on their way to the pod before.
    next: usize,
}

impl Slots {
    fn new(slots: usize) -> Self {
        Self { pods: vec![None; slots], next: 0 }
    }

    /// The commands after which these are the servers; new ones first, so that none is missed.
    fn change(&mut self, pods: &[SocketAddr]) -> io::Result<Vec<String>> {
        let mut commands = Vec::new();
        let left: Vec<usize> = (0..self.pods.len())
            .filter(|&slot| self.pods[slot].is_some_and(|pod| !pods.contains(&pod)))
            .collect();
        for pod in pods {
            if self.pods.contains(&Some(*pod)) {
                continue;
            }
            let slots = self.pods.len();
            let free =
                (0..slots).map(|n| (self.next + n) % slots).find(|&n| self.pods[n].is_none());
            let Some(slot) = free else {
                let message = format!("{} endpoints for {slots} server slots", pods.len());
                return Err(io::Error::other(message));
            };
            self.pods[slot] = Some(*pod);
            self.next = slot + 1;
            let server = name(slot);
            let (ip, port) = (pod.ip(), pod.port());
            commands.push(format!("set server {server} addr {ip} port {port}"));
            commands.push(format!("set server {server} state ready"));
        }
        for slot in left {
            self.pods[slot] = None;
            commands.push(format!("set server {} state maint", name(slot)));
        }
        Ok(commands)
    }
}

fn name(slot: usize) -> String {
    format!("pods/{}", server(slot))
}

fn server(slot: usize) -> String {
    format!("srv{:03}", slot + 1)
}

fn configuration(site: &Site, socket: &Path, slots: &Slots) -> String {
    let address = site.address;
    let socket = socket.display();
    let retries = match site.options.retries {
        // HAProxy's own default, which both controllers leave: of failures to connect only.
        Retries::On => 3,
        Retries::Off => 0,
    };
    let protocol = match site.options.upstream {
        Upstream::Http1 => "",
        Upstream::Http2 => " proto h2",
    };
    let mut servers = String::new();
    for (slot, pod) in slots.pods.iter().enumerate() {
        let server = server(slot);
        let _ = match pod {
            Some(pod) => writeln!(servers, "    server {server} {pod}{protocol}"),
            None => writeln!(servers, "    server {server} 127.0.0.1:1{protocol} disabled"),
        };
    }
    format!(
        r"global
    nbthread {WORKERS}
    maxconn 4000
    stats socket {socket} mode 600 level admin
    hard-stop-after 240s
defaults
    mode http
    option http-keep-alive
    option forwardfor
    option redispatch 0
    retries {retries}
    timeout http-request 5s
    timeout http-keep-alive 1m
    timeout connect 5s
    timeout queue 5s
    timeout client 50s
    timeout server 50s
    timeout tunnel 1h
frontend load
    bind {address}
    default_backend pods
    # Also on answers of HAProxy's own. Why it gave them is not said before the log (%ts); the
    # status tells: 503 without a server or a connection, 502 without an answer.
    acl answered var(txn.answered) -m bool
    http-after-response set-header {UPSTREAM_HEADER} %si:%sp
    http-after-response set-header {FAILURE_HEADER} other unless answered
    http-after-response set-header {FAILURE_HEADER} connect if !answered {{ status 503 }}
    http-after-response set-header {FAILURE_HEADER} aborted if !answered {{ status 502 }}
backend pods
    balance roundrobin
    http-reuse safe
    http-response set-var(txn.answered) bool(true)
{servers}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(n: u8) -> SocketAddr {
        (std::net::Ipv4Addr::new(127, 1, 1, n), 5000).into()
    }

    #[test]
    fn a_slot_is_taken_by_who_comes_and_left_by_who_goes() {
        let mut slots = Slots::new(3);
        let commands = slots.change(&[pod(1), pod(2)]).expect("room");
        assert_eq!(
            commands,
            [
                "set server pods/srv001 addr 127.1.1.1 port 5000",
                "set server pods/srv001 state ready",
                "set server pods/srv002 addr 127.1.1.2 port 5000",
                "set server pods/srv002 state ready",
            ]
        );
        let commands = slots.change(&[pod(2), pod(3)]).expect("room");
        assert_eq!(
            commands,
            [
                "set server pods/srv003 addr 127.1.1.3 port 5000",
                "set server pods/srv003 state ready",
                "set server pods/srv001 state maint",
            ]
        );
        assert!(slots.change(&[pod(2), pod(3)]).expect("room").is_empty());
        assert!(slots.change(&[pod(4), pod(2), pod(3)]).expect("room")[0].contains("srv001"));
        let full = slots.change(&[1, 2, 3, 4].map(pod)).expect_err("no room").to_string();
        assert!(full.contains("4 endpoints for 3 server slots"), "{full}");
    }
}
