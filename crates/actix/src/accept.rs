//! Listening sockets, and closing them without dropping what they hold.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout_at},
};
use websample_lifecycle::{Count, Lifecycle, Mode};

use super::{
    connections::Accepted,
    tls::Tls,
    worker::{Dispatched, Worker},
};

/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 1024;

/// After an error such as "too many open files" that the next attempt would meet again.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Clients that have been answered, but whose acknowledgement is still on its way when new ones
/// are turned away, complete their handshake within this. It is waited for only where
/// connections came during the last [`RECENT`].
const HANDSHAKE: Duration = Duration::from_millis(20);
const RECENT: Duration = Duration::from_secs(1);

/// Binds to every address that a name stands for.
///
/// # Errors
/// Names the address that cannot be bound.
pub(super) fn bind(addresses: impl ToSocketAddrs) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses.to_socket_addrs()? {
        listeners.push(listen(address).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?);
    }
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"));
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that starts where another has just stopped must not wait for TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listener and where its connections go.
pub(super) struct Acceptor<'a> {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<&'a Tls>,
    pub(super) workers: &'a [Worker],
    /// The most connections a worker takes while serving.
    pub(super) limit: usize,
    /// Told when a worker's connection ends.
    pub(super) freed: Arc<Notify>,
    /// Counts the connections.
    pub(super) connections: Count,
}

impl Acceptor<'_> {
    /// Accepts connections until draining begins, then closes the listener; in mode `drain`
    /// only after it has served the connections that the kernel had completed.
    pub(super) async fn run(self, lifecycle: &Lifecycle) -> io::Result<()> {
        let draining = lifecycle.draining();
        self.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
        let mut last = None;
        loop {
            tokio::select! {
                biased;
                () = draining.cancelled() => break,
                accepted = self.accept(&listener) => match accepted {
                    Ok(()) => last = Some(Instant::now()),
                    Err(error) if is_of_the_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept connections; trying again");
                        tokio::time::sleep(AFTER_ERROR).await;
                    }
                },
            }
        }
        if lifecycle.policy().mode == Mode::Drain {
            let deadline = lifecycle.deadline();
            tokio::select! {
                biased;
                () = deadline.cancelled() => {}
                () = self.empty_queue(&listener, last) => {}
            }
        }
        Ok(())
    }

    /// Accepts one connection, as soon as a worker has room.
    async fn accept(&self, listener: &tokio::net::TcpListener) -> io::Result<()> {
        let worker = loop {
            match self.least_loaded() {
                Some(worker) if worker.load() < self.limit => break worker,
                // Full: the kernel's queue holds the next ones until a connection ends.
                _ => self.freed.notified().await,
            }
        };
        let (stream, peer) = listener.accept().await?;
        self.hand_over(worker, stream, peer)
    }

    fn hand_over(&self, worker: &Worker, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        // Counted before anything else, so that it is never in nobody's hands.
        let guard = self.connections.enter();
        // Off this thread's reactor: the worker puts it on its own.
        let stream = stream.into_std()?;
        let tls = self.tls.map(Tls::acceptor);
        worker.dispatch(Dispatched { accepted: Accepted { stream, peer, guard }, tls });
        Ok(())
    }

    fn least_loaded(&self) -> Option<&Worker> {
        self.workers.iter().min_by_key(|worker| worker.load())
    }

    /// Serves what the kernel has completed, while turning new clients away.
    async fn empty_queue(&self, listener: &tokio::net::TcpListener, last: Option<Instant>) {
        turn_away(&self.listener);
        let busy = last.is_some_and(|last| last.elapsed() < RECENT);
        let mut until = Instant::now() + if busy { HANDSHAKE } else { Duration::ZERO };
        loop {
            // Tries to accept before it looks at the clock: what is queued comes first.
            match timeout_at(until, listener.accept()).await {
                Ok(Ok((stream, peer))) => {
                    let Some(worker) = self.least_loaded() else { return };
                    if let Err(error) = self.hand_over(worker, stream, peer) {
                        tracing::warn!(%error, "lost a connection of the accept queue");
                    }
                    until = until.max(Instant::now() + HANDSHAKE);
                }
                Err(_) if !has_queued(&self.listener) => return,
                // The reactor has not seen yet what the kernel holds.
                Err(_) => until = Instant::now() + HANDSHAKE,
                Ok(Err(error)) if is_of_the_connection(&error) => {}
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
