//! A plain axum service, given the whole behaviour.
//!
//! Lines that differ from plain axum are marked; there are eight.
//!
//! ```sh
//! cargo run -p websample-hyper --example axum
//! curl -i localhost:8080/                 # works
//! curl localhost:9000/status              # phase, in flight, budget
//! kill -TERM "$(pgrep -x axum)"           # not ready, still serving, then drained
//! ```

use std::process::ExitCode;

use axum::{Router, extract::MatchedPath, routing::get};
use websample_hyper::lifecycle::{Lifecycle, Policy}; // 1
use websample_hyper::{RouteNames, Server}; // 2: instead of axum::serve

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (_lifecycle, drain) = Lifecycle::with_signals(Policy::default())?; // 3
    let names = RouteNames::new(|request| request.get::<MatchedPath>().map(MatchedPath::as_str)); // 4
    let app = Router::new()
        .route("/", get(async || "hello\n"))
        .route("/users/{id}", get(async || "a user\n"))
        .route_layer(names); // 5: metrics by route
    let report = Server::new(drain, app) // 6
        .bind("0.0.0.0:8080")?
        .admin("0.0.0.0:9000")? // 7: probes, hook, metrics and status
        .run()
        .await?;
    Ok(report.into()) // 8: 0, or 3 where something was cut at the deadline
}
