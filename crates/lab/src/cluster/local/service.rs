//! The Service: a pod at random for every connection, straight to its address (facts 4.4-4.6).
//!
//! As with kube-proxy's DNAT there is nothing in between: an established connection stays on its
//! pod whatever the table says later, and a dead pod's refusal is the kernel's own RST.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};
use websample_load::connect::{Connect, ConnectError, Connecting, Established};

use super::{consumer::Consumer, seed::Seed, store::Pod};

/// Connects to what one consumer believes to be ready.
#[derive(Debug)]
pub struct Service {
    consumer: Arc<Consumer>,
    seed: Seed,
    connections: AtomicU64,
    rejections: Mutex<Rejections>,
    syn_timeout: Duration,
}

/// How often the kernel says that a connection is rejected: a token a second for each client, of which
/// it saves six (`icmp_ratelimit`, `inet_peer_xrlim_allow`). The load is one client.
#[derive(Debug)]
struct Rejections {
    tokens: u32,
    refilled: Instant,
}

impl Rejections {
    const MOST: u32 = 6;
    const EVERY: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self { tokens: Self::MOST, refilled: Instant::now() }
    }

    /// Whether it is said this time.
    fn told(&mut self) -> bool {
        let come = self.refilled.elapsed().as_secs();
        if come > 0 {
            self.tokens =
                self.tokens.saturating_add(come.try_into().unwrap_or(u32::MAX)).min(Self::MOST);
            self.refilled += Self::EVERY * come.try_into().unwrap_or(u32::MAX);
        }
        let told = self.tokens > 0;
        self.tokens -= u32::from(told);
        told
    }
}

/// After which a SYN without an answer is sent again (RFC 6298, section 2.1).
const RETRANSMISSION: Duration = Duration::from_secs(1);
/// So many times after the first one it is this time; doubled each time from there on
/// (`tcp_syn_linear_timeouts`, since Linux 6.5).
const LINEAR: u32 = 4;

impl Service {
    /// A Service in front of what `consumer` believes. An attempt to reach a pod whose network is
    /// gone fails with `TimedOut` after `syn_timeout`, as packets to it vanish.
    pub fn new(consumer: Arc<Consumer>, seed: Seed, syn_timeout: Duration) -> Self {
        let rejections = Mutex::new(Rejections::new());
        Self { consumer, seed, connections: AtomicU64::new(0), rejections, syn_timeout }
    }

    /// The pod that was chosen for a connection. Where there is none, the connection is rejected, or
    /// nobody tells it so, and each SYN that follows has another try: nothing was chosen that it would be
    /// kept to.
    async fn chosen(&self, n: u64) -> io::Result<Arc<Pod>> {
        let deadline = Instant::now() + self.syn_timeout;
        let (mut wait, mut sent) = (RETRANSMISSION, 0);
        loop {
            let table = self.consumer.table();
            if let Some(pod) = table.routes.get(self.seed.nth_below(n, table.routes.len())) {
                return Ok(Arc::clone(pod));
            }
            let told = || self.rejections.lock().unwrap_or_else(PoisonError::into_inner).told();
            if !self.consumer.is_kernel() || told() {
                // REJECT: nobody was chosen.
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "no endpoint"));
            }
            let next = Instant::now() + wait;
            sleep_until(next.min(deadline)).await;
            if next >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sent += 1;
            if sent > LINEAR {
                wait *= 2;
            }
        }
    }

    /// Whose table it uses.
    pub fn consumer(&self) -> &Arc<Consumer> {
        &self.consumer
    }
}

impl Connect for Service {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            let n = self.connections.fetch_add(1, Ordering::Relaxed);
            let chosen = self.chosen(n).await;
            let pod = chosen.map_err(|error| ConnectError { peer: None, error })?;
            let peer = pod.address.app;
            let failed = |error| ConnectError { peer: Some(peer), error };
            if pod.sandbox_gone() {
                sleep(self.syn_timeout).await;
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            let stream = TcpStream::connect(peer).await.map_err(failed)?;
            Ok(Established { stream, peer })
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::timeout};

    use super::{
        super::{
            consumer::tests::{believe, believing},
            endpoints::tests::pod,
        },
        *,
    };

    fn service(pods: Vec<Arc<Pod>>) -> Service {
        Service::new(believing(pods), Seed::new(11), Duration::from_secs(127))
    }

    fn pod_at(address: std::net::SocketAddr) -> Arc<Pod> {
        let mut pod = Arc::into_inner(pod(0)).unwrap();
        pod.address.app = address;
        Arc::new(pod)
    }

    #[tokio::test]
    async fn rule_4_4_a_pod_at_random_for_every_connection() {
        let mut listeners = Vec::new();
        for _ in 0..3 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        let run = || async {
            let service = service(addresses.iter().map(|address| pod_at(*address)).collect());
            let mut chosen = Vec::new();
            for _ in 0..60 {
                chosen.push(service.connect().await.unwrap().peer);
            }
            chosen
        };
        let chosen = run().await;
        for address in &addresses {
            assert!(chosen.iter().filter(|peer| *peer == address).count() > 8, "{chosen:?}");
        }
        assert_eq!(run().await, chosen, "the seed decides");
    }

    #[tokio::test]
    async fn rule_2_11_a_dead_pod_refuses_and_its_gone_network_swallows() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let pod = pod_at(closed);
        let service = service(vec![Arc::clone(&pod)]);
        let refused = service.connect().await.unwrap_err();
        assert_eq!(refused.error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(refused.peer, Some(closed));
        assert!(refused.error.raw_os_error().is_some(), "the kernel's own");
        pod.sandbox_gone.store(true, Ordering::Release);
        tokio::time::pause();
        let start = Instant::now();
        assert!(timeout(Duration::from_secs(126), service.connect()).await.is_err());
        let vanished = service.connect().await.unwrap_err();
        assert_eq!(vanished.error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(vanished.peer, Some(closed));
        assert!(start.elapsed() >= Duration::from_secs(253));
    }

    #[tokio::test(start_paused = true)]
    async fn rule_4_6_without_any_endpoint_connections_are_rejected_and_few_are_told() {
        let service = Service { syn_timeout: Duration::from_secs(2), ..service(Vec::new()) };
        let tried = async || {
            let start = Instant::now();
            let error = service.connect().await.unwrap_err();
            assert_eq!(error.peer, None);
            (error.error.kind(), start.elapsed().as_millis())
        };
        for _ in 0..6 {
            assert_eq!(tried().await, (io::ErrorKind::ConnectionRefused, 0));
        }
        // Told with its second SYN, a second later; the token of that second was its own.
        assert_eq!(tried().await, (io::ErrorKind::ConnectionRefused, 1_000));
        // Of two that come at once, one has the next token, and the other is never told.
        let (mut first, mut second) = tokio::join!(tried(), tried());
        if first.1 > second.1 {
            std::mem::swap(&mut first, &mut second);
        }
        assert_eq!(first, (io::ErrorKind::ConnectionRefused, 1_000));
        assert_eq!(second, (io::ErrorKind::TimedOut, 2_000));
    }

    #[tokio::test(start_paused = true)]
    async fn rule_4_6_a_connection_that_nobody_rejects_finds_the_endpoint_that_comes() {
        let service = service(Vec::new());
        for _ in 0..6 {
            service.connect().await.unwrap_err();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pod = pod_at(listener.local_addr().unwrap());
        let (connected, ()) = tokio::join!(service.connect(), async {
            sleep(Duration::from_millis(500)).await;
            believe(&service.consumer, vec![pod]);
        });
        assert_eq!(connected.unwrap().peer, listener.local_addr().unwrap());
    }
}
