//! The listening sockets of a server, whoever has opened them, from the first connection to the end.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{Arc, atomic::AtomicBool},
};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use websample_lifecycle::{Drain, DrainReport, Lifecycle, Phase, StartupHold};

#[cfg(not(feature = "restart"))]
use super::stand_in::{Handoff, Notifier, Predecessor};
use super::{
    accept::{Acceptor, Custody, bind},
    files::Places,
    tls::Tls,
    worker::Worker,
};
#[cfg(feature = "restart")]
use super::{
    handoff::Handoff,
    inherited::{Inherited, Predecessor},
    notify::Notifier,
};

/// The name of sockets that are for the admin side; all others are for traffic.
pub const ADMIN: &str = "admin";

/// The name of traffic sockets that this process has bound, for its successor.
const TRAFFIC: &str = "traffic";

/// The largest number of places that a semaphore has.
const MOST_PLACES: usize = Semaphore::MAX_PERMITS;

/// A listening socket, and who else has it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) listener: TcpListener,
    /// Whether it was given to this process, which then accepts nothing before it is ready.
    pub(super) is_inherited: bool,
    /// Whether an activator holds it too. What is in its queue is never lost then, and may be for the
    /// next process that is started.
    pub(super) is_activated: bool,
}

/// The listening sockets of a server: those it was given, and those it has bound.
#[derive(Debug)]
pub struct Ports {
    traffic: Vec<Port>,
    admin: Vec<Port>,
    predecessor: Option<Predecessor>,
    handoff: Option<Handoff>,
    has_manager: bool,
}

impl Default for Ports {
    fn default() -> Self {
        let (traffic, admin) = (Vec::new(), Vec::new());
        Self { traffic, admin, predecessor: None, handoff: None, has_manager: true }
    }
}

/// What serves the connections of a server.
#[derive(Debug, Clone, Copy)]
pub struct Serving<'a> {
    /// For traffic.
    pub workers: &'a [Worker],
    /// The most traffic connections at a time.
    pub connections: usize,
    /// What is spoken on traffic connections.
    pub tls: Option<&'a Tls>,
    /// For the admin side.
    pub admin_workers: &'a [Worker],
    /// The admin side's own life, in which nothing drains.
    pub admin_life: &'a Lifecycle,
    /// Set where a listener has failed for good.
    pub failed: &'a AtomicBool,
}

impl Ports {
    /// Takes what another process has given: from now on, a side of which there is a socket among it
    /// binds none.
    #[cfg(feature = "restart")]
    pub fn inherit(&mut self, inherited: Inherited) {
        let Inherited { ports, predecessor } = inherited;
        for port in ports {
            let side = if port.name == ADMIN { &mut self.admin } else { &mut self.traffic };
            side.push(port);
        }
        self.predecessor = predecessor;
    }

    /// Listens for traffic on these addresses, unless sockets for that were inherited.
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn bind(&mut self, addresses: impl ToSocketAddrs, backlog: i32) -> io::Result<()> {
        add(&mut self.traffic, TRAFFIC, addresses, backlog)
    }

    /// Listens for the admin side on these addresses, unless sockets for that were inherited.
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn bind_admin(&mut self, addresses: impl ToSocketAddrs, backlog: i32) -> io::Result<()> {
        add(&mut self.admin, ADMIN, addresses, backlog)
    }

    /// Listens for traffic on a socket that is bound already.
    pub fn listen(&mut self, listener: TcpListener) {
        self.traffic.push(Port::bound(TRAFFIC, listener));
    }

    /// Hands the sockets over when that is asked.
    #[cfg(feature = "restart")]
    pub fn handoff(&mut self, handoff: Handoff) {
        self.handoff = Some(handoff);
    }

    /// Tells no service manager anything.
    pub fn without_manager(&mut self) {
        self.has_manager = false;
    }

    /// Whether there is an admin side.
    pub fn has_admin(&self) -> bool {
        !self.admin.is_empty()
    }

    /// The addresses that traffic is served on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.traffic)
    }

    /// The addresses of the admin side.
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.admin)
    }

    /// Serves them until the drain is over. Readiness is the application's own from when everything
    /// listens, which is when `startup` is dropped.
    ///
    /// # Errors
    /// When the system does not take a listener.
    pub async fn serve(
        self,
        drain: Drain,
        startup: StartupHold,
        serving: Serving<'_>,
    ) -> io::Result<DrainReport> {
        let Self { traffic, admin, predecessor, handoff, has_manager } = self;
        let lifecycle = drain.lifecycle().clone();
        let notifier = if has_manager || predecessor.is_some() {
            Notifier::of_this_process(predecessor.as_ref())
        } else {
            Notifier::default()
        };
        let handoff = match handoff {
            Some(handoff) => {
                let copies = traffic.iter().chain(&admin).map(Port::copy);
                Some((handoff, copies.collect::<io::Result<Vec<_>>>()?))
            }
            None => None,
        };
        let begins = CancellationToken::new();
        let places = Places::of_this_process();
        let accept = |ports: Vec<Port>, tls, workers, places: usize, life: &Lifecycle| {
            let places = Arc::new(Semaphore::new(places.min(MOST_PLACES)));
            let acceptors = ports.into_iter().map(|port| {
                let custody = Custody {
                    begins: port.is_inherited.then(|| begins.clone()),
                    ends: lifecycle.handed_over(),
                    is_activated: port.is_activated,
                };
                let acceptor =
                    Acceptor::new(port.listener, tls, workers, Arc::clone(&places), life)?;
                Ok(acceptor.within(custody))
            });
            acceptors.collect::<io::Result<Vec<_>>>()
        };
        let Serving { workers, connections, tls, admin_workers, admin_life, failed } = serving;
        let traffic = accept(traffic, tls, workers, connections.min(places.traffic), &lifecycle)?;
        let admin = accept(admin, None, admin_workers, places.admin, admin_life)?;
        let traffic =
            join_all(traffic.into_iter().map(|acceptor| acceptor.listen(&lifecycle, failed)));
        let admin = join_all(admin.into_iter().map(|acceptor| acceptor.listen(admin_life, failed)));
        let taking_over = async {
            lifecycle.reached(Phase::Serving).await;
            if let Some(predecessor) = predecessor {
                predecessor.gone().await;
            }
            notifier.takes_over();
            begins.cancel();
        };
        let certificates = async {
            if let Some(tls) = tls {
                tls.watch().await;
            }
        };
        let handing_over = async {
            if let Some((handoff, copies)) = handoff {
                handoff.serve(copies, &lifecycle, &notifier).await;
            }
        };
        // Everything is listening: from here on readiness is the application's.
        drop(startup);
        let others = async {
            // The end of all listeners, of which there may be none, is not the end of the server.
            tokio::join!(
                traffic,
                admin,
                taking_over,
                certificates,
                handing_over,
                notifier.follow(&lifecycle),
            );
            std::future::pending::<()>().await;
        };
        tokio::select! {
            report = drain.run() => Ok(report),
            () = others => unreachable!("it waits for ever"),
        }
    }
}

impl Port {
    fn bound(name: &str, listener: TcpListener) -> Self {
        Self { name: name.to_owned(), listener, is_inherited: false, is_activated: false }
    }

    fn copy(&self) -> io::Result<Self> {
        Ok(Self { name: self.name.clone(), listener: self.listener.try_clone()?, ..*self })
    }
}

/// Binds addresses on a side that has inherited nothing.
fn add(
    side: &mut Vec<Port>,
    name: &str,
    addresses: impl ToSocketAddrs,
    backlog: i32,
) -> io::Result<()> {
    if side.iter().any(|port| port.is_inherited) {
        return Ok(());
    }
    let bound = bind(addresses, backlog)?;
    side.extend(bound.into_iter().map(|listener| Port::bound(name, listener)));
    Ok(())
}

fn addresses(ports: &[Port]) -> Vec<SocketAddr> {
    ports.iter().filter_map(|port| port.listener.local_addr().ok()).collect()
}
