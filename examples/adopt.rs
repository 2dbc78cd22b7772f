//! A plain actix-web service, given the whole behaviour.
//!
//! Lines that differ from plain actix-web are marked; there are seven.
//!
//! ```sh
//! cargo run --example adopt
//! curl -i localhost:8080/                 # works
//! curl localhost:9000/status              # phase, in flight, budget
//! kill -TERM "$(pgrep -x adopt)"          # not ready, still serving, then drained
//! ```

use std::process::ExitCode;

use actix_web::{App, Responder, web};
use websample_actix::Server; // 1: instead of actix_web::HttpServer
use websample_actix::lifecycle::{Lifecycle, Policy}; // 2

async fn hello() -> impl Responder {
    "hello\n"
}

#[actix_web::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (_lifecycle, drain) = Lifecycle::with_signals(Policy::default())?; // 3
    let report = Server::new(drain, || App::new().route("/", web::get().to(hello))) // 4
        .bind("0.0.0.0:8080")?
        .admin("0.0.0.0:9000")? // 5: probes, hook, metrics and status
        .run()
        .await?;

    println!("{}", report.to_json()); // 6: what happened, from the first signal to now
    Ok(report.into()) // 7: 0, or 3 where something was cut at the deadline
}
