//! Listening sockets, and closing them without dropping what they hold.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use websample_lifecycle::{Count, Guard, Lifecycle, Mode};

use super::{
    accepted::{Accepted, Dispatched},
    tls::Tls,
    worker::Worker,
};

/// Connections that the kernel completes before they are accepted, where nobody says otherwise.
pub const BACKLOG: i32 = 1024;

/// After an error such as "too many open files" that the next attempt would meet again.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Clients that have been answered, but whose acknowledgement is still on its way when new ones
/// are turned away, complete their handshake within this. It is waited for only where
/// connections came during the last [`RECENT`].
const HANDSHAKE: Duration = Duration::from_millis(20);
const RECENT: Duration = Duration::from_secs(1);

/// A signal may overtake the news that a predecessor has let go of the socket, whose queue is nobody
/// else's then. That news is in this process' pipe already, and needs no longer.
const LET_GO: Duration = Duration::from_millis(100);

/// Binds to every address that a name stands for.
///
/// # Errors
/// Names the address that cannot be bound.
pub fn bind(addresses: impl ToSocketAddrs, backlog: i32) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses.to_socket_addrs()? {
        listeners.push(listen(address, backlog).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?);
    }
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"));
    }
    Ok(listeners)
}

fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that starts where another has just stopped must not wait for TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A listener and where its connections go.
#[derive(Debug)]
pub struct Acceptor<'a> {
    listener: TcpListener,
    /// The same socket, in the reactor.
    reactor: tokio::net::TcpListener,
    tls: Option<&'a Tls>,
    workers: &'a [Worker],
    /// Places for connections, shared by all listeners of a side.
    places: Arc<Semaphore>,
    /// Counts the connections.
    connections: Count,
    /// Held until its queue is empty: the drain waits for that, too.
    #[expect(dead_code, reason = "held for its drop")]
    open: Guard,
    custody: Custody,
}

/// Whose a listening socket is, which several processes may have.
#[derive(Debug, Default)]
pub(super) struct Custody {
    /// Cancelled when this process may accept; `None` where it always may.
    pub(super) begins: Option<CancellationToken>,
    /// Cancelled when another process has taken over, whose queue it is then.
    pub(super) ends: CancellationToken,
    /// An activator holds it too: its queue is for the next process.
    pub(super) is_activated: bool,
}

impl<'a> Acceptor<'a> {
    /// Prepares a listener, which has to be inside of the runtime that will run it.
    ///
    /// # Errors
    /// When the system does not take it.
    pub fn new(
        listener: TcpListener,
        tls: Option<&'a Tls>,
        workers: &'a [Worker],
        places: Arc<Semaphore>,
        lifecycle: &Lifecycle,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let reactor = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
        let in_flight = lifecycle.in_flight();
        let connections = in_flight.connections.clone();
        // From now on, not from when it is first polled: a signal may come before that.
        let open = in_flight.listeners.enter();
        let custody = Custody::default();
        Ok(Self { listener, reactor, tls, workers, places, connections, open, custody })
    }

    /// For a socket that is not this process' alone.
    pub(super) fn within(mut self, custody: Custody) -> Self {
        self.custody = custody;
        self
    }

    /// Runs it to its end; where it fails, nobody should be sent here any more.
    pub async fn listen(self, lifecycle: &Lifecycle, failed: &AtomicBool) {
        if let Err(error) = self.run(lifecycle).await {
            tracing::error!(%error, "a listener has failed; not ready any more");
            failed.store(true, Ordering::Relaxed);
        }
    }

    /// Accepts connections until draining begins, then closes the listener; in mode `drain`
    /// only after it has served the connections that the kernel had completed.
    ///
    /// # Errors
    /// When it will never accept again.
    pub async fn run(self, lifecycle: &Lifecycle) -> io::Result<()> {
        let draining = lifecycle.draining();
        let taken_over = self.custody.ends.clone();
        if let Some(begins) = &self.custody.begins {
            let late = async {
                draining.cancelled().await;
                tokio::time::sleep(LET_GO).await;
            };
            tokio::select! {
                biased;
                () = begins.cancelled() => {}
                // Whoever has given the socket serves its queue.
                () = taken_over.cancelled() => return Ok(()),
                () = late => return Ok(()),
            }
        }
        let mut last = None;
        loop {
            let accepted = tokio::select! {
                biased;
                // The queue is the other process' own, and so is the port: nobody is turned away.
                () = taken_over.cancelled() => return Ok(()),
                () = draining.cancelled() => break,
                accepted = self.reactor.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    last = Some(Instant::now());
                    // Only now, with a client in hand: a listener that took a place and then waited
                    // for its clients would keep it from the clients of another one.
                    let place = tokio::select! {
                        biased;
                        () = draining.cancelled() => None,
                        place = Arc::clone(&self.places).acquire_owned() => place.ok(),
                    };
                    self.hand_over(stream, peer, place)?;
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) if is_of_the_listener(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
        if lifecycle.policy().mode == Mode::Drain && !self.custody.is_activated {
            let deadline = lifecycle.deadline();
            tokio::select! {
                biased;
                () = deadline.cancelled() => {}
                () = self.empty_queue(last) => {}
            }
        }
        Ok(())
    }

    fn hand_over(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Option<OwnedSemaphorePermit>,
    ) -> io::Result<()> {
        // Counted before anything else, so that it is never in nobody's hands.
        let guard = self.connections.enter();
        // Off this thread's reactor: the worker puts it on its own.
        let stream = stream.into_std()?;
        let tls = self.tls.map(Tls::acceptor);
        let mut dispatched = Dispatched { accepted: Accepted { stream, peer, guard }, permit, tls };
        // A worker can die between the look and the call; then there is one less.
        while let Some(worker) = self.least_loaded() {
            match worker.dispatch(dispatched) {
                Ok(()) => return Ok(()),
                Err(back) => dispatched = back,
            }
        }
        Err(io::Error::other("every worker has died"))
    }

    fn least_loaded(&self) -> Option<&Worker> {
        self.workers.iter().filter(|worker| worker.is_alive()).min_by_key(|worker| worker.load())
    }

    /// Serves what the kernel has completed, while turning new clients away.
    async fn empty_queue(&self, last: Option<Instant>) {
        turn_away(&self.listener);
        let busy = last.is_some_and(|last| last.elapsed() < RECENT);
        let mut until = Instant::now() + if busy { HANDSHAKE } else { Duration::ZERO };
        loop {
            // Tries to accept before it looks at the clock: what is queued comes first.
            match timeout_at(until, self.reactor.accept()).await {
                Ok(Ok((stream, peer))) => {
                    if let Err(error) = self.hand_over(stream, peer, None) {
                        tracing::warn!(%error, "lost a connection of the accept queue");
                        return;
                    }
                    until = until.max(Instant::now() + HANDSHAKE);
                }
                Err(_) if !has_queued(&self.listener) => return,
                // The reactor has not seen yet what the kernel holds.
                Err(_) => until = Instant::now() + HANDSHAKE,
                Ok(Err(error)) if is_of_the_connection(&error) => {}
                Ok(Err(error)) if is_of_the_listener(&error) => return,
                Ok(Err(error)) => {
                    // As a rule too many open files, of which there are fewer and fewer.
                    tracing::warn!(%error, "cannot empty the accept queue; trying again");
                    tokio::time::sleep(AFTER_ERROR).await;
                    until = Instant::now() + HANDSHAKE;
                }
            }
        }
    }
}

/// Whether the kernel holds a completed connection, asked without the reactor.
fn has_queued(listener: &TcpListener) -> bool {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Errors that a connection brings with it out of the queue; the next one may be fine.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Errors that the next attempt meets too: this descriptor is no listening socket any more.
fn is_of_the_listener(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP))
}

/// Lets no new client begin a handshake, while those that have completed theirs stay queued.
///
/// Closing a listener resets what is in its queue, and so does shutting it down. A filter on the
/// socket drops the first packet of a handshake (SYN without ACK; the flags are byte 13 of the
/// TCP header). Such a client tries again after a second and is then refused by the closed port.
#[cfg(target_os = "linux")]
fn turn_away(listener: &TcpListener) {
    const SYN: u32 = 0x02;
    const SYN_AND_ACK: u32 = 0x12;
    let filter = [
        socket2::SockFilter::new(0x30, 0, 0, 13), // A = byte 13
        socket2::SockFilter::new(0x54, 0, 0, SYN_AND_ACK), // A &= SYN | ACK
        socket2::SockFilter::new(0x15, 0, 1, SYN), // A == SYN ? next : skip one
        socket2::SockFilter::new(0x06, 0, 0, 0),  // drop
        socket2::SockFilter::new(0x06, 0, 0, u32::MAX), // pass
    ];
    if let Err(error) = socket2::SockRef::from(listener).attach_filter(&filter) {
        tracing::debug!(%error, "no filter on the listener; clients may race its close");
    }
}

/// Elsewhere clients may race the close of the listener.
#[cfg(not(target_os = "linux"))]
fn turn_away(_: &TcpListener) {}

#[cfg(test)]
mod tests {
    use websample_lifecycle::Policy;

    use super::*;

    /// A signal that comes between the two would else find nothing to wait for.
    #[tokio::test]
    async fn the_drain_waits_for_a_listener_that_was_never_polled() {
        let (lifecycle, _drain) = Lifecycle::new(Policy::default()).expect("a policy");
        let listener = bind("127.0.0.1:0", BACKLOG).expect("a port").remove(0);
        let places = Arc::new(Semaphore::new(1));
        let acceptor = Acceptor::new(listener, None, &[], places, &lifecycle).expect("a listener");
        assert!(!lifecycle.in_flight().is_idle());
        let failed = AtomicBool::new(false);
        let never_polled = acceptor.listen(&lifecycle, &failed);
        assert!(!lifecycle.in_flight().is_idle());
        drop(never_polled);
        assert!(lifecycle.in_flight().is_idle());
    }
}
