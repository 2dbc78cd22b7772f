//! Clients that misbehave and signals that nobody expects, for as long as a rollout lasts.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal as Sent, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    processes::{Pod, pods_of},
    trial::{Client, Signal, Trial, Unexpected},
};

/// How often each kind of client comes.
const EVERY: Duration = Duration::from_millis(250);
/// The most of a kind that there are at a time.
const MOST: usize = 12;

/// The names of the pods that were told to go by somebody else than the kubelet.
pub(super) type Told = Arc<Mutex<Vec<String>>>;

/// Does what the trial says to the pods of a lab; never returns.
pub(super) async fn harm(trial: &Trial, lab: u32, told: Told) {
    let mut all = JoinSet::new();
    for client in &trial.clients {
        all.spawn(keep_coming(*client, lab));
    }
    if let Some(signal) = trial.signal {
        // The first probe comes within a second, the next after a period.
        let seen = Duration::from_millis(1_500 + trial.probe_period_ms);
        all.spawn(send(signal, seen, lab, told));
    }
    while all.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

async fn keep_coming(client: Client, lab: u32) {
    let mut there = JoinSet::new();
    for n in 0.. {
        sleep(EVERY).await;
        while there.try_join_next().is_some() {}
        let pods = pods_of(lab);
        if there.len() < MOST && !pods.is_empty() {
            there.spawn(visit(client, pods[n % pods.len()].app));
        }
    }
}

/// One client's life. That it meets nobody, or is turned away, is all the same.
async fn visit(client: Client, address: SocketAddr) {
    let Ok(Ok(mut socket)) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await
    else {
        return;
    };
    let said: &[u8] = match client {
        Client::HalfHead => b"GET /half HTTP/1.1\r\nHost: x\r\nX-Half",
        Client::HalfBody => b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
        Client::Reset => b"GET /sleep/1 HTTP/1.1\r\nHost: x\r\n\r\n",
        Client::Vanish => b"GET /stream/2 HTTP/1.1\r\nHost: x\r\n\r\n",
        Client::Silent => b"",
    };
    if socket.write_all(said).await.is_err() {
        return;
    }
    match client {
        Client::Reset => {
            sleep(Duration::from_millis(50)).await;
            // Closing it is a RST from here on.
            drop(socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)));
        }
        Client::Vanish => sleep(Duration::from_secs(10)).await,
        _ => {
            let mut answer = [0; 64];
            while matches!(socket.read(&mut answer).await, Ok(read) if read > 0) {}
        }
    }
}

/// Sends what the trial says to a pod that is ready, and that the kubelet has seen ready: in the lab, as
/// at a terminal, a pod that ends before that is a mistake of whoever wrote the command.
async fn send(signal: Signal, seen: Duration, lab: u32, told: Told) {
    sleep(Duration::from_millis(signal.after_ms)).await;
    let pod = loop {
        let pods = pods_of(lab);
        let mut ready = Vec::new();
        for pod in pods {
            if get(pod.admin, "/readiness").await == Some(200) {
                ready.push(pod);
            }
        }
        sleep(seen).await;
        let mut still = None;
        for pod in ready {
            if get(pod.admin, "/readiness").await == Some(200) {
                still = Some(pod);
                break;
            }
        }
        if let Some(pod) = still {
            break pod;
        }
    };
    told.lock().unwrap_or_else(PoisonError::into_inner).push(pod.name.clone());
    match signal.what {
        Unexpected::Hook => drop(get(pod.admin, "/prestop").await),
        Unexpected::Term => terminate(&pod, lab),
        Unexpected::TermTwice(gap) => {
            terminate(&pod, lab);
            sleep(Duration::from_millis(gap)).await;
            terminate(&pod, lab);
        }
    }
}

/// SIGTERM, if it is still there.
fn terminate(pod: &Pod, lab: u32) {
    // Still the lab's child, so the id is its own.
    if pods_of(lab).contains(pod) {
        let _ = kill(Pid::from_raw(pod.pid), Sent::SIGTERM);
    }
}

/// The status of a GET.
async fn get(address: SocketAddr, path: &str) -> Option<u16> {
    let ask = async {
        let mut socket = TcpStream::connect(address).await.ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok()?;
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    };
    timeout(Duration::from_secs(30), ask).await.ok().flatten()
}
