//! Sockets of an activator, and what a service manager is told.

#[path = "../common/program.rs"]
mod program;

use std::{
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::Command,
};

use command_fds::{CommandFdExt as _, FdMapping};

use crate::common::{
    PATIENCE, eventually,
    raw::Client,
    server::{Server, binary},
};

/// The server's command, with these sockets as systemd gives them.
fn activated(sockets: &[&TcpListener], names: &str) -> Command {
    let mut command = binary();
    let mappings = (3..).zip(sockets).map(|(child_fd, socket)| FdMapping {
        parent_fd: OwnedFd::from(socket.try_clone().expect("a descriptor")),
        child_fd,
    });
    command.fd_mappings(mappings.collect()).expect("different descriptors");
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    command.env_remove("LISTEN_PID");
    command
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

#[test]
fn sockets_are_taken_by_their_names() {
    let ((admin, admin_address), (web, web_address)) = (socket(), socket());
    let server = Server::start_as(activated(&[&admin, &web], "admin:web"), &[]);
    assert_eq!((server.app, server.admin), (web_address, admin_address));
    assert_eq!(Client::to(web_address).get("/").status, 201);
    assert_eq!(Client::to(admin_address).get("/status").status, 200);
    server.stop().clean();
}

#[test]
fn systemds_own_activator_is_understood() {
    let Some(activate) = program::find("systemd-socket-activate") else { return };
    // It wants an address, and starts the server with the first connection.
    let addresses = [socket(), socket()].map(|(_, address)| address);
    let [web, admin] = addresses;
    let mut command = Command::new(activate);
    command.args(["-l", &web.to_string(), "-l", &admin.to_string(), "--fdname", "web:admin"]);
    command.arg(binary().get_program());
    let first = std::thread::spawn(move || {
        let mut client = None;
        eventually("the activator listens", || {
            client = Client::try_to(web).ok();
            client.is_some()
        });
        client.expect("it was waited for").get("/").status
    });
    let server = Server::start_as(command, &[]);
    assert_eq!((server.app, server.admin), (web, admin));
    assert_eq!(first.join().expect("no panic"), 201);
    assert_eq!(Client::to(admin).get("/readiness").status, 200);
    server.stop().clean();
}

/// The activator's socket stays open, so a restart is no more than a longer wait in its queue.
#[test]
fn a_restart_loses_nothing_of_an_activators_queue() {
    let (web, address) = socket();
    let flags = ["--delay.min", "0s", "--delay.quiet", "0s"];
    let mut waiting: Vec<Client> = Vec::new();
    for round in 0..4 {
        let server = Server::start_as(activated(&[&web], "web"), &flags);
        for client in &mut waiting {
            assert_eq!(client.response().status, 201, "round {round}");
        }
        waiting.clear();
        server.stop().clean();
        // Nobody serves now: who comes is not turned away either.
        waiting.extend((0..50).map(|_| Client::to(address)));
        for client in &mut waiting {
            client.ask("/");
        }
    }
}

#[test]
fn sockets_for_another_process_and_names_that_do_not_fit_are_not_taken() {
    let (web, address) = socket();
    let mut command = activated(&[&web], "web");
    command.env("LISTEN_PID", "1");
    let server = Server::start_as(command, &[]);
    assert_ne!(server.app, address);
    server.stop().clean();

    let mut command = activated(&[&web], "web:admin");
    let output = command.args(["serve", "--listen", "127.0.0.1:0"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("LISTEN_FDNAMES has 2 names for the 1 sockets"), "{said}");
}

/// A service manager that only listens.
struct Manager {
    directory: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { directory, socket }
    }

    fn service(&self) -> Command {
        let mut command = binary();
        command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        command
    }

    /// The next message that is no heartbeat.
    #[track_caller]
    fn hears(&self) -> Vec<String> {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message).expect("a message");
            let message = String::from_utf8_lossy(&message[..length]);
            if message != "WATCHDOG=1\n" {
                return message.lines().map(str::to_owned).collect();
            }
        }
    }
}

fn number(line: &str, name: &str) -> u64 {
    let number = line.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name}: {line}"))
}

#[test]
fn a_service_manager_hears_of_the_beginning_and_of_the_end() {
    let manager = Manager::new();
    let server = Server::start_as(manager.service(), &[]);
    assert_eq!(manager.hears(), ["READY=1", "STATUS=serving"]);
    server.sigterm();
    for status in ["leaving; still serving", "finishing what is in flight"] {
        let heard = manager.hears();
        let [stopping, extend, told] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!((stopping.as_str(), told), ("STOPPING=1", &format!("STATUS={status}")));
        // The whole grace period is left, as far as anybody knows.
        let left = number(extend, "EXTEND_TIMEOUT_USEC");
        assert!((25_000_000..=30_000_000).contains(&left), "{left}");
    }
    server.wait().clean();
}

/// What a hook has begun may be undone; a service that says that it stops is killed in the end.
#[test]
fn a_hook_is_no_stop() {
    let manager = Manager::new();
    let server = Server::start_as(manager.service(), &[]);
    assert_eq!(manager.hears(), ["READY=1", "STATUS=serving"]);
    assert_eq!(Client::to(server.admin).get("/prestop").status, 200);
    server.sigterm();
    assert!(manager.hears().contains(&"STATUS=finishing what is in flight".to_owned()));
    server.wait().clean();
}

#[test]
fn the_watchdog_is_fed_by_the_main_process_alone() {
    let manager = Manager::new();
    let mut command = manager.service();
    command.env("WATCHDOG_USEC", "200000");
    let server = Server::start_as(command, &[]);
    let mut beats = 0;
    let mut message = [0; 256];
    while beats < 3 {
        let length = manager.socket.recv(&mut message).expect("a message");
        beats += usize::from(&message[..length] == b"WATCHDOG=1\n");
    }
    server.stop().clean();

    let manager = Manager::new();
    let mut command = manager.service();
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let server = Server::start_as(command, &[]);
    let length = manager.socket.recv(&mut message).expect("a message");
    assert_eq!(&message[..length], b"READY=1\nSTATUS=serving\n");
    server.sigterm();
    let length = manager.socket.recv(&mut message).expect("a message");
    assert!(message[..length].starts_with(b"STOPPING=1\n"));
    server.wait().clean();
}

#[test]
fn a_service_manager_hears_who_has_taken_over_and_then_listens_to_that_one() {
    let manager = Manager::new();
    let mut server = Server::start_as(manager.service(), &[]);
    assert_eq!(manager.hears(), ["READY=1", "STATUS=serving"]);
    let mut pid = server.pid();
    for _ in 0..3 {
        signal(pid, rustix::process::Signal::USR2);
        let heard = manager.hears();
        let [reloading, clock, extend] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(reloading, "RELOADING=1");
        assert!(number(clock, "MONOTONIC_USEC") > 0);
        assert_eq!(number(extend, "EXTEND_TIMEOUT_USEC"), 60_000_000);
        let heard = manager.hears();
        let [main, ready, status] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!((ready.as_str(), status.as_str()), ("READY=1", "STATUS=serving"));
        pid = number(main, "MAINPID") as u32;
    }
    server.exits();
    signal(pid, rustix::process::Signal::TERM);
    // Of the four only the last one stops the service.
    assert_eq!(manager.hears()[0], "STOPPING=1");
    eventually("it ends", || !is_alive(pid));
    assert!(manager.hears().contains(&"STATUS=finishing what is in flight".to_owned()));
    manager.socket.set_nonblocking(true).expect("a mode");
    assert!(manager.socket.recv(&mut [0; 16]).is_err(), "nothing else was said");
}

#[test]
fn a_service_manager_hears_that_a_successor_has_failed() {
    let manager = Manager::new();
    let server = Server::start_as(manager.service(), &["--handoff.program", "/bin/false"]);
    assert_eq!(manager.hears(), ["READY=1", "STATUS=serving"]);
    signal(server.pid(), rustix::process::Signal::USR2);
    assert_eq!(manager.hears()[0], "RELOADING=1");
    let why = "it has ended before it was ready (exit status: 1)";
    assert_eq!(manager.hears(), ["READY=1", &format!("STATUS=the successor has failed: {why}")]);
    server.stop().clean();
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process");
    rustix::process::kill_process(pid, signal).expect("it is alive");
}

/// Whether it runs: one that has ended may still be in the table, as nobody's child.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
}
