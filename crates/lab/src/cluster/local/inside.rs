//! What goes on inside a pod, as the kernel tells: for errors that say what to do.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Bit of SIGTERM, the 15th, in the masks of `/proc/PID/status`.
const SIGTERM_BIT: u64 = 1 << 14;

/// Programs that run others, and keep signals from them.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "fish"];

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    id: i32,
    parent: i32,
    group: i32,
    name: String,
}

/// What a shell keeps from the server that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BehindShell {
    pub(super) shell: String,
    pub(super) server: String,
}

/// The addresses at which the processes of a group listen. Empty where the kernel does not tell.
pub(super) fn listeners(group: i32) -> BTreeSet<SocketAddr> {
    let sockets: BTreeSet<u64> =
        members(group).iter().flat_map(|process| sockets_of(process.id)).collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let lines: Vec<String> =
        tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    lines
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(listening)
        .filter(|(_, socket)| sockets.contains(socket))
        .map(|(address, _)| address)
        .collect()
}

/// Whether the first process of a group is a shell that waits for another one, and does nothing itself
/// about SIGTERM.
pub(super) fn behind_shell(group: i32) -> Option<BehindShell> {
    let processes = members(group);
    let first = processes.iter().find(|process| process.id == group)?;
    if !SHELLS.contains(&first.name.as_str()) {
        return None;
    }
    let server = processes.iter().find(|process| process.parent == group)?;
    let status = fs::read_to_string(format!("/proc/{group}/status")).ok()?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
    (caught & SIGTERM_BIT == 0)
        .then(|| BehindShell { shell: first.name.clone(), server: server.name.clone() })
}

fn members(group: i32) -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(seen).filter(|process| process.group == group).collect()
}

fn seen(id: i32) -> Option<Seen> {
    // A process may end at any time.
    stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// `12 (name) S 1 12 …`: a name may have spaces and parentheses.
fn stat(line: &str) -> Option<Seen> {
    let (id, rest) = line.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(1);
    Some(Seen {
        id: id.parse().ok()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        name: name.to_owned(),
    })
}

fn sockets_of(id: i32) -> Vec<u64> {
    let Ok(files) = fs::read_dir(format!("/proc/{id}/fd")) else { return Vec::new() };
    let socket = |file: fs::DirEntry| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    files.flatten().filter_map(socket).collect()
}

/// The address and the number of a socket that listens: a line of `/proc/net/tcp`.
fn listening(line: &str) -> Option<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, LISTEN, _, _, _, _, _, inode, ..] = fields[..] else { return None };
    let (ip, port) = local.split_once(':')?;
    // Words of four bytes, each in the machine's order.
    let mut bytes = Vec::new();
    for at in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), inode.parse().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        net::TcpListener,
        os::unix::process::CommandExt as _,
        process::{Child, Command, Stdio},
    };

    use super::*;

    /// A process that leads a group, killed with it at the end.
    struct Group(Child);

    impl Group {
        fn start(script: &str) -> Self {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::null()).process_group(0);
            Self(command.spawn().expect("sh"))
        }

        fn id(&self) -> i32 {
            i32::try_from(self.0.id()).expect("an id")
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            let group = nix::unistd::Pid::from_raw(self.id());
            nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).expect("it lives");
            self.0.wait().expect("its end");
        }
    }

    fn eventually<T>(look: impl Fn() -> Option<T>) -> T {
        for _ in 0..2_000 {
            if let Some(seen) = look() {
                return seen;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("it is never seen");
    }

    #[test]
    fn where_a_process_listens() {
        let own = TcpListener::bind("127.0.0.1:0").expect("a port");
        let six = TcpListener::bind("[::1]:0").ok();
        let group = nix::unistd::getpgrp().as_raw();
        let seen = listeners(group);
        assert!(seen.contains(&own.local_addr().expect("it is bound")), "{seen:?}");
        if let Some(six) = six {
            assert!(seen.contains(&six.local_addr().expect("it is bound")), "{seen:?}");
        }
        let quiet = Group::start("exec sleep 60");
        assert_eq!(listeners(quiet.id()), BTreeSet::new());
    }

    #[test]
    fn a_shell_that_waits_keeps_signals_from_its_server() {
        let waits = Group::start("sleep 60; true");
        // Until it is replaced by its program, a shell's child is called as the shell.
        let seen = eventually(|| behind_shell(waits.id()).filter(|seen| seen.server == "sleep"));
        assert!(SHELLS.contains(&seen.shell.as_str()), "{seen:?}");
        let passes_on = Group::start("trap 'kill $!' TERM; sleep 60 & wait; wait");
        eventually(|| members(passes_on.id()).get(1).cloned());
        assert_eq!(behind_shell(passes_on.id()), None);
        let replaced = Group::start("exec sleep 60");
        eventually(|| members(replaced.id()).first().filter(|seen| seen.name == "sleep").cloned());
        assert_eq!(behind_shell(replaced.id()), None);
    }

    #[test]
    fn lines_of_the_kernel() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0  \
                    0 4711 1 0000000000000000 100 0 0 10 0";
        if cfg!(target_endian = "little") {
            assert_eq!(listening(line), Some(("127.0.0.1:8080".parse().expect("one"), 4711)));
        }
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None, "it is a connection");
        assert_eq!(listening("  sl  local_address rem_address   st"), None);
        let seen = stat("12 (a (b) c) S 1 10 10 0").expect("a process");
        assert_eq!((seen.id, seen.parent, seen.group, seen.name.as_str()), (12, 1, 10, "a (b) c"));
    }
}
