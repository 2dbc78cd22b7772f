//! What the tests need to say what they mean.

use std::{net::SocketAddr, path::Path, sync::LazyLock, time::Duration};

use tempfile::TempPath;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::broadcast,
    time::{sleep, timeout},
};
use websample_lab::{
    cluster::local::{Addressing, ClusterSpec, CommandTemplate, LocalCluster},
    timeline::{PodEvent, What},
};
use websample_load::connect::Connect;

/// Nothing that is awaited here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

static SERVER: LazyLock<TempPath> = LazyLock::new(|| {
    let file = tempfile::Builder::new().suffix(".py").tempfile().expect("a temporary file");
    std::fs::write(file.path(), include_str!("server.py")).expect("the server is written");
    file.into_temp_path()
});

/// Four pods of the Python server in a mode, with quick starts and no late syncs.
pub(crate) fn spec(mode: &str) -> ClusterSpec {
    let server = SERVER.to_str().expect("a plain path");
    // The address is in the environment; {host} says that the server heeds it.
    let command = CommandTemplate::new("python3", [server, mode]).env("HOST", "{host}");
    ClusterSpec {
        addressing: Addressing::Auto { port: 5000, admin_port: 9000 },
        container_start: Duration::from_millis(50)..Duration::from_millis(150),
        late_sync: 0.0,
        seed: 42,
        ..ClusterSpec::new(command)
    }
}

/// The events of a cluster from now on.
pub(crate) struct Events(broadcast::Receiver<PodEvent>);

impl Events {
    pub(crate) fn of(cluster: &LocalCluster) -> Self {
        Self(cluster.timeline().subscribe())
    }

    pub(crate) async fn wait(&mut self, wanted: impl Fn(&What) -> bool) {
        let found = async {
            while !wanted(&self.0.recv().await.expect("the stream goes on").event.what) {}
        };
        timeout(PATIENCE, found).await.expect("the event comes");
    }
}

/// The body of a GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    ask(TcpStream::connect(address).await?, path).await
}

/// The version that answers on a new connection.
pub(crate) async fn version_behind(service: &dyn Connect) -> String {
    try_version_behind(service).await.expect("a pod answers")
}

/// The same, where it may fail: no answer within five seconds is a failure.
pub(crate) async fn try_version_behind(service: &dyn Connect) -> std::io::Result<String> {
    let answer = async {
        let established = service.connect().await.map_err(|failed| failed.error)?;
        ask(established.stream, "/").await
    };
    timeout(Duration::from_secs(5), answer).await?
}

async fn ask(mut stream: TcpStream, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// The process ids that the servers wrote into their logs.
pub(crate) fn pids(logs: &Path) -> Vec<u32> {
    let files = std::fs::read_dir(logs).expect("the logs exist").flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.filter_map(|text| text.lines().next()?.strip_prefix("pid ")?.parse().ok()).collect()
}

/// Waits until none of these processes exists.
pub(crate) async fn gone(pids: &[u32]) {
    let lives = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let all = async {
        while pids.iter().any(lives) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("no process is left");
}
