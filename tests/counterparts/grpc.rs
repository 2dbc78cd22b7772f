//! gRPC clients that others wrote, with retries off, through rolling updates.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::Instant;
use websample_lab::{
    cluster::local::{ClusterSpec, CommandTemplate, Listener, LocalCluster},
    timeline::PodRecord,
};

use crate::{
    common::{block_on, count},
    program::find,
};

/// What a client says in the end.
#[derive(Debug, Deserialize)]
struct Seen {
    calls: u64,
    failed: BTreeMap<String, u64>,
    streams: u64,
    ended: BTreeMap<String, u64>,
}

/// A client that runs until it is told to end.
struct Client(Child);

impl Client {
    fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts"))
    }

    fn end(mut self) -> Seen {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let mut out = self.0.stdout.take().expect("it is piped");
        out.read_to_string(&mut said).expect("text");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/counterparts/grpc").join(name)
}

fn sample() -> ClusterSpec {
    // What tells the tests how long to run is no setting of the server's.
    let tests = ["WEBSAMPLE_TEST_FULL", "WEBSAMPLE_BIN", "WEBSAMPLE_PLAIN"];
    let without = tests.iter().flat_map(|name| ["-u", name]);
    let serve = without.chain([env!("CARGO_BIN_EXE_websample"), "serve"]);
    let command = CommandTemplate::new("env", serve)
        .env("WEBSAMPLE_LISTEN", "{host}:{port}")
        .env("WEBSAMPLE_ADMIN__LISTEN", "{host}:{admin_port}")
        .env("WEBSAMPLE_VERSION", "{version}")
        .env("WEBSAMPLE_FRAMEWORK", "hyper")
        .env("WEBSAMPLE_DELAY__MIN", "2s");
    ClusterSpec { replicas: 3, seed: 1, ..ClusterSpec::new(command) }
}

fn skipped(without: &str) {
    // Not by a macro, whose output the test runner keeps to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {without} is not installed");
}

/// Rolls out several times under the calls and streams of a client, which is to lose none of them.
#[track_caller]
fn nothing_is_lost(client: impl FnOnce(String) -> Command) {
    let rollouts = count(1, 20);
    let seen = block_on(async {
        let cluster = LocalCluster::new(sample(), Instant::now()).expect("a spec that adds up");
        cluster.start("v0").await.expect("pods that are ready");
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), cluster.service()).await;
        let listener = listener.expect("a free port");
        let client = Client::start(client(listener.local_addr().to_string()));
        for rollout in 1..=rollouts {
            cluster.rollout(&format!("v{rollout}")).await.expect("it rolls out");
            cluster.settle().await;
        }
        let seen = tokio::task::spawn_blocking(|| client.end());
        let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
        let seen = seen.expect("it ends").expect("it says what it saw");
        let killed: Vec<_> =
            cluster.timeline().pods().into_iter().filter(PodRecord::killed).collect();
        assert!(killed.is_empty(), "{killed:?}");
        drop(listener);
        cluster.shutdown().await;
        seen
    });
    println!(
        "{rollouts} rollouts: {} calls, failed: {:?}; {} streams, ended: {:?}",
        seen.calls, seen.failed, seen.streams, seen.ended
    );
    assert!(seen.calls > 100 && seen.streams > 0, "{seen:?}");
    assert!(seen.failed.is_empty(), "{seen:?}");
    // By the server's own word, and neither by a lost connection nor by its reset.
    let by_status =
        ["UNAVAILABLE", "Unavailable"].map(|code| format!("{code}: this server is leaving"));
    assert!(seen.ended.keys().all(|end| by_status.contains(end)), "{seen:?}");
}

#[test]
fn pythons_client_loses_no_call_and_no_stream_without_a_status() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/counterparts/bin/python");
    let has = |module: &str| {
        let asked = Command::new(&python).args(["-c", &format!("import {module}")]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    if !has("grpc_health") {
        skipped("grpcio");
        return;
    }
    nothing_is_lost(|address| {
        let mut command = Command::new(&python);
        command.arg(sources("client.py")).arg(address);
        command
    });
}

#[test]
fn gos_client_loses_no_call_and_no_stream_without_a_status() {
    // Where Debian's golang-google-grpc-dev puts it; one of another version is told by GOPATH.
    let path = std::env::var("GOPATH").unwrap_or_else(|_| "/usr/share/gocode".to_owned());
    let Some(go) = find("go") else { return };
    if !Path::new(&path).join("src/google.golang.org/grpc").is_dir() {
        skipped("golang-google-grpc-dev");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("client");
    let built = Command::new(go)
        .args(["build", "-o"])
        .arg(&program)
        .arg(sources("client.go"))
        .env("GOPATH", path)
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "-buildvcs=false")
        .status();
    assert!(built.expect("it starts").success());
    nothing_is_lost(|address| {
        let mut command = Command::new(&program);
        command.arg(address);
        command
    });
}
