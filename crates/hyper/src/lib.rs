//! The drain framework on hyper: for axum, tonic, and every other `tower` service.
//!
//! [`serve`] takes the place of `axum::serve`, and [`Server`] is where more can be said. The
//! application needs no change: what stands before it answers the probes and the hook, counts what
//! is in flight, and tells clients when to leave.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use axum::{Router, routing::get};
//!
//! #[tokio::main]
//! async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
//!     let app = Router::new().route("/", get(async || "hello\n"));
//!     let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
//!     let report = websample_hyper::serve(listener, app).await?;
//!     Ok(report.into())
//! }
//! ```
//!
//! | file | its subject |
//! |---|---|
//! | `server`, `running` | what it is told; its threads, listeners and end |
//! | `worker`, `connection` | what runs on a thread; one connection from its first byte to its close |
//! | `plug` | what hyper reads from and writes to, and what is left after an upgrade |
//! | `respond` | what stands before the application: probes, the hook, telling clients to leave |
//! | `body` | request bodies, and their time limit |
//! | `tracking`, `patterns`, `route` | requests in flight, to the last byte, and their names |
//! | `admin` | `/metrics` and `/status` |
//! | `grpc` | grpc.health.v1, which follows the phases (feature `grpc`) |
//!
//! What is of no framework is in [`websample_connections`]: listening sockets, workers, the boundaries
//! of requests and frames, certificates, who may call the hook.

mod admin;
mod body;
mod connection;
mod framework;
#[cfg(feature = "grpc")]
pub mod grpc;
mod patterns;
mod plug;
mod respond;
mod route;
mod server;
mod tracking;
mod worker;

pub use websample_connections::{
    Connected, Handle, Running, ServerError, TlsError, Token, check_certificate,
    hook::TOKEN_HEADER,
    probes::{LIVENESS, PRESTOP, READINESS},
    readiness::OnDrain,
    server::Settings,
};
#[cfg(feature = "restart")]
pub use websample_connections::{Handoff, Inherited};
/// The core: phases, tokens, what is in flight, the report.
pub use websample_lifecycle as lifecycle;
/// What `/metrics` has, and the registry behind it.
pub use websample_metrics as metrics;

pub use self::{
    body::{Body, BodyError},
    respond::BoxError,
    route::{Named, NamedFuture, Route, RouteNames},
    server::Server,
};

use websample_lifecycle::{DrainReport, Lifecycle, Policy};

/// Serves a service on a listener until SIGTERM or the preStop hook has drained it, by the default
/// [`Policy`]; whoever wants to say more makes a [`Server`].
///
/// # Errors
/// When a thread, a signal handler or the listener could not be had.
pub async fn serve<S, B>(
    listener: tokio::net::TcpListener,
    app: S,
) -> Result<DrainReport, ServerError>
where
    S: tower_service::Service<http::Request<Body>, Response = http::Response<B>>
        + Clone
        + Send
        + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let (_lifecycle, drain) = Lifecycle::with_signals(Policy::default())?;
    Server::new(drain, app).listen(listener.into_std()?).run().await
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
