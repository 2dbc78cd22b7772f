//! The same axum application, plain and on the framework: what docs/benchmarks.md compares.
//!
//! usage: cost plain|draining|named ADDRESS
//!
//! All have one thread. Plain is what `axum::serve` is: hyper-util's server, and nothing of this
//! project; named is draining, with a layer on each route that names it.

use std::{env, error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::MatchedPath,
    routing::{get, post},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use websample_hyper::{
    RouteNames, Server,
    lifecycle::{Delay, Lifecycle, Policy},
};

fn app() -> Router {
    Router::new().route("/", get(async || ())).route("/echo", post(async |body: Bytes| body))
}

async fn plain(address: SocketAddr) -> Result<ExitCode, Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    let app = app();
    loop {
        let (tcp, _) = tokio::select! {
            _ = terminated.recv() => return Ok(ExitCode::SUCCESS),
            accepted = listener.accept() => accepted?,
        };
        tcp.set_nodelay(true)?;
        let app = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            // An error is its client's.
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(tcp), app).await;
        });
    }
}

async fn draining(address: SocketAddr, app: Router) -> Result<ExitCode, Box<dyn Error>> {
    let delay = Delay { min: Duration::ZERO, quiet: Duration::ZERO, max: Duration::ZERO };
    let (_lifecycle, drain) = Lifecycle::with_signals(Policy { delay, ..Policy::default() })?;
    let server = Server::new(drain, app).workers(1).known_route("/", 200).known_route("/echo", 200);
    Ok(server.bind(address)?.run().await?.into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    // As in every server that has workers: glibc does without locks where there is one thread alone.
    let (_held, waits) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || waits.recv());
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["plain", address] => plain(address.parse()?).await,
        ["draining", address] => draining(address.parse()?, app()).await,
        ["named", address] => {
            let names =
                RouteNames::new(|request| request.get::<MatchedPath>().map(MatchedPath::as_str));
            draining(address.parse()?, app().route_layer(names)).await
        }
        _ => {
            eprintln!("usage: cost plain|draining|named ADDRESS");
            Ok(ExitCode::from(64))
        }
    }
}
