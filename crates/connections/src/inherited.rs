//! Listening sockets that another process has given to this one.
//!
//! The protocol is systemd's (sd_listen_fds(3)): `LISTEN_FDS` descriptors from 3 on, named by
//! `LISTEN_FDNAMES`, for the process `LISTEN_PID`. A server that hands its sockets to its successor
//! cannot know the number of a process that does not exist yet; it leaves `LISTEN_PID` out, as
//! systemfd does, and says more:
//!
//! | variable | says |
//! |---|---|
//! | `HANDOFF_FROM` | the predecessor's process number; it serves the sockets until this one's standard input ends |
//! | `HANDOFF_ACTIVATED` | which of the sockets, counted from 0, an activator such as systemd holds as well |
//! | `HANDOFF_NOTIFY_SOCKET` | the service manager's `NOTIFY_SOCKET`; this one's own is the predecessor's |

use std::{
    env, io,
    os::fd::{AsFd, OwnedFd},
};

use listenfd::ListenFd;
use tokio::{io::AsyncReadExt as _, net::unix::pipe};

use super::ports::Port;

pub(super) const FROM: &str = "HANDOFF_FROM";
pub(super) const ACTIVATED: &str = "HANDOFF_ACTIVATED";
pub(super) const MANAGER: &str = "HANDOFF_NOTIFY_SOCKET";
pub(super) const NAMES: &str = "LISTEN_FDNAMES";
pub(super) const COUNT: &str = "LISTEN_FDS";

/// What a process was given by the one that has started it.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(super) ports: Vec<Port>,
    pub(super) predecessor: Option<Predecessor>,
}

impl Inherited {
    /// Takes what there is, once: the environment says nothing of it afterwards. Nothing at all is no
    /// error.
    ///
    /// # Errors
    /// Names the descriptor that is no listening TCP socket, or what is wrong with the environment.
    pub fn take() -> io::Result<Self> {
        let names = env::var(NAMES).ok();
        let activated = env::var(ACTIVATED).ok();
        let predecessor = Predecessor::of_this_process();
        let mut given = ListenFd::from_env();
        let names = names_of(given.len(), names.as_deref())?;
        let mut ports = Vec::with_capacity(names.len());
        for (index, name) in names.into_iter().enumerate() {
            let Some(listener) = given.take_tcp_listener(index)? else { continue };
            if !rustix::net::sockopt::socket_acceptconn(&listener)? {
                return Err(invalid(format!("the socket {name} of {COUNT} does not listen")));
            }
            let is_activated = match (&predecessor, &activated) {
                (None, _) => true,
                (Some(_), Some(list)) => has_index(list, index),
                (Some(_), None) => false,
            };
            ports.push(Port { name, listener, is_inherited: true, is_activated });
        }
        Ok(Self { ports, predecessor })
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }
}

fn names_of(count: usize, names: Option<&str>) -> io::Result<Vec<String>> {
    let Some(names) = names.filter(|_| count > 0) else { return Ok(vec![String::new(); count]) };
    let names: Vec<_> = names.split(':').map(str::to_owned).collect();
    if names.len() != count {
        return Err(invalid(format!(
            "{NAMES} has {} names for the {count} sockets of {COUNT}",
            names.len()
        )));
    }
    Ok(names)
}

fn has_index(list: &str, index: usize) -> bool {
    list.split(',').any(|item| item.parse() == Ok(index))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// The server that has started this one, and serves the same sockets until this one is ready.
#[derive(Debug)]
pub(super) struct Predecessor {
    /// Ends when it has let go of the sockets, or has died.
    lifeline: OwnedFd,
}

impl Predecessor {
    /// `None` where nobody is this process' predecessor, or where it has died.
    fn of_this_process() -> Option<Self> {
        let from: i32 = env::var(FROM).ok()?.parse().ok()?;
        // The variable of somebody further up is not meant for this process.
        let parent = rustix::process::getppid()?;
        (parent.as_raw_nonzero().get() == from).then_some(())?;
        let lifeline = io::stdin().as_fd().try_clone_to_owned().ok()?;
        Some(Self { lifeline })
    }

    /// Waits until it has let go.
    pub(super) async fn gone(self) {
        let mut lifeline = match pipe::Receiver::from_owned_fd(self.lifeline) {
            Ok(lifeline) => lifeline,
            Err(error) => {
                tracing::warn!(%error, "the predecessor cannot be watched");
                return;
            }
        };
        let mut bytes = [0; 16];
        while lifeline.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_has_a_name() {
        let names = |count, names| names_of(count, names).ok();
        assert_eq!(names(0, None), Some(vec![]));
        assert_eq!(names(0, Some("left:over")), Some(vec![]));
        assert_eq!(names(2, None), Some(vec![String::new(); 2]));
        assert_eq!(names(2, Some("web:admin")), Some(vec!["web".into(), "admin".into()]));
        assert_eq!(names(2, Some(":admin")), Some(vec![String::new(), "admin".into()]));
        assert_eq!(names(2, Some("web")), None);
        assert_eq!(names(1, Some("web:admin")), None);
    }

    #[test]
    fn sockets_of_an_activator_are_listed_by_their_place() {
        for (list, index, expected) in [
            ("0,2", 0, true),
            ("0,2", 1, false),
            ("0,2", 2, true),
            ("", 0, false),
            ("12", 1, false),
        ] {
            assert_eq!(has_index(list, index), expected, "{list} {index}");
        }
    }
}
