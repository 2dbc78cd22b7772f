//! A gRPC server, given the whole behaviour: grpc.health.v1 says NOT_SERVING with the lame duck,
//! and clients are told to leave by GOAWAY.
//!
//! ```sh
//! cargo run -p websample-hyper --features grpc --example tonic
//! grpcurl -plaintext localhost:8080 grpc.health.v1.Health/Check   # SERVING
//! kill -TERM "$(pgrep -x tonic)"                                  # NOT_SERVING, then drained
//! ```

use std::process::ExitCode;

use tonic::service::Routes;
use websample_hyper::{
    Server, grpc,
    lifecycle::{Lifecycle, Policy},
};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (lifecycle, drain) = Lifecycle::with_signals(Policy::default())?;
    // Services of one's own are added with `add_service`, and named here.
    let routes = Routes::new(grpc::health(&lifecycle, ["helloworld.Greeter"]));
    let report = Server::new(drain, routes)
        .known_route("/grpc.health.v1.Health/{*method}", 200)
        .bind("0.0.0.0:8080")?
        .admin("0.0.0.0:9000")?
        .run()
        .await?;
    Ok(report.into())
}
