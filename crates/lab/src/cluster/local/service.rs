//! The Service: a pod at random for every connection, straight to its address (facts 4.4-4.6).
//!
//! As with kube-proxy's DNAT there is nothing in between: an established connection stays on its
//! pod whatever the table says later, and a dead pod's refusal is the kernel's own RST.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpStream, time::sleep};
use websample_load::connect::{Connect, ConnectError, Connecting, Established};

use super::{consumer::Consumer, seed::Seed};

/// Connects to what one consumer believes to be ready.
#[derive(Debug)]
pub struct Service {
    consumer: Arc<Consumer>,
    seed: Seed,
    connections: AtomicU64,
    syn_timeout: Duration,
}

impl Service {
    /// A Service in front of what `consumer` believes. An attempt to reach a pod whose network is
    /// gone fails with `TimedOut` after `syn_timeout`, as packets to it vanish.
    pub fn new(consumer: Arc<Consumer>, seed: Seed, syn_timeout: Duration) -> Self {
        Self { consumer, seed, connections: AtomicU64::new(0), syn_timeout }
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
            let table = self.consumer.table();
            let Some(pod) = table.routes.get(self.seed.nth_below(n, table.routes.len())) else {
                // REJECT: nobody was chosen.
                let error = io::Error::new(io::ErrorKind::ConnectionRefused, "no endpoint");
                return Err(ConnectError { peer: None, error });
            };
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
    use tokio::{
        net::TcpListener,
        time::{Instant, timeout},
    };

    use super::{
        super::{consumer::tests::believing, endpoints::tests::pod, store::Pod},
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

    #[tokio::test]
    async fn rule_4_6_without_any_endpoint_connections_are_rejected() {
        let rejected = service(Vec::new()).connect().await.unwrap_err();
        assert_eq!(rejected.error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(rejected.peer, None);
    }
}
