//! gRPC, with tonic's own client as the counterpart.

use std::time::Duration;

use tokio::time::timeout;
use tonic::{Code, service::Routes, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use websample_hyper::{
    Server, grpc,
    lifecycle::{Delay, ExitReason, Lifecycle, Phase, Policy},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_follows_the_phases_and_watches_end_with_the_drain() {
    let delay =
        Delay { min: Duration::from_millis(500), quiet: Duration::ZERO, max: PATIENCE / 10 };
    let policy = Policy { delay, ..Policy::default() };
    let (lifecycle, drain) = Lifecycle::new(policy).expect("a policy that adds up");
    let server = Server::new(drain, Routes::new(grpc::health(&lifecycle, ["a.Service"])))
        .workers(2)
        .known_route("/grpc.health.v1.Health/{*method}", 200)
        .without_signals()
        .bind("127.0.0.1:0")
        .expect("a port");
    let metrics = server.registry().clone();
    let running = server.run();
    let handle = running.handle();
    let running = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;

    let test = async {
        let address = format!("http://{}", handle.addresses()[0]);
        let channel =
            Channel::from_shared(address).expect("a URI").connect().await.expect("it accepts");
        let mut client = HealthClient::new(channel);
        for known in ["", "a.Service"] {
            let answer = client.check(ask(known)).await.expect("an answer").into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{known:?}");
        }
        let unknown = client.check(ask("b.Service")).await.expect_err("there is none");
        assert_eq!(unknown.code(), Code::NotFound);
        let mut watch = client.watch(ask("a.Service")).await.expect("a stream").into_inner();
        let mut nothing = client.watch(ask("b.Service")).await.expect("a stream").into_inner();
        let first = watch.message().await.expect("no error").expect("a message");
        assert_eq!(first.status(), ServingStatus::Serving);
        let first = nothing.message().await.expect("no error").expect("a message");
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);

        handle.drain();
        let then = watch.message().await.expect("no error").expect("a message");
        assert_eq!(then.status(), ServingStatus::NotServing);
        assert_eq!(lifecycle.phase(), Phase::LameDuck, "before anything else happens");
        for watch in [&mut watch, &mut nothing] {
            let end = watch.message().await.expect_err("it ends");
            assert_eq!(end.code(), Code::Unavailable, "{end}");
        }
        running.await.expect("no panic").expect("a report")
    };
    let report = timeout(2 * PATIENCE, test).await.expect("it ends");
    assert_eq!(report.outcome, ExitReason::Clean, "{report:?}");
    assert_eq!(report.cut_total, 0);

    // Under the route that was declared, not under a path that a client has chosen.
    let families = metrics.gather();
    let requests = families.iter().find(|f| f.name() == "websample_http_requests_total");
    let counted: f64 = requests
        .expect("the family")
        .get_metric()
        .iter()
        .filter(|m| m.get_label().iter().any(|l| l.value() == "/grpc.health.v1.Health/{*method}"))
        .map(|m| m.get_counter().get_value())
        .sum();
    assert!((counted - 5.0).abs() < 1e-9, "{counted} of five calls");
}
