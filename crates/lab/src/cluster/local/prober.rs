//! The probe workers of one container: when each asks (facts 1.2, 1.3, 1.9).

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    address::PodAddress,
    http,
    probe::{Gauge, Probe, ProbeAction, ProbeKind, Probes},
};

/// What a worker tells the kubelet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProbeEvent {
    /// A single probe failed.
    Failed { kind: ProbeKind, reason: String },
    /// The thresholds are passed: the state changed.
    Changed { kind: ProbeKind, healthy: bool },
}

/// The workers of a container; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Prober {
    _workers: JoinSet<()>,
    events: mpsc::Receiver<ProbeEvent>,
    terminating: CancellationToken,
}

/// When a container's probes may begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The tickers run since the kubelet took the pod on.
    pub(super) admitted: Instant,
    /// The container runs since then.
    pub(super) started: Instant,
    /// From then to the first status sync, which probes readiness at once.
    pub(super) first_sync: Duration,
}

impl Prober {
    pub(super) fn start(probes: &Probes, address: PodAddress, times: Times) -> Self {
        let (sender, events) = mpsc::channel(16);
        let terminating = CancellationToken::new();
        // A startup probe holds the others back until it has succeeded (facts 1.4).
        let started = watch::Sender::new(probes.startup.is_none());
        let mut workers = JoinSet::new();
        let all = [
            (ProbeKind::Startup, &probes.startup),
            (ProbeKind::Readiness, &probes.readiness),
            (ProbeKind::Liveness, &probes.liveness),
        ];
        for (kind, probe) in all {
            let Some(probe) = probe else { continue };
            let worker = Worker {
                kind,
                gauge: Gauge::new(kind, probe),
                probe: probe.clone(),
                address,
                times,
                started: started.clone(),
                events: sender.clone(),
            };
            let terminating = terminating.clone();
            workers.spawn(async move {
                if kind == ProbeKind::Readiness {
                    // Goes on until the containers are dead (facts 1.9).
                    worker.run().await;
                } else {
                    terminating.run_until_cancelled(worker.run()).await;
                }
            });
        }
        Self { _workers: workers, events, terminating }
    }

    /// The next event; never, if there are no probes.
    pub(super) async fn next(&mut self) -> ProbeEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// The pod is being deleted: only readiness is probed from here on (facts 1.9).
    pub(super) fn terminating(&self) {
        self.terminating.cancel();
    }
}

struct Worker {
    kind: ProbeKind,
    probe: Probe,
    gauge: Gauge,
    address: PodAddress,
    times: Times,
    started: watch::Sender<bool>,
    events: mpsc::Sender<ProbeEvent>,
}

impl Worker {
    async fn run(mut self) {
        let Times { admitted, started, first_sync } = self.times;
        let period = self.probe.period;
        let mut next = next_tick(admitted, period, started);
        if self.kind == ProbeKind::Readiness {
            next = next.min(started + first_sync);
        }
        let mut startup = self.started.subscribe();
        loop {
            let waits_for_startup = self.kind == ProbeKind::Readiness && !*startup.borrow();
            tokio::select! {
                () = sleep_until(next) => {
                    next += period;
                    // Like a Go ticker: one tick that was missed is made up for, no more.
                    let now = Instant::now();
                    if next + period <= now {
                        next = next_tick(next, period, now);
                    }
                }
                // The sync that follows probes at once and resets the ticker (facts 1.3).
                result = startup.wait_for(|started| *started), if waits_for_startup => {
                    if result.is_err() {
                        return;
                    }
                    next = Instant::now() + period;
                }
            }
            let blocked = self.kind != ProbeKind::Startup && !*self.started.borrow();
            if blocked || started.elapsed() < self.probe.initial_delay {
                continue;
            }
            if !self.check().await {
                return;
            }
        }
    }

    /// Probes once; `false` ends the worker.
    async fn check(&mut self) -> bool {
        let result = self.ask().await;
        let healthy = result.is_ok();
        if let Err(reason) = result {
            let failed = ProbeEvent::Failed { kind: self.kind, reason };
            if self.events.send(failed).await.is_err() {
                return false;
            }
        }
        let Some(healthy) = self.gauge.observe(healthy) else { return true };
        if self.events.send(ProbeEvent::Changed { kind: self.kind, healthy }).await.is_err() {
            return false;
        }
        match self.kind {
            ProbeKind::Readiness => true,
            // A startup probe's work is done either way.
            ProbeKind::Startup => {
                if healthy {
                    self.started.send_replace(true);
                }
                false
            }
            // On hold until the container has been replaced.
            ProbeKind::Liveness => healthy,
        }
    }

    async fn ask(&self) -> Result<(), String> {
        match &self.probe.action {
            ProbeAction::HttpGet { path, port, scheme } => {
                http::probe(self.address.of(*port), *scheme, path, self.probe.timeout).await
            }
            ProbeAction::TcpSocket { port } => {
                http::probe_tcp(self.address.of(*port), self.probe.timeout).await
            }
        }
    }
}

/// The first tick after `now` of a ticker that was started at `start`.
fn next_tick(start: Instant, period: Duration, now: Instant) -> Instant {
    let since = now.saturating_duration_since(start);
    let ticks = since.as_nanos() / period.as_nanos().max(1) + 1;
    start + period.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Notes each probe's time; `/readiness` is 200 while the switch is on, the others always.
    async fn server(ready: Arc<AtomicBool>) -> (PodAddress, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = listener.local_addr().unwrap();
        let (seen, probes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let length = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..length]);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let good = path != "/readiness" || ready.load(Ordering::SeqCst);
                let status = if good { 200 } else { 503 };
                let reply = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(reply.as_bytes()).await.unwrap();
                let _ = seen.send(path);
            }
        });
        (PodAddress { app, admin: app }, probes)
    }

    fn probes(startup: bool) -> Probes {
        let every = |path| Probe::http(path).every(Duration::from_millis(40));
        Probes {
            startup: startup.then(|| every("/startup")),
            readiness: Some(every("/readiness")),
            liveness: Some(every("/liveness")),
        }
    }

    fn times(first_sync: Duration) -> Times {
        Times { admitted: Instant::now(), started: Instant::now(), first_sync }
    }

    const READY: ProbeKind = ProbeKind::Readiness;

    #[tokio::test]
    async fn rule_1_3_the_first_status_sync_probes_readiness() {
        let (address, mut seen) = server(Arc::new(true.into())).await;
        let slow = Probe::http("/readiness");
        let slow = Probes { readiness: Some(slow), startup: None, liveness: None };
        let start = Instant::now();
        let mut prober = Prober::start(&slow, address, times(Duration::from_millis(30)));
        assert_eq!(prober.next().await, ProbeEvent::Changed { kind: READY, healthy: true });
        assert_eq!(seen.recv().await.unwrap(), "/readiness");
        assert!((30..5_000).contains(&start.elapsed().as_millis()), "not after a period of 10 s");
    }

    #[tokio::test]
    async fn rule_1_4_a_startup_probe_blocks_the_others() {
        let (address, mut seen) = server(Arc::new(true.into())).await;
        let mut prober = Prober::start(&probes(true), address, times(Duration::ZERO));
        let startup = ProbeEvent::Changed { kind: ProbeKind::Startup, healthy: true };
        assert_eq!(prober.next().await, startup);
        assert_eq!(seen.recv().await.unwrap(), "/startup");
        assert_eq!(prober.next().await, ProbeEvent::Changed { kind: READY, healthy: true });
        assert_eq!(seen.recv().await.unwrap(), "/readiness", "and then readiness at once");
    }

    #[tokio::test]
    async fn rules_1_5_and_1_9_readiness_is_probed_to_the_end() {
        let switch = Arc::new(AtomicBool::new(true));
        let (address, mut seen) = server(Arc::clone(&switch)).await;
        let mut prober = Prober::start(&probes(false), address, times(Duration::ZERO));
        assert_eq!(prober.next().await, ProbeEvent::Changed { kind: READY, healthy: true });
        while seen.recv().await.unwrap() != "/liveness" {}
        prober.terminating();
        // Lets a probe that is under way end.
        tokio::time::sleep(Duration::from_millis(20)).await;
        while seen.try_recv().is_ok() {}
        switch.store(false, Ordering::SeqCst);
        for _ in 0..3 {
            let reason = "status 503".to_owned();
            assert_eq!(prober.next().await, ProbeEvent::Failed { kind: READY, reason });
            assert_eq!(seen.recv().await.unwrap(), "/readiness", "liveness has stopped");
        }
        assert_eq!(prober.next().await, ProbeEvent::Changed { kind: READY, healthy: false });
    }

    #[test]
    fn tickers_run_from_the_admission() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        for (now, tick) in [(0, 100), (99, 100), (100, 200), (250, 300)] {
            assert_eq!(next_tick(start, ms(100), start + ms(now)), start + ms(tick));
        }
    }
}
