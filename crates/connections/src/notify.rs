//! What a service manager such as systemd is told: sd_notify(3).
//!
//! | told | when |
//! |---|---|
//! | `READY=1` | the server is serving |
//! | `STOPPING=1`, `EXTEND_TIMEOUT_USEC` | it leaves for good: it needs this long at most |
//! | `RELOADING=1`, then `MAINPID` and `READY=1` | it hands over to its successor, and has done so |
//! | `RELOADING=1`, then `READY=1` and `STATUS` | the successor has failed |
//! | `WATCHDOG=1` | twice in every `WATCHDOG_USEC` |

use std::{
    env,
    ffi::OsString,
    fmt::Write as _,
    io,
    os::unix::{
        ffi::OsStrExt as _,
        net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::time::{Instant, interval};
use websample_lifecycle::{Lifecycle, Phase, Signal};

use super::inherited::{FROM, MANAGER, Predecessor};

/// The service manager reads its socket all the time; one that does not is not worth a hang.
const LONGEST_SEND: Duration = Duration::from_secs(1);

const SOCKET: &str = "NOTIFY_SOCKET";

/// Whom this process tells how it is.
///
/// sd-notify's own `notify` reads the address from the environment, and knows none that is abstract;
/// here it may be another one, and is one to a successor.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    /// Who waits for it to be ready: its service manager, or its predecessor.
    ready: Option<OsString>,
    /// Its service manager.
    manager: Option<OsString>,
    watchdog: Option<Duration>,
}

impl Notifier {
    pub(super) fn of_this_process(predecessor: Option<&Predecessor>) -> Self {
        let address = |name| env::var_os(name).filter(|address| !address.is_empty());
        let ready = address(SOCKET);
        let manager = if predecessor.is_some() { address(MANAGER) } else { ready.clone() };
        let watchdog = sd_notify::watchdog_enabled().filter(|every| !every.is_zero());
        Self { ready, watchdog: watchdog.filter(|_| manager.is_some()), manager }
    }

    /// The environment of a successor whose readiness this process waits for.
    pub(super) fn for_successor(&self, ready: OsString) -> [(&'static str, Option<OsString>); 4] {
        [
            (SOCKET, Some(ready)),
            (MANAGER, Some(self.manager.clone().unwrap_or_default())),
            (FROM, Some(std::process::id().to_string().into())),
            // The watchdog is for whoever is the main process.
            ("WATCHDOG_PID", None),
        ]
    }

    /// A successor is on its way, for so long at most.
    pub(super) fn reloading(&self, longest: Duration) {
        let mut states = vec![NotifyState::Reloading];
        // systemd before version 253 does without, and nothing is there where the clock is not.
        states.extend(NotifyState::monotonic_usec_now());
        states.push(extend(longest));
        tell(self.manager.as_ref(), &states);
    }

    /// The successor has failed.
    pub(super) fn goes_on(&self, why: &str) {
        let status = format!("the successor has failed: {why}");
        tell(self.manager.as_ref(), &[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// The successor is the service from now on.
    pub(super) fn succeeded_by(&self, pid: u32) {
        let states =
            [NotifyState::MainPid(pid), NotifyState::Ready, NotifyState::Status("serving")];
        tell(self.manager.as_ref(), &states);
    }

    /// Is the service now, and shows that it lives.
    pub(super) fn takes_over(&self) {
        if self.watchdog.is_some() {
            tell(self.manager.as_ref(), &[NotifyState::Watchdog]);
        }
    }

    /// Tells what happens, for as long as this process is the service.
    pub(super) async fn follow(&self, lifecycle: &Lifecycle) {
        if self.ready.is_none() {
            return;
        }
        let handed_over = lifecycle.handed_over();
        let mut phases = lifecycle.subscribe();
        let mut watchdog = self.watchdog.map(|every| interval(every / 2));
        let mut known = Phase::Starting;
        loop {
            let beat = async {
                match &mut watchdog {
                    Some(watchdog) => watchdog.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = handed_over.cancelled() => return,
                changed = phases.wait_for(|entered| entered.phase != known) => match changed {
                    Ok(entered) => known = entered.phase,
                    Err(_) => return,
                },
                _ = beat => {
                    tell(self.manager.as_ref(), &[NotifyState::Watchdog]);
                    continue;
                }
            }
            match known {
                Phase::Serving => {
                    tell(
                        self.ready.as_ref(),
                        &[NotifyState::Ready, NotifyState::Status("serving")],
                    );
                }
                Phase::LameDuck if !is_for_good(lifecycle) => {}
                Phase::LameDuck | Phase::Draining => {
                    let status = if known == Phase::Draining {
                        "finishing what is in flight"
                    } else {
                        "leaving; still serving"
                    };
                    let states = [
                        NotifyState::Stopping,
                        extend(left(lifecycle)),
                        NotifyState::Status(status),
                    ];
                    tell(self.manager.as_ref(), &states);
                }
                Phase::Starting | Phase::Drained => {}
            }
        }
    }
}

/// Whether a signal has come: what a hook has begun may be undone, and a service that is stopping
/// is killed in the end.
fn is_for_good(lifecycle: &Lifecycle) -> bool {
    Signal::ALL.iter().any(|signal| lifecycle.signals(*signal) > 0)
}

/// What is left until the exit, at most.
fn left(lifecycle: &Lifecycle) -> Duration {
    let policy = lifecycle.policy();
    let deadline = lifecycle.deadline_at().map(|at| at.saturating_duration_since(Instant::now()));
    deadline.map_or(policy.grace_period, |left| left + policy.margin)
}

fn extend(by: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))
}

fn tell(whom: Option<&OsString>, states: &[NotifyState<'_>]) {
    let Some(whom) = whom else { return };
    let mut message = String::new();
    for state in states {
        // To a string nothing fails to be written.
        let _ = writeln!(message, "{state}");
    }
    if let Err(error) = send(whom, message.as_bytes()) {
        let socket = whom.display();
        tracing::warn!(%socket, %error, "the service manager could not be told");
    }
}

fn send(whom: &OsString, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(LONGEST_SEND))?;
    socket.send_to_addr(message, &address(whom)?).map(drop)
}

/// A path, or the name of an abstract socket behind an `@`.
fn address(of: &OsString) -> io::Result<SocketAddr> {
    match of.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => SocketAddr::from_pathname(of),
    }
}
