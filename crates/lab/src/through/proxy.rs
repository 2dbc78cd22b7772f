//! A running proxy: started, fed with what a consumer believes, and stopped with nothing left.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    directory::Directory,
    driver::Driver,
    error::ProxyError,
    installed::Installed,
    options::{Options, Program},
    site::Site,
};
use crate::{
    cluster::local::{Companion, Companions, Consumer, Table},
    timeline::Exit,
};

/// How long it may take to accept connections.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// How long a proxy that was asked to end may take; without requests it needs none of it.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Changes that come this close together are applied as one, as every controller's queue does.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// How often a port is chosen: between its choice and its use it is anybody's.
const PORT_TRIES: usize = 3;

/// A proxy in front of a cluster's pods. Dropping it kills it and deletes its files; what it
/// leaves is reaped in the background.
#[derive(Debug)]
pub struct Proxy {
    program: Program,
    address: SocketAddr,
    // In this order: nothing feeds it when it is killed, and it is killed before its files go.
    feeder: JoinSet<()>,
    running: Arc<Companion>,
    failure: watch::Receiver<Option<ProxyError>>,
    _directory: Directory,
}

impl Proxy {
    /// Starts it beside the pods and returns when it accepts connections. From then on it learns
    /// what `consumer` learns.
    ///
    /// # Errors
    /// It cannot be started, ends early (with its last output), or does not accept connections
    /// within ten seconds.
    pub async fn start(
        installed: &Installed,
        options: Options,
        companions: &Companions,
        consumer: &Consumer,
    ) -> Result<Self, ProxyError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_start(installed, options, companions, consumer).await {
                // Most likely somebody else has taken its port; if not, it fails again.
                Err(ProxyError::Exited { exit: Exit::Code(_), .. }) if tries < PORT_TRIES => {}
                done => return done,
            }
        }
    }

    async fn try_start(
        installed: &Installed,
        options: Options,
        companions: &Companions,
        consumer: &Consumer,
    ) -> Result<Self, ProxyError> {
        let program = installed.program;
        let failed = |doing: &str, source: io::Error| ProxyError::Io {
            program,
            doing: doing.to_owned(),
            source: Arc::new(source),
        };
        let directory = Directory::new(program.name())
            .map_err(|error| failed("cannot make a temporary directory", error))?;
        let address = free_port().map_err(|error| failed("no port is free", error))?;
        let site = Site { directory: directory.path().to_owned(), address, options };
        let mut driver = Driver::new(site);
        let mut table = consumer.watch();
        let pods = endpoints(&table.borrow_and_update());
        let mut command = driver
            .prepare(&installed.path, &pods)
            .map_err(|error| failed("cannot write its configuration", error))?;
        // Whatever it may write without being told where.
        command.current_dir(directory.path());
        let running = companions.start(command).map_err(|error| {
            failed(&format!("cannot start {}", installed.path.display()), error)
        })?;
        let running = Arc::new(running);
        accepts(program, address, &running).await?;
        let (failure, failures) = watch::channel(None);
        let mut feeder = JoinSet::new();
        let fed = Arc::clone(&running);
        feeder.spawn(async move {
            let error = feed(program, driver, pods, table, &fed).await;
            failure.send_replace(Some(error));
            // Kept open: whoever waits for a failure finds this one.
            failure.closed().await;
        });
        let (feeder, failure) = (feeder, failures);
        Ok(Self { program, address, feeder, running, failure, _directory: directory })
    }

    /// Where it listens, for the load.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The failure of a proxy that ended early, or could not be told of a change.
    pub async fn failed(&self) -> ProxyError {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            // Its feeder was stopped, and with it what could fail.
            _ => std::future::pending().await,
        }
    }

    /// Ends it: by SIGTERM, and where that does not do within two seconds by SIGKILL.
    pub async fn stop(mut self) {
        self.feeder.shutdown().await;
        self.running.signal(Signal::SIGTERM);
        if timeout(STOP_LIMIT, self.running.exited()).await.is_err() {
            tracing::debug!(program = self.program.name(), "SIGTERM did not end it");
            self.running.kill();
            let _ = timeout(STOP_LIMIT, self.running.exited()).await;
        }
    }
}

/// The pods that a table routes to.
fn endpoints(table: &Table) -> Vec<SocketAddr> {
    table.routes.iter().map(|pod| pod.address.app).collect()
}

/// A port on 127.0.0.1 that is free at this moment.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Returns when it accepts connections.
async fn accepts(
    program: Program,
    address: SocketAddr,
    running: &Companion,
) -> Result<(), ProxyError> {
    let accepted = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        biased;
        exit = running.exited() => {
            Err(ProxyError::Exited { program, exit, log: running.last_words().await })
        }
        accepted = timeout(READY_LIMIT, accepted) => accepted.map_err(|_| ProxyError::NotReady {
            program,
            address,
            after: READY_LIMIT,
            log: running.tail(),
        }),
    }
}

/// Applies every change of the table, until something fails.
async fn feed(
    program: Program,
    mut driver: Driver,
    mut known: Vec<SocketAddr>,
    mut table: watch::Receiver<Arc<Table>>,
    running: &Companion,
) -> ProxyError {
    loop {
        tokio::select! {
            biased;
            exit = running.exited() => {
                return ProxyError::Exited { program, exit, log: running.last_words().await };
            }
            // Without a consumer nothing changes any more.
            changed = table.changed() => if changed.is_err() { std::future::pending().await },
        }
        sleep(DEBOUNCE).await;
        let pods = endpoints(&table.borrow_and_update());
        if pods == known {
            continue;
        }
        if let Err(source) = driver.apply(&pods, running).await {
            let doing = format!("cannot tell it of {} endpoints", pods.len());
            return ProxyError::Io { program, doing, source: Arc::new(source) };
        }
        known = pods;
    }
}
