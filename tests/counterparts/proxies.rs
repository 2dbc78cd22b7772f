//! nginx, HAProxy and Envoy, which keep their connections to two servers, while one after the
//! other drains. No proxy tries a request twice: what one server loses, a client sees.

mod configuration;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::{count, eventually, raw::Client, server::Server},
    program::{Running, find, free_port},
};

/// Time for a proxy to see a readiness of 503, or to take a new configuration.
const DELAY: [&str; 6] = ["--delay.min", "1s", "--delay.quiet", "200ms", "--delay.max", "3s"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Nginx,
    Haproxy,
    HaproxyHttp2,
    Envoy,
    EnvoyHttp2,
}

/// A proxy before two servers.
struct Setup {
    proxy: Proxy,
    dir: tempfile::TempDir,
    running: Running,
    address: SocketAddr,
    servers: [SocketAddr; 2],
}

impl Setup {
    fn start(proxy: Proxy) -> Option<Self> {
        let program = find(match proxy {
            Proxy::Nginx => "nginx",
            Proxy::Haproxy | Proxy::HaproxyHttp2 => "haproxy",
            Proxy::Envoy | Proxy::EnvoyHttp2 => "envoy",
        })?;
        let dir = tempfile::tempdir().expect("a directory");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let servers = [free_port(), free_port()].map(|port| ([127, 0, 0, 1], port).into());
        let file = dir.path().join("configuration.yaml");
        write(proxy, &file, address, servers, [true; 2]);
        let mut command = Command::new(program);
        match proxy {
            Proxy::Nginx => command.arg("-p").arg(dir.path()).arg("-c").arg(&file),
            Proxy::Haproxy | Proxy::HaproxyHttp2 => command.arg("-db").arg("-f").arg(&file),
            Proxy::Envoy | Proxy::EnvoyHttp2 => command
                .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"])
                .arg(&file),
        };
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        Some(Self { proxy, dir, running, address, servers })
    }

    /// Tells the proxy which servers to use, where it does not look itself.
    fn use_only(&self, used: [bool; 2]) {
        if self.proxy == Proxy::Nginx {
            let file = self.dir.path().join("configuration.yaml");
            write(self.proxy, &file, self.address, self.servers, used);
            kill_process(Pid::from_child(&self.running.0), Signal::HUP).expect("it is alive");
        }
    }

    /// Starts a server in one of the two places.
    fn server(&self, place: usize, instance: &str) -> Server {
        let listen = self.servers[place].to_string();
        let flags = ["--listen", &listen, "--instance", instance, "--workers", "1"];
        Server::start(&[DELAY.as_slice(), &flags].concat())
    }

    /// Waits until the proxy uses a server.
    fn uses(&self, instance: &str) {
        eventually("the proxy uses the new server", || {
            ask(self.address, None).is_ok_and(|answered_by| answered_by == instance)
        });
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // nginx's workers go with their master only when it is asked to go.
        let _ = kill_process(Pid::from_child(&self.running.0), Signal::TERM);
        let _ = self.running.0.wait();
    }
}

fn write(
    proxy: Proxy,
    file: &Path,
    address: SocketAddr,
    servers: [SocketAddr; 2],
    used: [bool; 2],
) {
    let text = match proxy {
        Proxy::Nginx => configuration::nginx(address, servers, used),
        Proxy::Haproxy => configuration::haproxy(address, servers, ""),
        Proxy::HaproxyHttp2 => configuration::haproxy(address, servers, "proto h2"),
        Proxy::Envoy => configuration::envoy(address, servers, "http_protocol_options"),
        Proxy::EnvoyHttp2 => configuration::envoy(address, servers, "http2_protocol_options"),
    };
    std::fs::write(file, text).expect("written");
}

/// Asks through the proxy, on a connection of its own; tells who answered.
fn ask(proxy: SocketAddr, body: Option<&str>) -> Result<String, String> {
    let mut client = Client::try_to(proxy).map_err(|error| format!("connecting: {error}"))?;
    let request = match body {
        None => "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
        Some(body) => format!(
            "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    let response =
        client.send(request).try_response().map_err(|error| format!("reading: {error}"))?;
    let instance = response.header("x-websample-instance").unwrap_or_default().to_owned();
    match (response.status, &*response.body) {
        (201, echo) if echo == body.unwrap_or_default().as_bytes() => Ok(instance),
        (status, body) => Err(format!("{status}: {}", String::from_utf8_lossy(body))),
    }
}

/// Drains one server after the other behind a proxy; nothing may be lost.
fn nothing_is_lost(proxy: Proxy) {
    let Some(setup) = Setup::start(proxy) else { return };
    let drains = count(2, 20);
    let mut servers = [setup.server(0, "a0"), setup.server(1, "b0")];
    setup.uses("a0");
    setup.uses("b0");
    let stop = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    let lost = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (setup, stop, answered, lost) = (&setup, &stop, &answered, &lost);
            scope.spawn(move || {
                for number in client.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let body = (number % 2 == 1).then(|| format!("request {number}"));
                    match ask(setup.address, body.as_deref()) {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(why) => lost.lock().expect("no panic").push(why),
                    }
                }
            });
        }
        // Whatever happens here, the clients have to end.
        let drained = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for drain in 1..=drains {
                let place = drain % 2;
                let name = ["a", "b"][place];
                let before = answered.load(Ordering::Relaxed);
                eventually("traffic", || answered.load(Ordering::Relaxed) > before + 100);
                servers[place].sigterm();
                let mut used = [true; 2];
                used[place] = false;
                setup.use_only(used);
                servers[place].exits();
                let instance = format!("{name}{drain}");
                servers[place] = setup.server(place, &instance);
                setup.use_only([true; 2]);
                setup.uses(&instance);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = drained {
            std::panic::resume_unwind(panic);
        }
    });
    let (answered, lost) = (answered.into_inner(), lost.into_inner().expect("no panic"));
    println!("{proxy:?}: {drains} drains, {answered} requests, {} lost", lost.len());
    let some = &lost[..lost.len().min(5)];
    assert!(lost.is_empty(), "{} of {answered} lost: {some:?} …", lost.len());
}

#[test]
fn nginx_loses_nothing() {
    nothing_is_lost(Proxy::Nginx);
}

#[test]
fn haproxy_loses_nothing() {
    nothing_is_lost(Proxy::Haproxy);
}

#[test]
fn haproxy_with_http2_to_the_servers_loses_nothing() {
    nothing_is_lost(Proxy::HaproxyHttp2);
}

#[test]
fn envoy_loses_nothing() {
    nothing_is_lost(Proxy::Envoy);
}

#[test]
fn envoy_with_http2_to_the_servers_loses_nothing() {
    nothing_is_lost(Proxy::EnvoyHttp2);
}
