//! The framework in somebody's own service, in process.

use std::time::Duration;

use actix_web::{App, HttpResponse, web};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};
use websample_actix::{Server, ServerError};
use websample_lifecycle::{Delay, DrainReport, ExitReason, Lifecycle, Phase, Policy, Signal};

const QUICK: Delay = Delay {
    min: Duration::from_millis(100),
    quiet: Duration::from_millis(20),
    max: Duration::from_secs(1),
};

struct Service {
    lifecycle: Lifecycle,
    address: std::net::SocketAddr,
    ended: JoinHandle<Result<DrainReport, ServerError>>,
}

/// A service of two workers with a few routes, serving.
async fn start(policy: Policy) -> Service {
    let (lifecycle, drain) = Lifecycle::new(policy).expect("a policy that adds up");
    let app = || {
        App::new()
            .route("/", web::get().to(HttpResponse::Ok))
            .route("/slow", web::get().to(slow))
            .route("/panic", web::get().to(panics))
    };
    let server = Server::new(drain, app)
        .without_signals()
        .workers(2)
        .termination_log("/nonexistent")
        .bind("127.0.0.1:0")
        .expect("a free port");
    let address = server.addresses()[0];
    let ended = tokio::task::spawn_local(server.run());
    lifecycle.reached(Phase::Serving).await;
    Service { lifecycle, address, ended }
}

async fn slow() -> HttpResponse {
    tokio::time::sleep(Duration::from_millis(500)).await;
    HttpResponse::Ok().finish()
}

async fn panics() -> HttpResponse {
    std::panic::panic_any("as a handler may")
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an end");
    answer
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} does not come");
}

/// Workers are threads of their own; the caller only needs a place for tasks that stay on one.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn quick() -> Policy {
    Policy { delay: QUICK, ..Policy::default() }
}

#[test]
fn a_panic_in_a_handler_leaves_no_count_behind_and_no_worker_dead() {
    run(async {
        let service = start(quick()).await;
        for _ in 0..6 {
            assert_eq!(get(service.address, "/panic").await, "", "closed without an answer");
        }
        let in_flight = service.lifecycle.in_flight();
        until("none in flight", || in_flight.requests.get() == 0).await;
        until("no connection", || in_flight.connections.get() == 0).await;
        assert!(get(service.address, "/").await.starts_with("HTTP/1.1 200"));
        service.lifecycle.signal(Signal::Sigterm);
        let report = service.ended.await.expect("no panic").expect("it ran");
        assert_eq!(report.outcome, ExitReason::Clean);
    });
}

#[test]
fn a_panic_leaves_no_count_behind_of_a_response_that_was_not_sent_before_it() {
    run(async {
        let service = start(quick()).await;
        for _ in 0..6 {
            let mut stream = TcpStream::connect(service.address).await.expect("it accepts");
            // The first response is complete, and waits for the second to be written with it.
            let both =
                ["/", "/panic"].map(|path| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
            stream.write_all(both.concat().as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            // Whether the first is still sent is nobody's promise.
            drop(stream.read_to_end(&mut answer).await);
        }
        let in_flight = service.lifecycle.in_flight();
        until("no connection", || in_flight.connections.get() == 0).await;
        until("none in flight", || in_flight.requests.get() == 0).await;
        service.lifecycle.signal(Signal::Sigterm);
        let report = service.ended.await.expect("no panic").expect("it ran");
        assert_eq!(report.outcome, ExitReason::Clean);
    });
}

#[test]
fn the_drain_waits_for_registered_background_work() {
    run(async {
        let service = start(quick()).await;
        let work = service.lifecycle.work("write the last order");
        let draining = service.lifecycle.draining();
        let wrote = tokio::task::spawn_local(async move {
            draining.cancelled().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(work);
        });
        service.lifecycle.signal(Signal::Sigterm);
        let report = service.ended.await.expect("no panic").expect("it ran");
        assert!(wrote.is_finished());
        assert_eq!(report.exit_code, 0);
        assert!(report.termination_seconds >= 0.4, "{report:?}");
    });
}

#[test]
fn an_application_that_cannot_be_created_is_an_error() {
    run(async {
        let (_lifecycle, drain) = Lifecycle::new(quick()).expect("a policy that adds up");
        let app = || App::new().data_factory(|| async { Err::<(), _>("no database") });
        let server = Server::new(drain, app).without_signals().bind("127.0.0.1:0").expect("bound");
        let error = server.run().await.expect_err("no application");
        assert!(error.to_string().contains("services could not be created"), "{error}");
    });
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("bound");
    let (_lifecycle, drain) = Lifecycle::new(quick()).expect("a policy that adds up");
    let error = Server::new(drain, App::new).bind(address).expect_err("taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_request_that_is_being_served_when_the_listener_closes_is_answered() {
    run(async {
        let service = start(Policy {
            delay: Delay { min: Duration::ZERO, quiet: Duration::ZERO, max: Duration::ZERO },
            ..Policy::default()
        })
        .await;
        let address = service.address;
        let slow = tokio::task::spawn_local(async move { get(address, "/slow").await });
        until("one in flight", || service.lifecycle.in_flight().requests.get() == 1).await;
        service.lifecycle.signal(Signal::Sigterm);
        let report = service.ended.await.expect("no panic").expect("it ran");
        assert!(slow.await.expect("no panic").starts_with("HTTP/1.1 200"));
        assert_eq!((report.exit_code, report.cut_total), (0, 0));
    });
}
